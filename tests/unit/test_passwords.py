"""How passwords are hashed and compared."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Callable

import pytest

from infra.local.gateway.auth.errors import AuthError
from infra.local.gateway.auth.passwords import Passwords, check_strength


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What was asked of scrypt, but for the salt."""
    asked: list[dict[str, object]] = []
    scrypt: Callable[..., bytes] = hashlib.scrypt

    def noted(password: bytes, *, salt: bytes, **cost: int) -> bytes:
        asked.append({"password": password, "salt_bytes": len(salt), **cost})
        return scrypt(password, salt=salt, **cost)

    monkeypatch.setattr(hashlib, "scrypt", noted)
    return asked


def _matches(password: str, stored: str | None) -> bool:
    return asyncio.run(Passwords().matches(password, stored))


def _hashed(password: str) -> str:
    return asyncio.run(Passwords().hashed(password))


def test_a_password_matches_its_own_hash_alone() -> None:
    stored = _hashed("a correct horse")

    assert _matches("a correct horse", stored)
    assert not _matches("a correct horse ", stored)
    assert not _matches("", stored)


def test_two_hashes_of_a_password_differ() -> None:
    assert _hashed("a correct horse") != _hashed("a correct horse")


def test_the_same_work_is_done_where_nothing_is_stored(work: list[dict[str, object]]) -> None:
    stored = _hashed("a correct horse")

    assert not _matches("another", stored)
    assert not _matches("another", None)

    [_, known, unknown] = work
    assert known == unknown


def test_what_another_system_has_hashed_matches_nothing() -> None:
    assert not _matches("a correct horse", "$2a$10$" + "x" * 53)


def test_a_hash_of_another_cost_still_matches() -> None:
    stored = "scrypt$16$1$1$c2FsdHNhbHRzYWx0c2FsdA==$"
    made = hashlib.scrypt(b"old one", salt=b"saltsaltsaltsalt", n=16, r=1, p=1, dklen=32)

    assert _matches("old one", stored + b64encode(made).decode())


def test_a_long_password_is_no_work(work: list[dict[str, object]]) -> None:
    assert not _matches("é" * 37, None)
    assert work == []


@pytest.mark.parametrize(
    ("password", "code"), [("short", "weak_password"), ("é" * 37, "validation_failed"), ("", "weak_password")]
)
def test_a_password_that_is_not_taken_is_named(password: str, code: str) -> None:
    with pytest.raises(AuthError) as caught:
        check_strength(password)

    assert caught.value.code == code


@pytest.mark.parametrize("password", ["123456", "é" * 36])
def test_a_password_of_proper_length_is_taken(password: str) -> None:
    check_strength(password)
