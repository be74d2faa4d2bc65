"""The keys that access tokens are signed with: private JWKs in one file, the newest last."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import uuid4

import fasteners
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from jwt import InvalidKeyError
from jwt.algorithms import ECAlgorithm
from pydantic import BaseModel, ConfigDict, Field

from infra.local.home import write_private

_log = logging.getLogger("gateway.signing_keys")


class _Jwk(BaseModel):
    """One key, as RFC 7517 writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kty: Literal["EC"] = "EC"
    crv: Literal["P-256"] = "P-256"
    alg: Literal["ES256"] = "ES256"
    use: Literal["sig"] = "sig"
    kid: str
    x: str
    y: str
    d: str = Field(repr=False)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[_Jwk, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, and what the world may know of it."""

    id: str
    private: EllipticCurvePrivateKey = field(repr=False)
    published: Mapping[str, object]
    """Its public JWK."""


class KeySet:
    """The keys that hold at one moment, the newest last. There may be none."""

    def __init__(self, keys: tuple[SigningKey, ...]) -> None:
        self._by_id = {key.id: key for key in keys}

    @property
    def newest(self) -> SigningKey | None:
        """The one that signs."""
        return next(reversed(self._by_id.values()), None)

    def public(self, key_id: str) -> EllipticCurvePublicKey | None:
        """What verifies the tokens that name this key."""
        key = self._by_id.get(key_id)
        return key.private.public_key() if key else None

    def published(self) -> list[Mapping[str, object]]:
        """The public JWKs, for everybody."""
        return [key.published for key in self._by_id.values()]


class Rotated(NamedTuple):
    """The new key's id, and how many older ones go on, or are gone."""

    key_id: str
    older: int


class SigningKeys:
    """The keys of a file that another process may change: each look is at the file as it is now."""

    def __init__(self, path: Path) -> None:
        """Makes the first key when there is no file yet."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._current = KeySet(())
        if not path.exists():
            rotate(path)

    def current(self) -> KeySet:
        """The same object until the file changes. Of a file that is missing or broken no key holds."""
        stamp = self._stamp_now()
        if stamp is None or stamp != self._stamp:
            self._stamp = stamp
            self._current = self._read()
        return self._current

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns  # a changed file is a new one: it is replaced whole

    def _read(self) -> KeySet:
        try:
            return KeySet(tuple(map(_signing_key, _read(self._path))))
        except (OSError, ValueError, InvalidKeyError) as exc:
            _log.error("no access token holds: %s cannot be read: %s", self._path, type(exc).__name__)
            return KeySet(())


def rotate(path: Path, *, revokes_older: bool = False) -> Rotated:
    """Add a key, which signs from now on. Tokens of older keys hold until they expire, unless revoked here.

    Raises `OSError`, and `ValueError` for a file that holds something else.
    """
    with fasteners.InterProcessLock(path.with_suffix(".lock")):
        older = _read(path) if path.exists() else ()
        new = _make()
        kept = _File(keys=(new,) if revokes_older else (*older, new))
        write_private(path, kept.model_dump_json())
    return Rotated(new.kid, len(older))


def _read(path: Path) -> tuple[_Jwk, ...]:
    return _File.model_validate_json(path.read_bytes()).keys


def _make() -> _Jwk:
    numbers = ECAlgorithm.to_jwk(generate_private_key(SECP256R1()), as_dict=True)
    return _Jwk(kid=str(uuid4()), x=numbers["x"], y=numbers["y"], d=numbers["d"])


def _signing_key(jwk: _Jwk) -> SigningKey:
    private = ECAlgorithm.from_jwk(jwk.model_dump())
    assert isinstance(private, EllipticCurvePrivateKey)  # noqa: S101 -- a JWK with `d`
    published = {**jwk.model_dump(exclude={"d"}), "key_ops": ["verify"]}
    return SigningKey(jwk.kid, private, published)
