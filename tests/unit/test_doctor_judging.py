"""What the doctor makes of what it was told, and what it never tells."""

import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from infra.doctor import Deployment, Finding, Level, examining, look_at
from infra.doctor.clock import clock_finding
from infra.doctor.deployment import deployment_of, deployment_of_stage
from infra.doctor.facts import Target
from infra.doctor.findings import not_looked_at, ok, some, warning, wrong
from infra.doctor.key_forms import form_findings
from infra.doctor.models import target_finding
from infra.doctor.timeouts import timeout_findings
from infra.doctor.upkeep import PastRecall, recall_finding

_URL = "https://abcd.supabase.co"
_NOW = datetime(2026, 11, 27, tzinfo=UTC)


def _key(role: str, ref: str = "abcd", **claims: object) -> str:
    signed = {"iss": "supabase", "role": role, "ref": ref, **claims}
    return jwt.encode(signed, "a secret of whatever project this is", algorithm="HS256")


_ANON, _SERVICE = _key("anon"), _key("service_role")
_PUBLISHABLE, _SECRET = "sb_publishable_abc", "sb_secret_abc"


@pytest.mark.parametrize(
    ("anon_key", "service_key"), [(_ANON, _SERVICE), (_PUBLISHABLE, _SECRET), (_ANON, _SECRET), ("x", "y")]
)
def test_keys_in_their_places_are_well(anon_key: str, service_key: str) -> None:
    found = list(form_findings(_URL, anon_key, service_key))

    assert found == []


@pytest.mark.parametrize(
    ("anon_key", "service_key", "check", "said"),
    [
        (_SERVICE, _ANON, "keys.exchanged", "are exchanged"),
        (_SECRET, _PUBLISHABLE, "keys.exchanged", "are exchanged"),
        (_SECRET, _SECRET, "keys.exchanged", "passes every policy"),
        (_ANON, _ANON, "keys.exchanged", "SUPABASE_SERVICE_ROLE_KEY holds an anon (publishable) key"),
        (_key("anon", "efgh"), _SERVICE, "keys.project", "of project efgh, and SUPABASE_URL is of abcd"),
        (_ANON, _key("service_role", exp=1), "keys.expired", "SUPABASE_SERVICE_ROLE_KEY has expired"),
        (f"'{_ANON}'", _SERVICE, "keys.form", "SUPABASE_ANON_KEY has spaces or quotes around it"),
        (_PUBLISHABLE, f" {_SECRET}", "keys.form", "SUPABASE_SERVICE_ROLE_KEY has spaces"),
    ],
)
def test_what_keys_tell_of_themselves_is_found(
    anon_key: str, service_key: str, check: str, said: str
) -> None:
    [found] = form_findings(_URL, anon_key, service_key)

    assert found.check == check
    assert said in found.what
    assert found.mend


def test_a_project_of_ones_own_host_has_no_name_to_compare() -> None:
    found = list(form_findings("https://db.example", _key("anon", "efgh"), _SERVICE))

    assert found == []


@pytest.mark.parametrize(
    ("timeouts", "said"),
    [
        ({"anon": "3s", "authenticated": "8s", "authenticator": "8s"}, "statements have time enough"),
        ({"anon": "0", "authenticated": "0", "authenticator": None}, "statements have time enough"),
        (
            {"anon": "500ms", "authenticated": "8s", "authenticator": "8s"},
            "anon has 500ms for a statement: searches may be cut off",
        ),
        (
            {"anon": "3s", "authenticated": "2000", "authenticator": "1min"},
            "authenticated has 2000 for a statement: searches may be cut off",
        ),
        (
            {"anon": "3s", "authenticated": "8s", "authenticator": "1s"},
            "service_role has 1s for a statement: searches may be cut off",
        ),
    ],
)
def test_a_role_with_little_time_is_found(timeouts: dict[str, str | None], said: str) -> None:
    [found] = timeout_findings(timeouts)

    assert found.what == said


@pytest.mark.parametrize(
    ("apart_s", "level"),
    [(0, Level.OK), (29, Level.OK), (-29, Level.OK), (31, Level.WRONG), (-31, Level.WRONG)],
)
def test_clocks_may_differ_by_half_a_minute(apart_s: float, level: Level) -> None:
    now = time.time()

    found = clock_finding("database", datetime.fromtimestamp(now + apart_s, UTC), now, now)

    assert found.level is level


def test_a_slow_answer_is_no_wrong_clock() -> None:
    found = clock_finding("database", datetime.fromtimestamp(1050, UTC), 1000, 1060)

    assert found.level is Level.OK


