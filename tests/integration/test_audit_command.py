"""`pixseek audit`, `backfill`, `forget` and `status`, against the embedded stack."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from supabase import Client
from typer.testing import CliRunner

from infra.cli import app, audit
from infra.local.home import Home
from infra.local.stack import Stack
from shared.database import Database
from tests.command_line import CommandLine
from tests.integration.conftest import picture_bytes
from tests.ports import free_base_port

pytestmark = pytest.mark.long

States = Callable[[], dict[str, str]]
Named = Callable[[], list[str]]
Wait = Callable[[Callable[[], object]], None]

_FORGOTTEN = re.compile(r"forgotten/[0-9a-f]{64}")


@pytest.fixture(scope="module")
def pixseek(home: Home, stack: Stack) -> CommandLine:  # noqa: ARG001 -- it has to run
    return CommandLine(home.path, free_base_port())


@pytest.fixture
def states(sql: psycopg.Connection, bucket: str) -> States:
    """State by name, in the bucket."""

    def read() -> dict[str, str]:
        query = "select name, state from pixseek.images where bucket = %s order by name"
        return dict(sql.execute(query, (bucket,)).fetchall())

    return read


@pytest.fixture
def indexed(client: Client, bucket: str, states: States, wait_for: Wait) -> list[str]:
    """Names of three pictures that were uploaded and are searchable."""
    names = ["a.png", "ann/b.png", "c.png"]
    for place, name in enumerate(names):
        client.storage.from_(bucket).upload(name, picture_bytes((place, 20, 30)))
    wait_for(lambda: states() == dict.fromkeys(names, "indexed"))
    return names


@pytest.fixture
def damaged(indexed: list[str], bucket: str, sql: psycopg.Connection) -> Iterator[list[str]]:
    """The index has one of them under another name, which the bucket has not."""
    rename = "update pixseek.images set name = %s where bucket = %s and name = %s and state = 'indexed'"
    sql.execute(rename, ("gone.png", bucket, "c.png"))
    yield indexed
    sql.execute(rename, ("c.png", bucket, "gone.png"))


@pytest.fixture
def named(states: States, client: Client) -> Named:
    """The names that are left when what came late is scrubbed, too."""

    def read() -> list[str]:
        client.rpc("scrub_tombstones_v1", {}).execute()
        return [name for name in states() if not _FORGOTTEN.fullmatch(name)]

    return read


@pytest.fixture
def emptied(bucket: str, client: Client, sql: psycopg.Connection) -> Iterator[str]:
    """A bucket that has nothing, and whose index has three pictures."""
    client.rpc("put_bucket_v1", {"bucket_name": bucket}).execute()
    query = (
        "insert into pixseek.images (bucket, name, ordering_key, state, reason) "
        "select %s, n || '.png', 'K', 'failed', 'no picture' from generate_series(1, 3) n"
    )
    sql.execute(query, (bucket,))
    yield bucket
    sql.execute("update pixseek.images set state = 'deleted', reason = null where bucket = %s", (bucket,))


class TestAudit:
    @pytest.mark.usefixtures("indexed")
    def test_of_what_fits_succeeds(self, pixseek: CommandLine, bucket: str) -> None:
        done = pixseek.run("audit", bucket)

        assert (done.returncode, done.stderr) == (0, "")
        assert f"{bucket}: 3 objects, 3 pictures in the index, nothing to repair" in done.stdout
        assert re.search(r"^recall: .+$", done.stdout, re.MULTILINE)

    @pytest.mark.usefixtures("damaged")
    def test_tells_what_does_not_fit_and_how_to_repair_it(
        self, pixseek: CommandLine, bucket: str, states: States
    ) -> None:
        done = pixseek.run("audit", bucket, "--no-recall")

        assert done.returncode == 1
        assert re.search(r"^ *missing +1 +0 +c\.png *$", done.stdout, re.MULTILINE)
        assert re.search(r"^ *orphaned +1 +0 +gone\.png *$", done.stdout, re.MULTILINE)
        assert f"repair it: pixseek audit {bucket} --repair" in done.stdout
        assert states() == {"a.png": "indexed", "ann/b.png": "indexed", "gone.png": "indexed"}

    @pytest.mark.usefixtures("damaged")
    def test_repairs_it_and_says_who_embeds(self, pixseek: CommandLine, bucket: str, states: States) -> None:
        done = pixseek.run("audit", bucket, "--repair", "--no-recall")

        assert done.returncode == 0
        assert re.search(r"^ *missing +1 +1 +c\.png *$", done.stdout, re.MULTILINE)
        assert "`pixseek reembed`" in done.stdout
        assert states()["c.png"] == "pending"
        assert states()["gone.png"] == "deleted"

    @pytest.mark.usefixtures("damaged")
    def test_as_json_prints_a_line_each(self, pixseek: CommandLine, bucket: str) -> None:
        done = pixseek.run("audit", bucket, "--json")

        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines[:2] == [
            {"fault": "missing", "bucket": bucket, "image": "c.png"},
            {"fault": "orphaned", "bucket": bucket, "image": "gone.png"},
        ]
        assert (
            lines[2]["audit"].items()
            >= {
                "bucket": bucket,
                "state": "done",
                "objects": 3,
                "faults": {"missing": 1, "orphaned": 1},
                "repaired": {},
            }.items()
        )
        assert lines[3]["recall"]["floor"] == 0.93
        assert len(lines) == 4

    def test_of_an_unknown_bucket_names_those_that_are_known(self, pixseek: CommandLine, bucket: str) -> None:
        done = pixseek.run("audit", "nowhere", "--no-recall")

        assert done.returncode == 1
        assert "the index knows no bucket nowhere" in done.stderr
        assert "`pixseek backfill nowhere`" in " ".join(done.stderr.split())
        assert bucket not in done.stdout

    def test_of_previews_is_refused(self, pixseek: CommandLine, bucket: str) -> None:
        done = pixseek.run("audit", f"{bucket}-previews", "--no-recall")

        assert done.returncode == 1
        assert f"bucket {bucket}-previews is not followed" in done.stderr

    def test_removes_nothing_of_an_emptied_bucket_until_that_is_allowed(
        self, pixseek: CommandLine, emptied: str, states: States
    ) -> None:
        braked = pixseek.run("audit", emptied, "--repair", "--no-recall")
        kept = states()
        allowed = pixseek.run("audit", emptied, "--repair", "--allow-removals", "--no-recall")

        assert braked.returncode == 1
        assert "3 of 3 pictures are gone from the bucket" in braked.stdout
        assert set(kept.values()) == {"failed"}
        assert allowed.returncode == 0
        assert set(states().values()) == {"deleted"}

    @pytest.mark.parametrize(("answer", "state", "exit_code"), [("y", "deleted", 0), ("n", "failed", 1)])
    def test_asks_on_a_terminal(
        self,
        answer: str,
        state: str,
        exit_code: int,
        emptied: str,
        home: Home,
        states: States,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PIXSEEK_HOME", str(home.path))
        monkeypatch.setattr(audit, "_is_terminal", lambda: True)

        done = CliRunner().invoke(app, ["audit", emptied, "--repair", "--no-recall"], input=f"{answer}\n")

        assert "remove 3 of 3? [y/N]" in done.stdout
        assert done.exit_code == exit_code
        assert set(states().values()) == {state}


class TestBackfill:
    def test_makes_a_bucket_searchable_that_was_there_before(
        self, pixseek: CommandLine, indexed: list[str], bucket: str, states: States, sql: psycopg.Connection
    ) -> None:
        of_bucket = "(select id from pixseek.images where bucket = %s)"
        sql.execute(f"delete from pixseek.vectors where image_id in {of_bucket}".encode(), (bucket,))
        sql.execute("delete from pixseek.images where bucket = %s", (bucket,))
        sql.execute("delete from pixseek.buckets where name = %s", (bucket,))

        done = pixseek.run("backfill", bucket, "--yes")

        assert (done.returncode, done.stderr) == (0, "")
        assert f"{bucket}: 3 objects, the index lacks 3" in done.stdout
        assert states() == dict.fromkeys(indexed, "indexed")

    @pytest.mark.usefixtures("damaged")
    def test_asks_before_it_costs_anything(self, pixseek: CommandLine, bucket: str, states: States) -> None:
        done = pixseek.run("backfill", bucket, stdin="n\n")

        assert done.returncode == 1
        assert "Index 1 pictures? [y/N]" in done.stdout
        assert "c.png" not in states()

    @pytest.mark.usefixtures("bucket")
    def test_of_a_bucket_that_is_not_there_asks_for_its_name(self, pixseek: CommandLine) -> None:
        done = pixseek.run("backfill", f"nowhere-{uuid4().hex[:8]}", "--yes")

        assert done.returncode == 1
        assert "there is nothing in bucket nowhere" in done.stderr


class TestForget:
    def test_of_one_picture_leaves_neither_object_nor_preview_nor_name(
        self,
        pixseek: CommandLine,
        indexed: list[str],
        bucket: str,
        named: Named,
        database: Database,
        wait_for: Wait,
    ) -> None:
        done = pixseek.run("forget", "--image", indexed[0], "--bucket", bucket, "--yes")

        assert done.returncode == 0
        assert "1 forgotten" in done.stdout
        assert "backups" in done.stdout
        assert [stored.ref.name for stored in database.list_objects(bucket, "", 10)] == indexed[1:]
        assert len(database.list_objects(f"{bucket}-previews", "", 10)) == 2
        wait_for(lambda: named() == indexed[1:])

    def test_of_an_owner_takes_all_that_is_theirs(
        self,
        pixseek: CommandLine,
        indexed: list[str],
        bucket: str,
        client: Client,
        named: Named,
        database: Database,
        wait_for: Wait,
    ) -> None:
        rule = {"bucket_name": bucket, "owner_rule": "first_segment"}
        client.rpc("put_bucket_v1", rule).execute()

        done = pixseek.run("forget", "--owner", "ann", "--yes")

        assert done.returncode == 0
        assert "1 forgotten" in done.stdout
        assert [stored.ref.name for stored in database.list_objects(bucket, "", 10)] == ["a.png", "c.png"]
        wait_for(lambda: named() == [indexed[0], indexed[2]])

    def test_asks_before(self, pixseek: CommandLine, indexed: list[str], bucket: str, states: States) -> None:
        done = pixseek.run("forget", "--image", indexed[0], "--bucket", bucket, stdin="n\n")

        assert done.returncode == 1
        assert "Forget 1 picture for good? [y/N]" in done.stdout
        assert states() == dict.fromkeys(indexed, "indexed")

    def test_of_what_is_not_there_deletes_nothing(self, pixseek: CommandLine, bucket: str) -> None:
        done = pixseek.run("forget", "--image", "nothing.png", "--bucket", bucket, "--yes")

        assert done.returncode == 0
        assert "nothing of that is in the index" in done.stdout

    @pytest.mark.parametrize("arguments", [(), ("--owner", "ann", "--image", "a.png")])
    def test_needs_to_be_told_whose_or_which(self, arguments: tuple[str, ...], pixseek: CommandLine) -> None:
        done = pixseek.run("forget", *arguments, "--yes")

        assert done.returncode == 2
        assert "--owner or --image" in done.stderr

    def test_does_not_touch_the_index_of_what_lies_elsewhere(
        self, pixseek: CommandLine, local_database: Database, client: Client, tmp_path: Path
    ) -> None:
        bucket = f"elsewhere-{uuid4().hex[:8]}"
        item = {"bucket": bucket, "name": "a.png", "ordering_key": "K", "reason": "no picture"}
        client.rpc("record_images_v3", {"images": [item], "provider": "local"}).execute()

        done = pixseek.run("forget", "--image", "a.png", "--bucket", bucket, "--yes")

        assert done.returncode == 1
        assert "lie with local, and STORAGE is supabase" in " ".join(done.stderr.split())
        assert [image.ref.name for image in local_database.list_images(bucket)] == ["a.png"]
        assert list(tmp_path.iterdir()) == []


class TestStatus:
    @pytest.mark.usefixtures("damaged")
    def test_tells_how_well_the_index_is_kept(
        self, pixseek: CommandLine, bucket: str, client: Client
    ) -> None:
        for recall in (0.9, 1.0):
            measured = {"questions": 50, "recall": recall, "short_share": 0.0, "floor": 0.9}
            client.rpc("keep_recall_v1", measured).execute()
        pixseek.run("audit", bucket, "--repair", "--no-recall")

        done = pixseek.run("status")

        assert done.returncode == 0
        assert re.search(r"^ +\S+/\S+ waits longest, for \d+ \w+$", done.stdout, re.MULTILINE)
        assert re.search(r"^model .* covers [\d.]+ %", done.stdout, re.MULTILINE)
        assert re.search(
            rf"^audit     {bucket}: done, \d+ s ago; 3 objects, 2 faults, 0 left$", done.stdout, re.MULTILINE
        )
        assert re.search(r"^recall .*▁█ 100.0% of what is nearest is found", done.stdout, re.MULTILINE)
        assert re.search(r"^ +in 30 days \d+ made, \d+ saved$", done.stdout, re.MULTILINE)
