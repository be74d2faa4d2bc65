"""Who asks: a caller's token, checked before anything is spent on it."""

import hmac
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import httpx
from pydantic import BaseModel, ValidationError

from shared.errors import AccessDenied, SettingsError, Unavailable
from shared.tls import tls_context

if TYPE_CHECKING:
    import jwt

_TOKEN: Final = re.compile(r"[!-~]{1,8192}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNKNOWN: Final = "the token is not that of a signed-in user of this project: sign in"
_LEAST_SECRET_BYTES: Final = 32  # RFC 7518, section 3.2; PostgREST takes no shorter one either
_LEEWAY_S: Final = 5
_FRESH_S: Final = 300
_KEPT_S: Final = 3600
_COOLDOWN_S: Final = 10
_RETRY_S: Final = 5
_MOST_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose token was checked."""

    token: str = field(repr=False)
    """Handed on to the database, whose row-level security decides."""
    user_id: str | None
    """None: the public, or the operator."""
    is_operator: bool = False


class _PublicKey(BaseModel, frozen=True, extra="allow"):
    """One of the project's, as RFC 7517 has it; PyJWK sees to it that the rest is that of an `alg` key."""

    kid: str
    alg: Literal["ES256", "RS256"]
    use: Literal["sig"] = "sig"
    d: None = None  # a private key that was published is everybody's


class _KeySet(BaseModel, frozen=True):
    """What the project publishes; not all of it need be of use to us."""

    keys: list[object]


class _Keys:
    """The project's public keys. Threads share it.

    Not PyJWKClient: its reads have no bound, and while the endpoint fails every caller in turn waits for it.
    """

    def __init__(self, url: str, *, timeout_s: float, clock: Callable[[], float]) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[Mapping[tuple[str, str], jwt.PyJWK], float] = ({}, -math.inf)
        self._next_try = -math.inf
        self._fault: str | None = None

    def find(self, kid: str, algorithm: str) -> "jwt.PyJWK | None":
        """None if the project has no such key. Raises `Unavailable` when that cannot be told."""
        keys, since = self._held
        age_s = self._clock() - since
        # An outage of the endpoint must not lock everybody out: a known key is good for an hour without it.
        key = keys.get((kid, algorithm)) if age_s < _KEPT_S else None
        if key is not None and age_s < _FRESH_S:
            return key
        # Only who has no key waits for another thread that is asking.
        if self._lock.acquire(blocking=key is None):
            try:
                self._refresh()
            finally:
                self._lock.release()
        keys, refreshed = self._held
        if refreshed > since:
            return keys.get((kid, algorithm))
        if key is None and self._fault is not None:
            raise Unavailable(f"the project's keys cannot be read: {self._fault}")
        return key

    def _refresh(self) -> None:
        if self._clock() < self._next_try:  # made-up names of keys do not make us ask each time
            return
        try:
            self._held, self._fault = (_parse(self._fetch()), self._clock()), None
        except (httpx.HTTPError, ValueError) as exc:
            self._fault = f"{type(exc).__name__}: {exc}".partition("\n")[0]
        self._next_try = self._clock() + (_COOLDOWN_S if self._fault is None else _RETRY_S)

    def _fetch(self) -> bytes:
        """Redirects are not followed. Raises `ValueError` for what cannot be a set of keys, and httpx's."""
        body, until = b"", self._clock() + self._timeout_s
        plain = {"Accept-Encoding": "identity"}  # a bound on what is read is one on what it unpacks to
        with httpx.stream(
            "GET", self._url, headers=plain, timeout=self._timeout_s, verify=tls_context()
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > _MOST_BYTES or self._clock() > until:
                    raise ValueError("too long, or too slow")
        return body


def _parse(body: bytes) -> "dict[tuple[str, str], jwt.PyJWK]":
    """By name and algorithm; the first of a name counts. Raises `ValueError`."""
    import jwt

    found: dict[tuple[str, str], jwt.PyJWK] = {}
    for member in _KeySet.model_validate_json(body).keys:
        with suppress(ValidationError, jwt.PyJWTError):
            key = _PublicKey.model_validate(member)
            found.setdefault((key.kid, key.alg), jwt.PyJWK(key.model_dump(exclude_none=True), key.alg))
    return found


class Callers:
    """Tells callers by their tokens. Threads share it."""

    def __init__(
        self,
        supabase_url: str,
        *,
        jwt_secret: str | None,
        service_key: str,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`jwt_secret`: of a project that signs with HS256, as all did once. Raises `SettingsError`."""
        if jwt_secret and len(jwt_secret.encode()) < _LEAST_SECRET_BYTES:
            raise SettingsError(f"the project's JWT secret is shorter than {_LEAST_SECRET_BYTES} bytes")
        self._issuer = f"{supabase_url}/auth/v1"
        self._jwt_secret = jwt_secret or None
        self._service_key = service_key.encode()
        self._keys = _Keys(f"{self._issuer}/.well-known/jwks.json", timeout_s=timeout_s, clock=clock)

    def caller(self, token: str) -> Caller:
        """Whose token this is: a signed-in user's, or the operator's key. Checked anew each time, in 0.1 ms.

        Raises `AccessDenied`, or `Unavailable` when the project's keys cannot be had.
        """
        if _TOKEN.fullmatch(token) is None:
            raise AccessDenied(_UNKNOWN)
        if (operator := self.operator(token)) is not None:
            return operator
        claims = self._claims(token)
        user_id = str(claims["sub"])
        if claims.get("role") != "authenticated" or _UUID.fullmatch(user_id) is None:
            raise AccessDenied(_UNKNOWN)
        return Caller(token, user_id)

    def operator(self, token: str) -> Caller | None:
        """The operator, if the token is their key."""
        is_key = hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._service_key)
        return Caller(token, None, is_operator=True) if is_key else None

    def _claims(self, token: str) -> Mapping[str, object]:
        import jwt  # 30 ms the first time: only for those who bring a token

        try:
            key = self._key(jwt.get_unverified_header(token))
            claims: dict[str, object] = jwt.decode(
                token,
                key,
                algorithms=["HS256"] if isinstance(key, str) else [key.algorithm_name],
                audience="authenticated",
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise AccessDenied("the token has expired: sign in again") from None
        except jwt.ImmatureSignatureError:
            raise AccessDenied("the token is not valid yet: sign in again") from None
        except jwt.PyJWTError:  # not `from` it: its messages quote the token
            raise AccessDenied(_UNKNOWN) from None
        return claims

    def _key(self, header: Mapping[str, object]) -> "jwt.PyJWK | str":
        """The algorithm chooses the kind of key, and nothing else does; where a header says to look for one
        (`jku`, `jwk`, `x5u`, `x5c`) is not read.
        """
        match header:
            case {"crit": _} | {"b64": _}:
                key = None
            case {"alg": "HS256"}:
                if self._jwt_secret is None:
                    raise AccessDenied("tokens signed with HS256 are not accepted here: no JWT secret is set")
                return self._jwt_secret
            case {"alg": "ES256" | "RS256" as algorithm, "kid": str(kid)}:
                key = self._keys.find(kid, algorithm)
            case _:
                key = None
        if key is None:
            raise AccessDenied(_UNKNOWN)
        return key
