"""The functions run here as they do on Lambda: with what the template gives them, and no more."""

import json
import zipfile
from pathlib import Path
from typing import Final

import psutil
import pytest

from infra.local.lambdas import LambdaFunction
from tests.system.aws.colours import painted
from tests.system.aws.deployed import Deployed
from tests.system.aws.http_api import Request
from tests.system.aws.stages import BUCKET, Supabase

_FUNCTIONS: Final = ("audit", "index", "reembed", "search")
_OF_LAMBDA: Final = (
    "AWS_",
    "LAMBDA_",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "LANG",
    "LC_CTYPE",
    "PATH",
    "TMPDIR",
    "TZ",
)
"""How the names begin that Lambda itself sets, and Python for its sake; PYTHONPATH is where the code is."""


def environment_of(function: LambdaFunction) -> dict[str, str]:
    """As the running process has it."""
    [process] = [one for one in psutil.process_iter() if _task_root(one) == str(function.code)]
    return process.environ()


def _task_root(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("LAMBDA_TASK_ROOT")
    except (psutil.Error, OSError):
        return None


def unpacked(function: LambdaFunction) -> set[str]:
    files = [path for path in function.code.rglob("*") if path.is_file()]
    return {str(path.relative_to(function.code)) for path in files}


def packed(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.mark.parametrize("name", _FUNCTIONS)
class TestAFunction:
    def test_has_the_environment_of_the_template(self, name: str, in_s3: Deployed) -> None:
        function = in_s3.running(name)

        given = environment_of(function)

        assert given.pop("PYTHONPATH") == str(function.code)
        rest = {key: value for key, value in given.items() if not key.startswith(_OF_LAMBDA)}
        assert rest == in_s3.functions[name].environment

    def test_has_added_nothing_to_its_code(self, name: str, in_s3: Deployed) -> None:
        function = in_s3.running(name)

        function.invoke({})

        assert unpacked(function) == packed(in_s3.zip_of(name))

    def test_takes_less_memory_than_it_has(self, name: str, in_s3: Deployed) -> None:
        function = in_s3.running(name)

        function.invoke({})

        assert 0 < function.peak_rss_mb < in_s3.functions[name].memory_mb


@pytest.fixture
def _a_picture_indexed(in_s3: Deployed, supabase: Supabase) -> None:
    """The first one makes its model the active one; without any, nothing is ready."""
    name = supabase.user().path("the first.png")
    in_s3.aws.client("s3").put_object(Bucket=BUCKET, Key=name, Body=painted("grey"))
    in_s3.event_source("index").drain()
    assert supabase.state(name) == ("indexed", None)


class TestTheHttpApi:
    @pytest.mark.usefixtures("_a_picture_indexed")
    @pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json"])
    def test_answers_who_is_not_signed_in_what_everybody_may_know(self, path: str, in_s3: Deployed) -> None:
        answer = in_s3.request(Request("GET", path))

        assert (answer.status, bool(json.loads(answer.content))) == (200, True)

    def test_has_no_other_paths(self, in_s3: Deployed) -> None:
        answer = in_s3.request(Request("GET", "/nothing/here"))

        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"
