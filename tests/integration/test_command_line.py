"""The command line against a stack that `pixseek serve` keeps running, and where none runs."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra import photographs
from infra.cli.connection import Project
from infra.local.home import ROOT
from tests.command_line import CommandLine, processes_of
from tests.integration.conftest import rows
from tests.integration.test_restarts import Served
from tests.ports import free_base_port

Completed = subprocess.CompletedProcess[str]

pytestmark = pytest.mark.long

_BROKEN = "Holiday/day 1/broken.jpg"
_GOOD = ("Holiday/chelsea.png", "Holiday/coffee.png", "Holiday/rocket.jpg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs, and below them a file that only looks like one."""
    folder = tmp_path_factory.mktemp("pictures") / "Holiday"
    (folder / "day 1").mkdir(parents=True)
    (folder / "day 1" / "broken.jpg").write_text("not a picture")
    wanted = {Path(name).name for name in _GOOD}
    for photograph in photographs.packaged():
        if photograph.path.name in wanted:
            shutil.copy(photograph.path, folder)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served") / "home")
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def pixseek(served: Served) -> CommandLine:
    return CommandLine(served.home.path, int(served.environment["PIXSEEK_PORT"]))


@pytest.fixture(scope="module")
def project(served: Served) -> Project:
    connection = served.home.connection()
    assert connection is not None
    return Project(connection)


@pytest.fixture(scope="module")
def indexed(pixseek: CommandLine, folder: Path) -> Completed:
    """What `pixseek index` said of the folder."""
    return pixseek.run("index", str(folder))


@pytest.fixture
def nowhere(tmp_path: Path) -> CommandLine:
    """The command line where no stack runs."""
    return CommandLine(tmp_path / "home", free_base_port())


class TestIndex:
    def test_makes_a_folder_searchable_and_names_what_it_left_out(self, indexed: Completed) -> None:
        assert indexed.returncode == 1
        assert "3 pictures are searchable" in indexed.stdout
        assert f"left out {_BROKEN}: not a picture" in indexed.stdout
        assert indexed.stderr == ""

    @pytest.mark.usefixtures("indexed")
    def test_sends_nothing_twice(self, pixseek: CommandLine, folder: Path, project: Project) -> None:
        stored = project.client.storage.from_("photos").list("Holiday")

        again = pixseek.run("index", str(folder))

        assert "3 pictures are searchable" in again.stdout
        assert f"left out {_BROKEN}: not a picture" in again.stdout
        assert project.client.storage.from_("photos").list("Holiday") == stored

    def test_of_pictures_alone_succeeds(self, pixseek: CommandLine, folder: Path, tmp_path: Path) -> None:
        shutil.copy(folder / "coffee.png", tmp_path)

        done = pixseek.run("index", str(tmp_path), "--bucket", "cups")

        assert done.returncode == 0
        assert "1 pictures are searchable" in done.stdout
        assert "left out" not in done.stdout

    def test_of_a_folder_without_pictures_says_what_it_looked_for(
        self, pixseek: CommandLine, tmp_path: Path
    ) -> None:
        (tmp_path / "notes.txt").write_text("no picture")

        done = pixseek.run("index", str(tmp_path))

        assert done.returncode == 1
        assert "no pictures found there: jpg, png" in done.stdout


