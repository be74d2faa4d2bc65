"""Passwords: which are taken, how they are kept, and how one is compared."""

import asyncio
import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from infra.local.gateway.auth.errors import AuthError, validation_failed

_LEAST_CHARACTERS = 6
_MOST_BYTES = 72  # as hosted, where bcrypt reads no more
_AT_ONCE = 2  # each takes a core and 16 MB for some 40 ms
_SCHEME = "scrypt"
_SALT_BYTES = 16
_HASH_BYTES = 32


class _Kept(NamedTuple):
    cost: int
    block_size: int
    parallel: int
    salt: bytes
    hash: bytes

    def hash_of(self, password: str) -> bytes:
        """Another password's, made in the same way."""
        return hashlib.scrypt(
            password.encode(),
            salt=self.salt,
            n=self.cost,
            r=self.block_size,
            p=self.parallel,
            dklen=_HASH_BYTES,
        )

    def text(self) -> str:
        """How it is stored: with all that made it, so that another cost may be chosen later."""
        numbers = (str(number) for number in (self.cost, self.block_size, self.parallel))
        return "$".join([_SCHEME, *numbers, b64encode(self.salt).decode(), b64encode(self.hash).decode()])


class Passwords:
    """Hashes by scrypt, in threads of its own: the event loop and its other work go on meanwhile."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, "passwords")

    async def hashed(self, password: str) -> str:
        """What to store of a password."""
        new = _new()
        made = await asyncio.get_running_loop().run_in_executor(self._threads, new.hash_of, password)
        return new._replace(hash=made).text()

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether this is the password. Where none is stored, the same work is done for nothing."""
        if len(password.encode()) > _MOST_BYTES:
            return False  # whoever the user is
        kept = _read(stored) if stored else None
        compared = kept or _new()
        made = await asyncio.get_running_loop().run_in_executor(self._threads, compared.hash_of, password)
        return hmac.compare_digest(made, compared.hash) and kept is not None


def check_strength(password: str) -> None:
    """Raises `AuthError`."""
    if len(password.encode()) > _MOST_BYTES:
        raise validation_failed(f"Password cannot be longer than {_MOST_BYTES} characters")
    if len(password) < _LEAST_CHARACTERS:
        message = f"Password should be at least {_LEAST_CHARACTERS} characters."
        raise AuthError(422, "weak_password", message, ("length",))


def _new() -> _Kept:
    """With a salt of its own, and a hash that nothing has."""
    return _Kept(2**14, 8, 1, os.urandom(_SALT_BYTES), os.urandom(_HASH_BYTES))


def _read(stored: str) -> _Kept | None:
    """None for what another system has hashed."""
    match stored.split("$"):
        case ["scrypt", cost, block_size, parallel, salt, made]:
            return _Kept(int(cost), int(block_size), int(parallel), b64decode(salt), b64decode(made))
        case _:
            return None
