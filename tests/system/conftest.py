"""What needs more than pip: Debian's packages.

Where they are not at hand, tests are skipped with the reason; with CI=true in the environment they fail.
"""

import os
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

import pytest

from infra import photographs
from infra.cli import pictures
from infra.cli.connection import Project
from infra.debian import NotAtHandError
from infra.local.stack import Stack
from infra.photographs import Photograph
from tests.ports import free_base_port

_Found = TypeVar("_Found")


def at_hand(fetch: Callable[[], _Found]) -> _Found:
    """What a Debian package holds. Without apt, or an archive in its reach, the test ends here."""
    try:
        return fetch()
    except NotAtHandError as exc:
        _give_up(str(exc))


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have what the tests need, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def debian() -> list[Photograph]:
    """Debian's photographs."""
    return at_hand(photographs.debian)


@pytest.fixture(scope="session")
def pool(debian: list[Photograph]) -> list[Photograph]:
    """All photographs that the demo searches and the benchmark measures."""
    return [*photographs.packaged(), *debian]


@pytest.fixture(scope="session")
def project(pool: list[Photograph], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack of its own, in whose bucket all photographs are indexed."""
    with Stack(tmp_path_factory.mktemp("stack"), free_base_port()) as stack:
        project = Project(stack.connection)
        named = pictures.named((photograph.name, photograph.path) for photograph in pool)
        failures = pictures.upload_and_wait(project, "photos", named, lambda _: None)
        assert failures == {}
        yield project