@pytest.mark.usefixtures("indexed")
class TestSearch:
    @pytest.mark.parametrize(
        ("text", "name"),
        [("a cat", _GOOD[0]), ("一杯咖啡", _GOOD[1]), ("a rocket", _GOOD[2])],
        ids=["cat", "coffee in Chinese", "rocket"],
    )
    def test_puts_the_right_picture_first(self, text: str, name: str, pixseek: CommandLine) -> None:
        done = pixseek.run("search", text, "--limit", "1")

        assert done.returncode == 0
        assert re.search(rf"^ +0\.\d\d +{re.escape(name)} *$", done.stdout, re.MULTILINE)

    def test_as_json_prints_the_answer_of_the_api(self, pixseek: CommandLine, folder: Path) -> None:
        done = pixseek.run("search", "a cat", "--json", "--limit", "1")

        assert done.returncode == 0
        reply = json.loads(done.stdout)
        assert set(reply) == {"results", "model", "path", "next_cursor", "warnings", "took_ms"}
        [result] = reply["results"]
        assert result["image"] == _GOOD[0]
        assert httpx.get(result["url"]).content == (folder / "chelsea.png").read_bytes()

    def test_that_finds_nothing_says_so(self, pixseek: CommandLine) -> None:
        done = pixseek.run("search", "tax law")

        assert done.returncode == 0
        assert done.stdout == "nothing here shows that\n"

    def test_that_finds_nothing_is_an_empty_list_in_json(self, pixseek: CommandLine) -> None:
        done = pixseek.run("search", "tax law", "--json")

        assert json.loads(done.stdout)["results"] == []

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "say what the picture shows"),
            ("a" * 5_000, "too many"),
            ("\udcff", "Unicode"),  # how Python reads bytes of the command line that are no UTF-8
        ],
        ids=["empty", "long", "not Unicode"],
    )
    def test_that_is_refused_says_why(self, text: str, reason: str, pixseek: CommandLine) -> None:
        done = pixseek.run("search", text)

        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("indexed")
class TestStatus:
    def test_tells_where_the_pictures_stand_and_why_some_failed(
        self, pixseek: CommandLine, project: Project
    ) -> None:
        done = pixseek.run("status")

        assert done.returncode == 0
        assert project.connection.supabase_url in done.stdout
        assert f"{project.connection.search_url}/search" in done.stdout
        assert re.search(r"^pictures  \d+ indexed, 1 failed$", done.stdout, re.MULTILINE)
        assert re.search(r"^model     pixseek/\S+ \(active\): \d+ vectors of 512", done.stdout, re.MULTILINE)
        assert re.search(rf"photos/{_BROKEN} +│ not a picture", done.stdout)

    def test_tells_no_secret(self, pixseek: CommandLine, project: Project) -> None:
        done = pixseek.run("status")

        assert project.connection.service_role_key not in done.stdout + done.stderr


class TestFailures:
    @pytest.fixture
    def failed_by_mistake(self, project: Project) -> str:
        """A good picture that is on record as failed."""
        [known] = [
            row
            for row in rows(project.client, "list_images_v1", bucket_name="photos")
            if row["name"] == _GOOD[0]
        ]
        item = {
            "bucket": "photos",
            "name": _GOOD[0],
            "ordering_key": known["ordering_key"],
            "reason": "Was ist?",
        }
        project.client.rpc("record_images_v1", {"images": [item]}).execute()
        return _GOOD[0]

    def test_are_shown_with_the_reason_and_what_to_do(self, pixseek: CommandLine) -> None:
        done = pixseek.run("failures")

        assert done.returncode == 0
        assert re.search(rf"photos/{_BROKEN} +not a picture", done.stdout)
        assert "pixseek failures --retry" in done.stdout

    def test_as_json_are_a_line_each(self, pixseek: CommandLine) -> None:
        done = pixseek.run("failures", "--json", "--reason", "NOT A picture")

        [line] = done.stdout.splitlines()
        failure = json.loads(line)
        assert (failure["bucket"], failure["image"]) == ("photos", _BROKEN)
        assert "not a picture" in failure["reason"]

    @pytest.mark.parametrize("option", [("--bucket", "another"), ("--reason", "50% of it")])
    def test_of_another_bucket_or_reason_are_not_shown(
        self, option: tuple[str, str], pixseek: CommandLine
    ) -> None:
        done = pixseek.run("failures", *option)

        assert done.returncode == 0
        assert done.stdout == "nothing failed\n"

    def test_tried_again_are_searchable_when_nothing_is_wrong_with_them(
        self, failed_by_mistake: str, pixseek: CommandLine, project: Project
    ) -> None:
        done = pixseek.run("failures", "--retry", "--reason", "was ist")

        assert done.returncode == 0
        assert "1 searchable now" in done.stdout
        assert failed_by_mistake in [result.image for result in project.search("a cat", 3).results]

    def test_tried_again_fail_again_when_they_are_no_pictures(self, pixseek: CommandLine) -> None:
        done = pixseek.run("failures", "--retry")

        assert done.returncode == 1
        assert "1 failed again" in done.stdout
        assert f"left out photos/{_BROKEN}: not a picture" in done.stdout


