"""JSON Web Tokens: who is asking, and links that open one object for a while."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from pydantic import SecretStr

from infra.local.signing_keys import KeySet, SigningKeys

_LEGACY = "HS256"
_SIGNED_BY_KEY = "ES256"
_ROLES = ("anon", "authenticated", "service_role")
_KEY_ROLES = ("anon", "service_role")
_MOST_KNOWN = 256
_DOWNLOAD = "storage:download"
_UPLOAD = "storage:upload"


class TokenRefused(Exception):
    """The token is not ours, not valid any more, or asks for a role that there is not."""


class ClaimsRefused(TokenRefused):
    """Its signature is ours, its claims do not hold (any more)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking."""

    role: str
    user_id: str | None
    claims: str
    """All claims, as JSON."""


@dataclass(frozen=True, slots=True)
class UploadRight:
    """What a link to upload one object lets its bearer do."""

    owner_id: str | None
    overwrite: bool


class Tokens:
    """Signs links with the project's one secret. Callers' tokens are signed with that or a key of Auth's."""

    def __init__(self, secret: SecretStr, keys: SigningKeys) -> None:
        self._secret = secret
        self._keys = keys
        self._known: dict[str, tuple[Caller, float]] = {}
        self._known_by = keys.current()

    def caller(self, token: str) -> Caller:
        """Raises `TokenRefused`. A token without a role speaks for anon, as in PostgREST."""
        keys = self._keys.current()
        if keys is not self._known_by:
            self._known.clear()
            self._known_by = keys
        known, expires_at = self._known.get(token, (None, 0.0))
        if known is not None and time.time() < expires_at:
            return known
        claims = _verify(token, *self._key(token, keys))
        role = claims.get("role", "anon")
        if role not in _ROLES:
            raise ClaimsRefused(f"role {json.dumps(role)} does not exist")
        caller = Caller(str(role), _text(claims.get("sub")), json.dumps(claims))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        expires = claims.get("exp", math.inf)
        self._known[token] = (caller, float(expires) if isinstance(expires, int | float) else 0.0)
        return caller

    def key_caller(self, key: str) -> Caller:
        """The caller that a project's key stands for. A user's token is no key. Raises `TokenRefused`."""
        caller = self.caller(key)
        if caller.role not in _KEY_ROLES:
            raise TokenRefused("not a key of this project")
        return caller

    def sign_download(self, path: str, expires_in_s: int) -> str:
        """A token that opens `<bucket>/<name>`."""
        return self._sign({"url": path, "scope": _DOWNLOAD}, expires_in_s)

    def opens(self, token: str, path: str) -> bool:
        """Whether the token was signed for this object. Raises `TokenRefused`."""
        claims = self._verify_link(token)
        return claims.get("scope") == _DOWNLOAD and claims.get("url") == path

    def sign_upload(self, path: str, right: UploadRight, expires_in_s: int) -> str:
        """A token that writes `<bucket>/<name>`."""
        claims = {"url": path, "scope": _UPLOAD, "owner": right.owner_id, "upsert": right.overwrite}
        return self._sign(claims, expires_in_s)

    def upload_right(self, token: str, path: str) -> UploadRight | None:
        """What the token lets its bearer do to this object; None when it is for another. Raises
        `TokenRefused`."""
        claims = self._verify_link(token)
        if claims.get("scope") != _UPLOAD or claims.get("url") != path:
            return None
        return UploadRight(_text(claims.get("owner")), claims.get("upsert") is True)

    def _sign(self, claims: Mapping[str, object], expires_in_s: int) -> str:
        now = int(time.time())
        timed = {**claims, "iat": now, "exp": now + expires_in_s}
        return jwt.encode(timed, self._secret.get_secret_value(), _LEGACY)

    def _verify_link(self, token: str) -> Mapping[str, object]:
        return _verify(token, self._secret.get_secret_value(), _LEGACY)

    def _key(self, token: str, keys: KeySet) -> tuple[str | EllipticCurvePublicKey, str]:
        """The algorithm decides, and each has a key of its own kind. Of the rest of the header only a key's
        id is read, as a name to look up: an address or a key that a token brings along proves nothing."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as exc:
            raise TokenRefused("invalid form") from exc
        if header.get("alg") == _LEGACY:
            return self._secret.get_secret_value(), _LEGACY
        key = keys.public(str(header.get("kid")))
        if header.get("alg") != _SIGNED_BY_KEY or key is None:
            raise TokenRefused("invalid signature: no such key")
        return key, _SIGNED_BY_KEY


def _verify(token: str, key: str | EllipticCurvePublicKey, algorithm: str) -> Mapping[str, object]:
    try:
        claims: Mapping[str, object] = jwt.decode(
            token, key, algorithms=[algorithm], options={"verify_aud": False}
        )
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as exc:
        raise ClaimsRefused("JWT expired" if "expired" in str(exc) else "JWT not yet valid") from exc
    except jwt.InvalidTokenError as exc:
        raise TokenRefused("invalid signature or form") from exc
    return claims


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
