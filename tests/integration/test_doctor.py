"""What the doctor says of keys, the database API, clocks and commands, each broken on purpose."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import jwt
import psycopg
import pytest

from infra.doctor import Deployment, Finding, Level, deployment_of, examine, look_at
from infra.local.home import Home, Keys
from infra.local.stack import Stack
from tests.command_line import CommandLine
from tests.integration.faulty_gateway import HANG, Fault, FaultyGateway, faulty_gateway
from tests.ports import free_base_port

pytestmark = pytest.mark.long

_NO_FUNCTION = Fault(
    404, b'{"code": "PGRST202", "message": "no such function", "hint": null, "details": null}'
)
_NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("doctor"))


@pytest.fixture(scope="module")
def fresh(fresh_home: Home) -> Iterator[Stack]:
    """A stack that nobody has used."""
    with Stack(fresh_home.path, free_base_port(), environment={"AUTH": "user"}) as running:
        yield running


@pytest.fixture
def well(fresh: Stack, fresh_home: Home) -> Deployment:  # noqa: ARG001 -- it has to run
    found = deployment_of({}, fresh_home)
    assert found is not None
    return found


@pytest.fixture
def secrets(fresh: Stack, fresh_home: Home) -> Keys:  # noqa: ARG001 -- it makes them
    return fresh_home.keys()


@pytest.fixture
def gateway(well: Deployment) -> Iterator[FaultyGateway]:
    """In front of the project."""
    with faulty_gateway(well.variable("SUPABASE_URL")) as running:
        yield running


@pytest.fixture
def pixseek(fresh_home: Home) -> CommandLine:
    return CommandLine(fresh_home.path, free_base_port())


def _with(deployment: Deployment, **variables: str) -> Deployment:
    return replace(deployment, variables={**deployment.variables, **variables})


def _faults(subject: str, deployment: Deployment) -> dict[str, Finding]:
    """By their checks, asked anew."""
    return {finding.check: finding for finding in look_at(subject, replace(deployment)) if finding.mend}


def _signed(secret: str, **claims: object) -> str:
    return jwt.encode({"iss": "supabase", **claims}, secret, algorithm="HS256")


def test_a_fresh_stack_is_all_well(well: Deployment) -> None:
    found = examine(well)

    assert [finding for finding in found if finding.level is not Level.OK] == []
    assert {finding.subject for finding in found} == {
        "settings",
        "keys",
        "database",
        "buckets",
        "search",
        "webhook",
        "embedder",
        "models",
        "upkeep",
        "clock",
    }


def test_a_new_deployment_is_told_to_upload_a_picture_and_no_more(fresh: Stack, well: Deployment) -> None:
    with psycopg.connect(fresh.dsn("supabase_admin"), autocommit=True) as owner:
        owner.execute("set session_replication_role = 'replica'")
        owner.execute("create table pixseek.kept as table pixseek.models")
        owner.execute("delete from pixseek.models")
        found = {finding.check: finding for finding in examine(well)}
        owner.execute("insert into pixseek.models overriding system value select * from pixseek.kept")
        owner.execute("drop table pixseek.kept")

    assert [finding.check for finding in found.values() if finding.mend] == ["models.empty"]
    assert found["models.empty"].level is Level.WARNING
    assert found["models.empty"].what == "the index is empty: upload a picture"
    assert found["search.ready"].level is Level.NOT_LOOKED_AT
    assert found["search.answer"].level is Level.NOT_LOOKED_AT
    assert found["upkeep.rest"].level is Level.NOT_LOOKED_AT


@pytest.mark.parametrize(
    ("variables", "check", "said"),
    [
        ({"SUPABASE_ANON_KEY": ""}, "settings.parse", "SUPABASE_ANON_KEY"),
        ({"AUTH": "nobody"}, "settings.parse", "AUTH"),
        ({"EMBEDDER": "roboflow"}, "settings.parse", "ROBOFLOW_API_KEY is missing"),
        ({"SUPABASE_URL": _NOBODY}, "keys.url", "does not answer"),
    ],
)
def test_what_a_variable_breaks_is_named(
    variables: dict[str, str], check: str, said: str, well: Deployment
) -> None:
    faults = _faults(check.partition(".")[0], _with(well, **variables))

    assert faults.keys() == {check}
    assert said in faults[check].what


def test_an_address_of_something_else_is_no_project(well: Deployment) -> None:
    faults = _faults("keys", _with(well, SUPABASE_URL=well.variable("SEARCH_URL")))

    assert faults["keys.url"].what.endswith("and not as a Supabase project does")


def test_exchanged_keys_are_found(well: Deployment, secrets: Keys) -> None:
    exchanged = _with(
        well, SUPABASE_ANON_KEY=secrets.service_role_key, SUPABASE_SERVICE_ROLE_KEY=secrets.anon_key
    )

    faults = _faults("keys", exchanged)

    assert faults.keys() == {"keys.exchanged", "keys.anon", "keys.service"}
    assert (faults["keys.exchanged"].mend or "").startswith("exchange them")
    assert "may not call" in faults["keys.service"].what


def test_the_service_key_in_the_place_of_the_anon_key_is_found(well: Deployment, secrets: Keys) -> None:
    faults = _faults("keys", _with(well, SUPABASE_ANON_KEY=secrets.service_role_key))

    assert faults.keys() == {"keys.exchanged", "keys.anon"}
    assert "rotate the service key" in (faults["keys.anon"].mend or "")


@pytest.mark.parametrize(
    ("variable", "role", "check"),
    [
        ("SUPABASE_ANON_KEY", "anon", "keys.anon"),
        ("SUPABASE_SERVICE_ROLE_KEY", "service_role", "keys.service"),
    ],
)
def test_a_key_that_another_project_has_signed_is_refused(
    variable: str, role: str, check: str, well: Deployment
) -> None:
    theirs = _signed("another project's secret, long enough", role=role)

    faults = _faults("keys", _with(well, **{variable: theirs}))

    assert "is refused by the project" in faults[check].what


def test_an_expired_key_is_told_from_a_wrong_one(well: Deployment, secrets: Keys) -> None:
    expired = _signed(secrets.jwt_secret, role="service_role", exp=int(time.time()) - 60)

    faults = _faults("keys", _with(well, SUPABASE_SERVICE_ROLE_KEY=expired))

    assert faults["keys.expired"].what == "SUPABASE_SERVICE_ROLE_KEY has expired"


@pytest.mark.parametrize("secret", ["another project's secret, long enough", "too short"])
def test_a_jwt_secret_of_another_project_is_found(secret: str, well: Deployment) -> None:
    faults = _faults("keys", _with(well, SUPABASE_JWT_SECRET=secret))

    assert "has not signed SUPABASE_ANON_KEY" in faults["keys.tokens"].what


def test_a_project_whose_users_tokens_nobody_can_check_is_found(
    well: Deployment, gateway: FaultyGateway
) -> None:
    gateway.faults["/auth/v1/.well-known/jwks.json"] = Fault(200, b'{"keys": []}')
    behind = _with(well, SUPABASE_URL=gateway.url, SUPABASE_JWT_SECRET="")

    broken = _faults("keys", behind)
    gateway.faults.clear()
    mended = _faults("keys", behind)

    assert "nobody can sign in" in broken["keys.tokens"].what
    assert mended == {}


def test_an_exposed_schema_is_found(well: Deployment, gateway: FaultyGateway) -> None:
    gateway.faults["/rest/v1/rpc/caller_roles"] = Fault(200, b"[]")
    behind = _with(well, SUPABASE_URL=gateway.url)

    broken = _faults("keys", behind)
    gateway.faults.clear()
    mended = _faults("keys", behind)

    assert "Exposed schemas" in (broken["keys.schema"].mend or "")
    assert mended == {}


def test_a_project_without_migrations_is_told_to_apply_them(well: Deployment, gateway: FaultyGateway) -> None:
    gateway.faults["/rest/v1/rpc/"] = _NO_FUNCTION
    hosted = replace(_with(well, SUPABASE_URL=gateway.url), is_local=False, stage="prod")

    [fault] = look_at("database", hosted)
    keys = _faults("keys", hosted)

    assert fault.what.startswith("no migration is applied")
    assert fault.mend == "make deploy-supabase STAGE=prod"
    assert keys["keys.anon"].mend == "make deploy-supabase STAGE=prod"


def test_a_project_with_some_migrations_is_told_how_far_they_have_come(
    well: Deployment, gateway: FaultyGateway
) -> None:
    later = ("doctor_v1", "recalls_v1", "daily_calls_v1", "oldest_pending_v1", "images_to_forget_v1")
    gateway.faults.update({f"/rest/v1/rpc/{name}": _NO_FUNCTION for name in later})
    behind = _with(well, SUPABASE_URL=gateway.url)

    broken = _faults("database", behind)
    gateway.faults.clear()
    mended = _faults("database", behind)

    assert "the last that is there for sure is 20261127160000_auditing" in broken["database.migrations"].what
    assert mended == {}


def test_checks_that_need_what_is_broken_say_so_and_the_others_go_on(
    well: Deployment, gateway: FaultyGateway
) -> None:
    gateway.faults["/rest/v1/rpc/"] = Fault(503)
    behind = _with(well, SUPABASE_URL=gateway.url)

    found = {finding.check: finding for finding in examine(behind)}

    assert found["models.rest"].level is Level.WRONG
    assert found["models.rest"].mend
    assert found["models.rest"].what == "list_models_v1 is answered with 503 (no code)"
    assert found["webhook.secret"].level is Level.OK
    assert found["search.answer"].level is Level.OK


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_what_keys_may_do_cannot_be_told_by_a_broken_api(
    status: int, well: Deployment, gateway: FaultyGateway
) -> None:
    gateway.faults["/rest/v1/"] = Fault(status, b"{}")

    faults = _faults("keys", _with(well, SUPABASE_URL=gateway.url))

    assert faults.keys() == {"keys.anon", "keys.service", "keys.schema"}
    assert {"cannot be told" in fault.what for fault in faults.values()} == {True}


@pytest.mark.parametrize("code", [b"42501", b"PGRST202"])
def test_a_schema_that_is_looked_into_is_exposed_all_the_same(
    code: bytes, well: Deployment, gateway: FaultyGateway
) -> None:
    gateway.faults["/rest/v1/rpc/caller_roles"] = Fault(403, b'{"code": "%s"}' % code)

    faults = _faults("keys", _with(well, SUPABASE_URL=gateway.url))

    assert "Exposed schemas" in (faults["keys.schema"].mend or "")


def test_checks_share_what_the_project_has_told(well: Deployment, gateway: FaultyGateway) -> None:
    examine(_with(well, SUPABASE_URL=gateway.url))

    asked = Counter(path.rpartition("/")[2] for path in gateway.with_secrets)
    assert asked["doctor_v1"] == 2  # the clock's check asks for the time of its own moment
    assert [asked[name] for name in ("list_models_v1", "index_counts_v1")] == [1, 1]


def test_no_key_goes_to_what_is_no_project(well: Deployment, gateway: FaultyGateway) -> None:
    gateway.faults["/"] = Fault(200, b"[]")

    found = examine(_with(well, SUPABASE_URL=gateway.url))

    assert "not as a Supabase project does" in str(found)
    assert gateway.with_secrets == []


def test_a_key_with_a_line_end_is_neither_shown_nor_sent(
    pixseek: CommandLine, well: Deployment, gateway: FaultyGateway, secrets: Keys
) -> None:
    project = {name: value for name, value in well.variables.items() if name.startswith("SUPABASE_")}
    torn = {
        **project,
        "SUPABASE_URL": gateway.url,
        "SUPABASE_SERVICE_ROLE_KEY": f"{secrets.service_role_key}\r",
    }

    run = pixseek.run("doctor", "--no-model", **torn)

    assert run.returncode == 1
    assert "SUPABASE_SERVICE_ROLE_KEY has a line end in it: is the file saved with CRLF?" in run.stdout
    assert secrets.service_role_key not in run.stdout + run.stderr
    assert gateway.with_secrets == []


def test_what_hangs_holds_up_nobody_for_ever(well: Deployment, gateway: FaultyGateway) -> None:
    gateway.faults["/auth/"] = HANG

    faults = _faults("keys", _with(well, SUPABASE_URL=gateway.url))

    assert "does not answer (ReadTimeout)" in faults["keys.url"].what


@pytest.mark.parametrize(("ahead_s", "way"), [(90.0, "ahead of"), (-90.0, "behind")])
def test_a_function_whose_clock_is_wrong_is_found(ahead_s: float, way: str, well: Deployment) -> None:
    with faulty_gateway(well.variable("SEARCH_URL")) as search:
        behind = _with(well, SEARCH_URL=search.url)
        search.ahead_s = ahead_s
        broken = _faults("clock", behind)
        search.ahead_s = 0.0
        mended = _faults("clock", behind)

    assert f"s {way} that of this machine" in broken["clock.function"].what
    assert mended == {}


def test_a_database_whose_clock_is_wrong_is_found(well: Deployment, gateway: FaultyGateway) -> None:
    facts = well.facts.model_dump(mode="json") | {"now": "2001-01-01T00:00:00+00:00"}
    gateway.faults["/rest/v1/rpc/doctor_v1"] = Fault(200, json.dumps(facts).encode())

    faults = _faults("clock", _with(well, SUPABASE_URL=gateway.url))

    assert faults.keys() == {"clock.database"}


def test_the_command_says_that_all_is_well(pixseek: CommandLine, well: Deployment) -> None:  # noqa: ARG001
    run = pixseek.run("doctor")

    assert run.returncode == 0, run.stdout
    assert "all is well" in run.stdout


def test_the_command_tells_faults_with_their_mends_and_no_secret(
    pixseek: CommandLine, well: Deployment, secrets: Keys
) -> None:
    project = {name: value for name, value in well.variables.items() if name.startswith("SUPABASE_")}
    broken = {**project, "SUPABASE_ANON_KEY": secrets.service_role_key, "WEBHOOK_SECRET": "short"}

    run = pixseek.run("doctor", "--no-model", **broken)

    assert run.returncode == 1
    assert "SUPABASE_ANON_KEY holds a key of the service" in run.stdout
    assert "→ take it from the dashboard" in run.stdout
    assert secrets.service_role_key not in run.stdout + run.stderr
    assert secrets.jwt_secret not in run.stdout + run.stderr


def test_a_project_without_addresses_is_warned_of_what_cannot_be_told(
    pixseek: CommandLine, well: Deployment
) -> None:
    project = {name: value for name, value in well.variables.items() if name.startswith("SUPABASE_")}

    run = pixseek.run("doctor", "--no-model", "--json", **project)

    answer = json.loads(run.stdout)
    levels = {found["check"]: found["level"] for found in answer["findings"]}
    assert (levels["search.url"], levels["webhook.url"]) == ("warning", "warning")
    assert (levels["embedder.rest"], levels["clock.function"]) == ("not looked at", "not looked at")
    assert answer["project"] == well.variable("SUPABASE_URL")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_address_of_a_database_is_not_shown(
    form: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    nowhere = CommandLine(tmp_path_factory.mktemp("nowhere") / "home", free_base_port())

    run = nowhere.run(
        "doctor", "--no-model", *form, SUPABASE_URL="postgresql://postgres:hunter2@db.invalid/postgres"
    )

    assert run.returncode == 1
    assert "(no address)" in run.stdout
    assert "hunter2" not in run.stdout + run.stderr


def test_nothing_that_runs_is_an_error_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = CommandLine(tmp_path_factory.mktemp("nowhere") / "home", free_base_port())

    run = nowhere.run("doctor")

    assert run.returncode == 3
    assert "make serve" in run.stderr


def test_a_stage_without_a_file_is_told_to_make_one(pixseek: CommandLine) -> None:
    run = pixseek.run("doctor", "--stage", "none-such")

    assert run.returncode == 1
    assert "copy .env.example to .env.none-such" in run.stderr


def test_the_faults_of_a_database_reach_the_command(
    pixseek: CommandLine,
    fresh: Stack,
    well: Deployment,  # noqa: ARG001
) -> None:
    with psycopg.connect(fresh.dsn("postgres"), autocommit=True) as owner:
        owner.execute("grant execute on function public.list_models_v1 to anon")
        broken = pixseek.run("doctor", "--faults", "--no-model")
        owner.execute("revoke execute on function public.list_models_v1() from public, anon")
        mended = pixseek.run("doctor", "--faults", "--no-model")

    assert broken.returncode == 1
    assert "→ revoke execute on function public.list_models_v1() from public, anon;" in broken.stdout
    assert mended.returncode == 0
