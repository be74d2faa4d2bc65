"""A machine without Debian's packages skips what needs them, and says so; CI does not get away with it."""

import pytest

from infra.debian import NotAtHandError
from tests.system.conftest import at_hand


def _absent() -> None:
    raise NotAtHandError("this machine has no apt-get")


def test_what_is_at_hand_is_used() -> None:
    assert at_hand(lambda: "photographs") == "photographs"


@pytest.mark.parametrize("value", ["", "false"])
def test_what_is_absent_is_skipped_with_the_reason(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", value)

    with pytest.raises(pytest.skip.Exception, match="no apt-get"):
        at_hand(_absent)


def test_what_is_absent_in_ci_is_a_failure_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no apt-get"):
        at_hand(_absent)