class TestSpending:
    @pytest.fixture
    def limits(self, project: Project) -> Iterator[None]:
        """As they were, afterwards."""
        yield
        limits = {"calls_per_s": 20, "search_calls_per_day": None, "indexing_calls_per_day": None}
        project.client.rpc("limit_spending_v1", {"limits": limits}).execute()

    def test_is_shown_by_lane(self, pixseek: CommandLine) -> None:
        done = pixseek.run("spending")

        assert done.returncode == 0
        assert re.fullmatch(
            r"calls     search: \d+ today, \d+ saved \(remembered text\); 20 a second at most\n"
            r"calls     indexing: \d+ today, \d+ saved \(bytes that have a vector\); 20 a second at most\n",
            done.stdout,
        )

    def test_counts_a_text_that_was_remembered(self, pixseek: CommandLine, project: Project) -> None:
        project.search("a cat that nobody asked for before", 1)
        saved = _saved(pixseek.run("spending").stdout)

        project.search("a cat that nobody asked for before", 1)

        assert _saved(pixseek.run("spending").stdout) == saved + 1

    @pytest.mark.usefixtures("limits")
    def test_can_be_limited_a_second_and_a_day(self, pixseek: CommandLine) -> None:
        limited = pixseek.run("spending", "--rate", "2.5", "--indexing-budget", "50000")
        lifted = pixseek.run("spending", "--rate", "none")

        assert limited.returncode == lifted.returncode == 0
        assert re.search(r"search: \d+ today, .*; 2\.5 a second at most", limited.stdout)
        assert re.search(r"indexing: \d+ of 50000 today, .*; 2\.5 a second at most", limited.stdout)
        assert re.search(r"indexing: \d+ of 50000 today, .*; no limit", lifted.stdout)

    @pytest.mark.parametrize(
        ("limit", "reason"),
        [
            ("--rate=many", "many is no number of calls: give a number, or none"),
            ("--search-budget=nan", "nan is no number of calls: give a number, or none"),
            ("--rate=0", "calls_per_s from 0.01 to 10000"),
            ("--indexing-budget=1.5", "indexing_calls_per_day whole numbers from 0"),
        ],
    )
    def test_has_no_limit_that_makes_no_sense(self, limit: str, reason: str, pixseek: CommandLine) -> None:
        done = pixseek.run("spending", limit)

        assert done.returncode == 1
        assert done.stdout == ""
        assert reason in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr


def _saved(shown: str) -> int:
    found = re.search(r"search: .* (\d+) saved", shown)
    assert found
    return int(found[1])


class TestWhereNothingRuns:
    @pytest.mark.parametrize("command", ["index", "search", "status"])
    def test_a_command_says_how_to_start_a_stack(
        self, command: str, nowhere: CommandLine, tmp_path: Path
    ) -> None:
        arguments = {"index": [str(tmp_path)], "search": ["a cat"], "status": []}[command]

        done = nowhere.run(command, *arguments)

        assert done.returncode == 3
        assert done.stdout == ""
        assert "no stack is running. Start one with `make serve`" in done.stderr

    @pytest.mark.parametrize(
        "command",
        [
            "search",
            "status",
            "index",
        ],
    )
    def test_a_project_that_does_not_answer_is_named(
        self, command: str, nowhere: CommandLine, folder: Path
    ) -> None:
        arguments = {"index": [str(folder)], "search": ["a cat"], "status": []}[command]
        url = f"http://127.0.0.1:{nowhere.base_port}"

        done = nowhere.run(
            command,
            *arguments,
            SUPABASE_URL=url,
            SEARCH_URL=url,
            SUPABASE_ANON_KEY="anon",
            SUPABASE_SERVICE_ROLE_KEY="service",
        )

        assert done.returncode == 3
        assert f"{url} does not answer" in done.stderr
        assert "Traceback" not in done.stderr


