"""What the doctor says of buckets, models and upkeep, each broken on purpose."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from supabase import Client

from infra.cli.connection import Project
from infra.doctor import Deployment, Finding, Level, deployment_of, look_at
from infra.local.home import Home
from infra.local.stack import Stack
from tests.integration.conftest import picture_bytes
from tests.ports import free_base_port
from tests.roboflow_api import serving

pytestmark = pytest.mark.long

_MODEL = "pixseek/lite0-use3-conse-v1"
_NEW = "openai/clip-vit-base-patch16"
_LARGE = "openai/clip-vit-large-patch14"
_BUCKET = "doctored"


@pytest.fixture(scope="module")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("used"))


@pytest.fixture(scope="module")
def used(used_home: Home, wait_for: Callable[[Callable[[], object]], None]) -> Iterator[Stack]:
    """A stack of its own with six pictures, audited and measured a moment ago."""
    with Stack(used_home.path, free_base_port(), environment={"AUTH": "user"}) as running:
        client = Project(running.connection).client
        client.storage.create_bucket(_BUCKET)
        for place in range(6):
            client.storage.from_(_BUCKET).upload(f"{place}.png", picture_bytes((40 * place, 20, 30)))
        with psycopg.connect(running.dsn("supabase_admin"), autocommit=True) as owner:
            count = b"select count(*) from pixseek.images where state = 'indexed' and has_preview"
            wait_for(lambda: owner.execute(count).fetchone() == (6,))
            owner.execute(
                "insert into pixseek.audits (bucket, repairs, state, leased_until, ended_at) "
                "values (%s, false, 'done', now(), now())",
                (_BUCKET,),
            )
            owner.execute(
                "insert into pixseek.recalls (model_id, questions, recall, short_share, floor) "
                "select id, 10, 1, 0, 0.93 from pixseek.models where state = 'active'"
            )
        yield running


@pytest.fixture
def well(used: Stack, used_home: Home) -> Deployment:  # noqa: ARG001 -- it has to run
    found = deployment_of({}, used_home)
    assert found is not None
    return found


@pytest.fixture
def owner(used: Stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(used.dsn("supabase_admin"), autocommit=True) as connection:
        connection.execute("set search_path = public, pixseek, extensions")
        yield connection


@pytest.fixture
def used_client(used: Stack) -> Client:
    return Project(used.connection).client


def _with(deployment: Deployment, **variables: str) -> Deployment:
    return replace(deployment, variables={**deployment.variables, **variables})


def _faults(subject: str, deployment: Deployment) -> dict[str, Finding]:
    """By their checks, asked anew."""
    return {finding.check: finding for finding in look_at(subject, replace(deployment)) if finding.mend}


@pytest.mark.parametrize("subject", ["buckets", "models", "upkeep"])
def test_a_stack_that_is_looked_after_is_well(subject: str, well: Deployment) -> None:
    found = look_at(subject, well)

    assert {finding.level for finding in found} == {Level.OK}


@pytest.mark.parametrize(
    ("broken", "mended", "check", "level", "said"),
    [
        (
            "update models set similarity_floor = 0.9",
            None,
            "models.floor",
            Level.WARNING,
            "has the floor 0.9 in the index, and 0.3 here",
        ),
        (
            "update models set languages = '{en}'",
            None,
            "models.languages",
            Level.WARNING,
            "reads other languages",
        ),
        (
            "update models set state = 'retired', retired_at = now()",
            "update models set state = 'active', retired_at = null",
            "models.active",
            Level.WRONG,
            "no model is active",
        ),
        (
            "with gone as (delete from vectors where image_id = 1 returning *) insert into kept table gone",
            "with gone as (delete from kept returning *) insert into vectors table gone",
            "models.coverage",
            Level.WRONG,
            "1 pictures have no vector",
        ),
        (
            f"insert into models (name, dimensions, similarity_floor, languages, is_target, created_at) "
            f"values ('{_NEW}', 512, 0.2, '{{}}', true, now() - interval '3 days')",
            f"delete from models where name = '{_NEW}'",
            "models.target",
            Level.WRONG,
            "6 are left; it began 3 days ago, and nobody works on it",
        ),
        (
            "update recalls set recall = 0.5",
            "update recalls set recall = 1",
            "upkeep.recall",
            Level.WRONG,
            "searches found 50.0% of what is nearest",
        ),
        (
            "update recalls set checked_at = now() - interval '30 days'",
            "update recalls set checked_at = now()",
            "upkeep.recall",
            Level.WARNING,
            "30 days ago",
        ),
        (
            "update audits set bucket = 'other'",
            f"update audits set bucket = '{_BUCKET}'",
            "upkeep.audits",
            Level.WARNING,
            f"no audit has compared with the index: {_BUCKET}",
        ),
        (
            "update audits set ended_at = now() - interval '30 days'",
            "update audits set ended_at = now()",
            "upkeep.old_audits",
            Level.WARNING,
            f"more than 3 days old: {_BUCKET}",
        ),
        (
            "update audits set state = 'failed', reason = 'the bucket hid'",
            "update audits set state = 'done', reason = null",
            "upkeep.failed_audit",
            Level.WRONG,
            "has failed: the bucket hid",
        ),
        (
            "update audits set state = 'braked', reason = '9 of 10 are gone'",
            "update audits set state = 'done', reason = null",
            "upkeep.braked_audit",
            Level.WRONG,
            "9 of 10 are gone",
        ),
        (
            "update audits set state = 'running', ended_at = null, updated_at = now() - interval '2 days'",
            "update audits set state = 'done', ended_at = now()",
            "upkeep.stuck_audit",
            Level.WARNING,
            "has not gone on for 2 days",
        ),
        (
            f"update buckets set is_public = true where name = '{_BUCKET}'",
            None,
            "buckets.open_in_index",
            Level.WRONG,
            "is private in Storage, and the index shows its pictures to everybody",
        ),
        (
            f"update storage.buckets set public = true where id = '{_BUCKET}'",
            f"update storage.buckets set public = false where id = '{_BUCKET}'",
            "buckets.open_in_storage",
            Level.WARNING,
            "is public in Storage, and private in the index",
        ),
        (
            f"update storage.buckets set public = true where id = '{_BUCKET}-previews'",
            f"update storage.buckets set public = false where id = '{_BUCKET}-previews'",
            "buckets.open_previews",
            Level.WRONG,
            "everybody can read the previews",
        ),
    ],
)
def test_what_was_broken_in_the_index_is_found_until_it_is_mended(
    broken: str,
    mended: str | None,
    check: str,
    level: Level,
    said: str,
    well: Deployment,
    owner: psycopg.Connection,
) -> None:
    """By its mend, where that is SQL."""
    subject = check.partition(".")[0]
    owner.execute("create table if not exists kept (like vectors)")
    owner.execute(broken.encode())

    found = _faults(subject, well)
    owner.execute((mended or (found[check].mend or "").partition(" or,")[0]).encode())
    left = _faults(subject, well)

    assert found.keys() == {check}
    assert found[check].level is level
    assert said in found[check].what
    assert left == {}


def test_a_recall_that_nobody_has_measured_is_a_warning(well: Deployment, owner: psycopg.Connection) -> None:
    owner.execute("create table measured as table recalls")
    owner.execute("delete from recalls")

    found = _faults("upkeep", well)
    owner.execute("insert into recalls overriding system value select * from measured")

    assert "nobody has measured" in found["upkeep.recall"].what
    assert _faults("upkeep", well) == {}


def test_a_lost_bucket_of_previews_is_found(well: Deployment, owner: psycopg.Connection) -> None:
    with owner.transaction():
        owner.execute("select set_config('session_replication_role', 'replica', true)")
        owner.execute(f"update storage.buckets set id = 'away' where id = '{_BUCKET}-previews'".encode())

    broken = _faults("buckets", well)
    with owner.transaction():
        owner.execute("select set_config('session_replication_role', 'replica', true)")
        owner.execute(f"update storage.buckets set id = '{_BUCKET}-previews' where id = 'away'".encode())
    mended = _faults("buckets", well)

    assert broken["buckets.previews"].mend == f"make it and them anew: pixseek audit {_BUCKET} --repair"
    assert mended == {}


def test_a_model_that_no_embedder_serves_is_found(well: Deployment) -> None:
    other = _with(
        well,
        EMBEDDER="roboflow",
        ROBOFLOW_API_URL="http://127.0.0.1:9",
        CLIP_MODEL=_NEW,
        ROBOFLOW_API_KEY="k",
    )

    faults = _faults("models", other)

    assert faults["models.served"].what == f"searches use {_MODEL}, and the embedders are for {_NEW}"
    assert "NEXT_EMBEDDER" in (faults["models.served"].mend or "")


def test_a_model_of_other_dimensions_in_the_index_is_found(well: Deployment, used_client: Client) -> None:
    named = {"model_name": _LARGE, "model_dimensions": 384}
    used_client.rpc("create_model_v1", named).execute()
    with serving() as roboflow:
        faults = _faults(
            "embedder", _with(well, EMBEDDER="roboflow", CLIP_MODEL=_LARGE, ROBOFLOW_API_URL=roboflow.url)
        )

    assert "768 dimensions, and 384 in the index" in faults["embedder.dimensions"].what


def test_a_followed_bucket_that_is_not_in_storage_is_found_until_it_is_made(
    well: Deployment, used_client: Client
) -> None:
    following = _with(well, BUCKETS=f"{_BUCKET},holidays")

    broken = _faults("buckets", following)
    used_client.storage.create_bucket("holidays")
    used_client.rpc("put_bucket_v1", {"bucket_name": "holidays"}).execute()
    mended = _faults("buckets", following)

    assert broken.keys() == {"buckets.registered", "buckets.storage"}
    assert "there is no bucket holidays in Storage" in broken["buckets.storage"].what
    assert mended == {}


def test_a_bucket_that_is_gone_with_all_its_pictures_is_nobodys_concern(
    well: Deployment, owner: psycopg.Connection, used_client: Client
) -> None:
    used_client.rpc("put_bucket_v1", {"bucket_name": "gone"}).execute()
    picture = {"bucket": "gone", "name": "a.png", "ordering_key": "1", "content_hash": "0" * 64}
    used_client.rpc("record_images_v1", {"images": [picture]}).execute()
    live = _faults("buckets", well)
    used_client.rpc("remove_images_v1", {"objects": [{**picture, "ordering_key": "2"}]}).execute()
    left = _faults("buckets", well)
    owner.execute("delete from pixseek.images where bucket = 'gone'")
    owner.execute("delete from pixseek.buckets where name = 'gone'")

    assert "there is no bucket gone in Storage" in live["buckets.storage"].what
    assert left == {}


def test_a_stage_closes_and_opens_buckets_by_its_file(well: Deployment, owner: psycopg.Connection) -> None:
    """The next deployment would undo what SQL has done."""
    owner.execute(f"update storage.buckets set public = true where id = '{_BUCKET}'".encode())

    faults = _faults("buckets", replace(well, stage="prod"))
    owner.execute(f"update storage.buckets set public = false where id = '{_BUCKET}'".encode())

    mend = faults["buckets.open_in_storage"].mend or ""
    assert f"put {_BUCKET} into PUBLIC_BUCKETS in .env.prod, then: make deploy-supabase STAGE=prod" in mend


def test_a_policy_of_the_project_that_opens_everything_is_named(
    well: Deployment, owner: psycopg.Connection
) -> None:
    owner.execute("create policy wide on storage.objects for select to authenticated using (true)")

    broken = _faults("buckets", well)
    owner.execute("drop policy wide on storage.objects")
    mended = _faults("buckets", well)

    assert "the policy wide lets authenticated at every object" in broken["buckets.open_policy"].what
    assert mended == {}


def test_a_bucket_of_another_provider_is_found(well: Deployment, tmp_path: str) -> None:
    elsewhere = _with(well, STORAGE="local", STORAGE_DIR=str(tmp_path), BUCKETS=_BUCKET)

    faults = _faults("buckets", elsewhere)

    assert "to be of supabase, and STORAGE is local" in faults["buckets.provider"].what
    assert "there is no bucket" in faults["buckets.store"].what
