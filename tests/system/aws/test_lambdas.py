"""A function runs here as on Lambda: what it may do, how it fails, and how it starts anew."""

import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from infra.local.lambdas import FunctionError, LambdaFunction, LambdaInitError

_CODE: Final = """
import os, sys, tempfile, time

def handler(event, context):
    print("called with", event)
    return globals()[event["what"]](event, context)

def echo(event, context):
    return event

def facts(event, context):
    left_ms = context.get_remaining_time_in_millis()
    return [os.getcwd(), context.invoked_function_arn, 0 < left_ms <= 30_000, sorted(os.environ)]

def fail(event, context):
    raise ValueError("no such thing")

def sleep(event, context):
    time.sleep(60)

def end(event, context):
    os._exit(3)

def write(event, context):
    written = []
    for folder in (os.getcwd(), os.path.dirname(__file__), tempfile.gettempdir()):
        try:
            open(os.path.join(folder, "new"), "w").close()
            written.append(folder)
        except OSError:
            pass
    return written == [tempfile.gettempdir()]

def overwrite(event, context):
    open(__file__, "a").close()
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "function.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/entry.py", textwrap.dedent(_CODE))
        archive.writestr("package/broken.py", "import nothing_of_that_name")
        archive.writestr("package/ending.py", "import os; os._exit(1)")
    return path


def tried(bundle: Path, timeout_s: float) -> LambdaFunction:
    """Time enough on a busy machine, unless it is to run out."""
    return LambdaFunction(bundle, "package/entry.handler", {"OWN": "1"}, timeout_s=timeout_s, name="tried")


@pytest.fixture
def function(bundle: Path) -> Iterator[LambdaFunction]:
    with tried(bundle, timeout_s=30) as running:
        yield running


def test_answers_events_one_after_another(function: LambdaFunction) -> None:
    answers = [function.invoke({"what": "echo", "n": n}).payload["n"] for n in (1, 2)]

    assert answers == [1, 2]
    assert function.init_ms > 0
    assert "called with {'what': 'echo', 'n': 2}" in function.log


def test_is_told_what_lambda_tells_and_what_it_is_given(function: LambdaFunction) -> None:
    folder, arn, has_time_left, names = function.invoke({"what": "facts"}).payload

    assert (folder, arn, has_time_left) == (str(function.code), function.arn, True)
    assert {"OWN", "AWS_REGION", "LAMBDA_TASK_ROOT"} <= set(names)
    assert {"HOME", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & set(names) == set()


def test_may_write_nowhere_but_to_its_own_scratch_folder(function: LambdaFunction) -> None:
    written, overwriting = (function.invoke({"what": what}) for what in ("write", "overwrite"))

    assert written.payload is True
    assert overwriting.error is not None
    assert overwriting.error.kind == "PermissionError"


def test_hands_an_error_on_and_lives(function: LambdaFunction) -> None:
    failed, after = (function.invoke({"what": what}) for what in ("fail", "echo"))

    assert failed.error == FunctionError("ValueError", "no such thing")
    assert after.error is None


@pytest.mark.parametrize(
    ("what", "kind", "timeout_s"), [("sleep", "Sandbox.Timedout", 1), ("end", "Runtime.ExitError", 30)]
)
def test_is_started_anew_after_its_process_has_ended(
    what: str, kind: str, timeout_s: float, bundle: Path
) -> None:
    with tried(bundle, timeout_s) as function:
        ended, after = (function.invoke({"what": one}) for one in (what, "echo"))

    assert ended.error is not None
    assert (ended.error.kind, after.error) == (kind, None)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("package/broken.handler", "Runtime.ImportModuleError.*nothing_of_that_name"),
        ("package/ending.handler", "ended, or did not ask"),
        ("package/entry.nothing", "Runtime.HandlerNotFound"),
    ],
)
def test_that_does_not_get_started_says_why(handler: str, reason: str, bundle: Path) -> None:
    with pytest.raises(LambdaInitError, match=reason), LambdaFunction(bundle, handler, {}):
        pytest.fail("it runs")