def test_pictures_are_not_put_where_nobody_follows_them(nowhere: CommandLine, folder: Path) -> None:
    url = f"http://127.0.0.1:{nowhere.base_port}"

    done = nowhere.run(
        "index",
        str(folder),
        STORAGE="s3",
        SUPABASE_URL=url,
        SEARCH_URL=url,
        SUPABASE_ANON_KEY="anon",
        SUPABASE_SERVICE_ROLE_KEY="service",
    )

    assert done.returncode == 1
    assert "STORAGE=s3" in done.stderr
    assert "aws s3 sync" in done.stderr


def test_an_address_with_a_password_is_refused_and_not_shown(nowhere: CommandLine) -> None:
    done = nowhere.run(
        "status",
        SUPABASE_URL="postgresql://postgres:hunter2@db.example",
        SEARCH_URL="https://search.example",
        SUPABASE_ANON_KEY="anon",
        SUPABASE_SERVICE_ROLE_KEY="service",
    )

    assert done.returncode == 3
    assert "SUPABASE_URL" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "/no/such/folder"],
        ["search"],
        ["search", "a cat", "--limit", "1001"],
        ["demo", "--photos", "/no/such/folder"],
        ["find"],
    ],
    ids=" ".join,
)
def test_wrong_usage_has_an_exit_code_of_its_own(arguments: list[str], nowhere: CommandLine) -> None:
    done = nowhere.run(*arguments)

    assert done.returncode == 2
    assert "Usage: pixseek" in done.stderr


def test_the_help_names_every_command(nowhere: CommandLine) -> None:
    done = nowhere.run("--help")

    assert done.returncode == 0
    assert {"demo", "serve", "index", "search", "status"} <= set(done.stdout.split())


def test_a_port_that_is_no_number_is_named(nowhere: CommandLine) -> None:
    done = nowhere.run("serve", PIXSEEK_PORT="http")

    assert done.returncode == 1
    assert "PIXSEEK_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_processes_of_a_stack_can_be_told_from_others(served: Served) -> None:
    found = processes_of(served.home.path.parent)

    assert {process.pid for process in served.family().values()} <= {process.pid for process in found}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("demo") / "home", free_base_port())


@pytest.fixture(scope="module")
def asked(own: CommandLine, folder: Path) -> Completed:
    """A demo that is asked for something of every kind: found, not there, and refused."""
    questions = ["a cat", "tax law", "a" * 5_000, "火箭", "", "never asked"]
    return own.run("demo", stdin="\n".join(questions), PHOTOS=str(folder))


@pytest.mark.long
class TestTheDemoOfOnesOwnPhotographs:
    def test_finds_the_right_picture(self, asked: Completed) -> None:
        assert asked.returncode == 0
        assert re.findall(r"^ +0\.\d\d +(\S+) *$", asked.stdout, re.MULTILINE) == [_GOOD[0], _GOOD[2]]

    def test_says_that_nothing_was_found_or_why_a_question_was_refused(self, asked: Completed) -> None:
        assert asked.stdout.count("nothing here shows that") == 1
        assert asked.stdout.count("too many") == 1

    def test_names_the_broken_picture_with_the_reason(self, asked: Completed) -> None:
        assert f"left out {_BROKEN}: not a picture" in asked.stdout

    def test_complains_of_nothing(self, asked: Completed) -> None:
        assert asked.stderr == ""

    @pytest.mark.usefixtures("asked")
    def test_leaves_no_process_behind(self, own: CommandLine) -> None:
        assert processes_of(own.home.parent) == []

    def test_shows_what_was_asked_on_the_contact_sheet(self, own: CommandLine, folder: Path) -> None:
        done = own.run("demo", "--photos", str(folder), stdin="一杯咖啡\n<b>tax law</b>\n")

        sheet = (ROOT / "build" / "demo.html").read_text(encoding="utf-8")
        assert done.returncode == 0
        assert re.findall("<h2>(.*?)<small>", sheet) == ["一杯咖啡", "&lt;b&gt;tax law&lt;/b&gt;"]
        assert re.findall('alt="(.*?)"', sheet) == [_GOOD[1]]
        assert sheet.count("Nothing here shows that.") == 1

    def test_of_a_folder_without_pictures_says_so(self, own: CommandLine, tmp_path: Path) -> None:
        done = own.run("demo", PHOTOS=str(tmp_path))

        assert done.returncode == 1
        assert f"no pictures found in {tmp_path}" in done.stdout