@pytest.mark.parametrize(
    ("age_days", "is_worked_on", "missing", "level"),
    [
        (0.5, False, 5, Level.OK),
        (3, True, 5, Level.OK),
        (3, False, 5, Level.WRONG),
        (3, False, 0, Level.WARNING),
    ],
)
def test_a_build_hangs_when_it_is_old_and_nobody_works_on_it(
    age_days: float, is_worked_on: bool, missing: int, level: Level
) -> None:
    target = Target(name="m", age_s=age_days * 86_400, is_worked_on=is_worked_on)

    found = target_finding(target, missing)

    assert found.level is level


@pytest.mark.parametrize(
    ("recall", "age_days", "level"), [(0.95, 1, Level.OK), (0.95, 9, Level.WARNING), (0.92, 1, Level.WRONG)]
)
def test_a_recall_is_judged_by_its_floor_and_its_age(recall: float, age_days: float, level: Level) -> None:
    last = PastRecall(model="m", checked_at=_NOW - timedelta(days=age_days), recall=recall, floor=0.93)

    found = recall_finding([last], 100, _NOW)

    assert found.level is level


@pytest.mark.parametrize(("images", "level"), [(4, Level.OK), (5, Level.WARNING)])
def test_a_recall_that_nobody_measured_is_missed_where_there_are_pictures(images: int, level: Level) -> None:
    found = recall_finding([], images, _NOW)

    assert found.level is level


@pytest.mark.parametrize(
    "variable",
    [
        "SUPABASE_ANON_KEY",
        "SUPABASE_SERVICE_ROLE_KEY",
        "SUPABASE_JWT_SECRET",
        "WEBHOOK_SECRET",
        "WEBHOOK_SECRET_BEFORE",
        "ROBOFLOW_API_KEY",
        "SUPABASE_ACCESS_TOKEN",
        "SUPABASE_DB_PASSWORD",
        "SUPABASE_DB_URL",
    ],
)
def test_a_finding_never_shows_a_secret(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quoting = wrong("keys.x", "it said: no such key sb_secret_abcdef", "replace sb_secret_abcdef")
    monkeypatch.setitem(examining.SUBJECTS, "keys", lambda _: iter([quoting]))

    [found] = look_at("keys", Deployment({variable: "sb_secret_abcdef"}))

    assert (found.what, found.mend) == ("it said: no such key …", "replace …")


def test_what_was_found_before_a_check_could_not_go_on_is_kept() -> None:
    found = look_at("search", Deployment({"SEARCH_URL": "http://search.example:notaport"}))

    assert found[-1].level is Level.WRONG
    assert "an address is none" in found[-1].what


@pytest.mark.parametrize("subject", ["keys", "database", "buckets", "search", "models", "embedder", "upkeep"])
def test_without_any_variable_nothing_can_be_looked_at(subject: str) -> None:
    [found] = look_at(subject, Deployment({}))

    assert found.level is Level.NOT_LOOKED_AT


def test_wrong_settings_are_named_once_and_spare_the_other_checks() -> None:
    deployment = Deployment({"SUPABASE_URL": "no address"})

    [settings] = look_at("settings", deployment)
    [webhook] = look_at("webhook", deployment)

    assert "SUPABASE_URL" in settings.what
    assert webhook == not_looked_at("webhook.rest", "the settings are missing or wrong")


def test_a_variable_of_a_project_is_enough_to_mean_it() -> None:
    found = deployment_of({"SUPABASE_URL": _URL})

    assert found is not None
    assert not found.is_local


def test_on_s3_a_stage_follows_its_bucket() -> None:
    on_s3 = deployment_of_stage({"STORAGE": "s3", "S3_BUCKET": "pictures", "BUCKETS": "others"})
    on_supabase = deployment_of_stage({"S3_BUCKET": "", "BUCKETS": "others"})

    assert on_s3.variables["BUCKETS"] == "pictures"
    assert on_supabase.variables["BUCKETS"] == "others"


@pytest.mark.parametrize(
    ("finding", "is_well"),
    [
        (ok("a.b", "x"), True),
        (warning("a.b", "x", "y"), True),
        (not_looked_at("a.b", "x"), True),
        (wrong("a.b", "x", "y"), False),
    ],
)
def test_warnings_are_well(finding: Finding, is_well: bool) -> None:
    found = examining.is_well([finding])

    assert found is is_well


def test_of_many_names_the_first_are_told() -> None:
    told = some(["a", "b", "c", "d", "e"])

    assert told == "a, b, c and 2 more"
