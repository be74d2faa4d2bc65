"""What the doctor makes of what it was told, and what it never tells."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpcore
import httpx
import jwt
import pytest

from infra.doctor import Deployment, Finding, Level, examining, look_at
from infra.doctor.addresses import checked_address, shown_address
from infra.doctor.answers import ask_for_keys
from infra.doctor.choosing import deployment_of, deployment_of_stage
from infra.doctor.clock import clock_finding
from infra.doctor.database import pgvector_finding, timeout_findings
from infra.doctor.expected import statement_at
from infra.doctor.facts import Policy, Posts, StorageGuards, Target, Trigger, Vault, Webhook
from infra.doctor.findings import CannotTell, not_looked_at, ok, some, warning, wrong
from infra.doctor.key_forms import form_findings
from infra.doctor.models import target_finding
from infra.doctor.policies import policy_findings
from infra.doctor.secrets import checked_secret
from infra.doctor.stores import s3_endpoint
from infra.doctor.trigger import digest_of, trigger_findings
from infra.doctor.upkeep import PastRecall, recall_finding
from infra.local.home import ROOT

_URL = "https://abcd.supabase.co"
_NOW = datetime(2026, 11, 27, tzinfo=UTC)


def _key(role: str, ref: str = "abcd", **claims: object) -> str:
    signed = {"iss": "supabase", "role": role, "ref": ref, **claims}
    return jwt.encode(signed, "a secret of whatever project this is", algorithm="HS256")


_ANON, _SERVICE = _key("anon"), _key("service_role")
_PUBLISHABLE, _SECRET = "sb_publishable_abc", "sb_secret_abc"
_COMPLETE = {
    "SUPABASE_URL": "http://127.0.0.1:9",
    "SUPABASE_ANON_KEY": _ANON,
    "SUPABASE_SERVICE_ROLE_KEY": _SERVICE,
    "WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef",
}
"""Nobody is at the address."""


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
    ],
)
def test_what_keys_tell_of_themselves_is_found(
    anon_key: str, service_key: str, check: str, said: str
) -> None:
    [found] = form_findings(_URL, anon_key, service_key)

    assert found.check == check
    assert said in found.what
    assert found.mend


@pytest.mark.parametrize("host", ["abcd-all", "abcd-rr-eu-west-1-efgh"])
def test_a_project_has_names_beside_its_own(host: str) -> None:
    found = list(form_findings(f"https://{host}.supabase.co", _ANON, _SERVICE))

    assert found == []


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


@pytest.mark.parametrize(
    ("secret", "quoted"),
    [
        ("sb_secret_abcdef\r", "b'Bearer sb_secret_abcdef\\r'"),
        ("sb_secret_abcdef\r", "Bearer sb_secret_abcdef"),
        ('"sb_secret_abcdef"', "Bearer sb_secret_abcdef"),
        ("sb_secret_äbcdef", r"b'sb_secret_\xc3\xa4bcdef'"),
        ("sb_secret_äbcdef", r"'sb_secret_\u00e4bcdef'"),
        ("sb_secret_äbcdef", r"'sb_secret_\xe4bcdef'"),
        ("sb secret abcdef", "https://x.example?key=sb%20secret%20abcdef"),
    ],
)
def test_a_secret_is_not_shown_in_other_forms_either(
    secret: str, quoted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(examining.SUBJECTS, "keys", lambda _: iter([wrong("keys.x", quoted, "x")]))

    [found] = look_at("keys", Deployment({"SUPABASE_SERVICE_ROLE_KEY": secret}))

    assert "…" in found.what
    assert "bcdef" not in found.what


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("sb_secret_abc\r", "has a line end in it: is the file saved with CRLF?"),
        ("sb_secret_abc\n", "has a line end in it"),
        (" sb_secret_abc", "has spaces around it"),
        ("sb_secret\tabc", "signs in it that cannot be printed"),
        ("sb_secret\x1babc", "signs in it that cannot be printed"),
        ("sb_secret_äbc", "are not ASCII"),
        ("'sb_secret_abc'", "has quotes around it"),
    ],
)
def test_a_key_that_cannot_be_sent_is_not_sent(secret: str, said: str) -> None:
    keys = {"SUPABASE_ANON_KEY": _PUBLISHABLE, "SUPABASE_SERVICE_ROLE_KEY": secret}

    # Nobody is at the address: a call would say so.
    [found] = look_at("keys", Deployment({"SUPABASE_URL": "http://127.0.0.1:9", **keys}))

    assert (found.check, found.level) == ("keys.form", Level.WRONG)
    assert said in found.what
    assert found.mend


@pytest.mark.parametrize("secret", [_ANON, _SECRET, "of several words"])
def test_a_secret_of_printable_signs_is_fit_to_be_sent(secret: str) -> None:
    assert checked_secret("WEBHOOK_SECRET", secret) == secret


@pytest.mark.parametrize(
    "address", ["https://a.example", "http://127.0.0.1:54321", "http://localhost:1", "http://[::1]:1"]
)
def test_an_address_is_encrypted_or_of_this_machine(address: str) -> None:
    assert checked_address("SEARCH_URL", f"{address}/") == address


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://a.example", "tls"),
        ("http://10.0.0.1", "tls"),
        ("http://127.0.0.1.a.example", "tls"),
        ("https://[bad", "url"),
        ("https://a..b.supabase.co", "url"),
        ("https://a.example:notaport", "url"),
        ("https://", "url"),
        ("ftp://a.example", "url"),
        ("a.example", "url"),
        ("https://me:secret@a.example", "url"),
    ],
)
@pytest.mark.parametrize("subject", ["keys", "search", "webhook"])
def test_an_address_that_no_secret_may_go_to_is_a_finding(address: str, name: str, subject: str) -> None:
    variable = {"keys": "SUPABASE_URL", "search": "SEARCH_URL", "webhook": "WEBHOOK_URL"}[subject]
    deployment = Deployment({**_COMPLETE, variable: address}, is_local=True)

    found = {one.check: one for one in look_at(subject, deployment)}

    assert found[f"{subject}.{name}"].level is Level.WRONG
    assert variable in (found[f"{subject}.{name}"].mend or "")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://abcd.supabase.co/rest/v1?key=secret", "https://abcd.supabase.co"),
        ("http://127.0.0.1:54321", "http://127.0.0.1:54321"),
        ("postgresql://postgres:secret@db.abcd.supabase.co:5432/postgres", "(no address)"),
        ("https://me:secret@abcd.supabase.co", "(no address)"),
        ("sb_secret_abc", "(no address)"),
    ],
)
def test_of_an_address_scheme_and_host_are_shown(address: str, shown: str) -> None:
    assert shown_address(address) == shown


def _cannot_connect(cause: Exception | None) -> httpx.Client:
    """As httpx and httpcore wrap what is below them."""

    def refuse(_: httpx.Request) -> httpx.Response:
        below = httpcore.ConnectError("no")
        below.__cause__ = cause
        raise httpx.ConnectError("nobody is certificate.example") from below

    return httpx.Client(transport=httpx.MockTransport(refuse))


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (ssl.SSLCertVerificationError("self-signed"), "its certificate does not hold"),
        (ssl.SSLError("wrong version number"), "look at SUPABASE_URL; a project that is paused"),
        (None, "look at SUPABASE_URL; a project that is paused"),
    ],
)
def test_a_certificate_that_does_not_hold_is_told_from_other_faults(
    cause: Exception | None, said: str
) -> None:
    with pytest.raises(CannotTell) as caught, _cannot_connect(cause) as http:
        ask_for_keys(http, _URL)

    assert caught.value.mend.startswith(said)


def test_an_error_of_a_call_is_told_by_its_type_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Deployment) -> Iterator[Finding]:
        yield ok("keys.first", "well")
        raise httpx.LocalProtocolError("Illegal header value b'eyJhbGciOi'")

    monkeypatch.setitem(examining.SUBJECTS, "keys", fails)

    [_, found] = look_at("keys", Deployment({}, "prod"))

    assert found.what == "it cannot be told: a call ended with LocalProtocolError"
    assert (found.mend or "").startswith("once more: pixseek doctor --stage prod")


def test_an_unforeseen_error_is_told_by_its_type_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Deployment) -> Iterator[Finding]:
        yield ok("keys.first", str(1 // 0))

    monkeypatch.setitem(examining.SUBJECTS, "keys", fails)

    [found] = look_at("keys", Deployment({}))

    assert (found.check, found.level) == ("keys.rest", Level.WRONG)
    assert "ZeroDivisionError" in found.what


def test_what_was_found_before_a_check_could_not_go_on_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(_: Deployment) -> Iterator[Finding]:
        yield ok("keys.first", "well")
        raise CannotTell("it is gone", "bring it back")

    monkeypatch.setitem(examining.SUBJECTS, "keys", stops)

    found = look_at("keys", Deployment({}))

    assert found == [ok("keys.first", "well"), wrong("keys.rest", "it is gone", "bring it back")]


@pytest.mark.parametrize(
    "subject", ["keys", "database", "buckets", "models", "embedder", "upkeep", "webhook"]
)
def test_a_doctor_that_cannot_look_does_not_say_well(subject: str) -> None:
    found = look_at(subject, Deployment({}))

    assert not examining.is_well(found)
    assert all(finding.mend for finding in found)


def test_wrong_settings_are_named_once_and_the_other_checks_refer_to_them() -> None:
    deployment = Deployment({"SUPABASE_URL": "no address"})

    [settings] = look_at("settings", deployment)
    [webhook] = look_at("webhook", deployment)

    assert "SUPABASE_URL" in settings.what
    assert webhook.what == "the settings are missing or wrong"
    assert webhook.mend


def test_what_a_deployment_does_not_have_is_not_looked_at() -> None:
    on_s3 = Deployment({**_COMPLETE, "STORAGE": "s3"}, calls_model=False)

    found = [*look_at("webhook", on_s3), *look_at("embedder", on_s3)]

    assert [finding.level for finding in found] == [Level.NOT_LOOKED_AT, Level.NOT_LOOKED_AT]


@pytest.mark.parametrize(("stage", "level"), [(None, Level.WARNING), ("prod", Level.WRONG)])
@pytest.mark.parametrize("subject", ["search", "webhook"])
def test_a_stage_has_its_addresses(subject: str, stage: str | None, level: Level) -> None:
    variables = {**_COMPLETE, "SEARCH_URL": "", "WEBHOOK_URL": ""}

    found = look_at(subject, Deployment(variables, stage, is_local=True))

    assert found[0].check == f"{subject}.url"
    assert found[0].level is level
    assert found[0].mend


def test_mends_name_the_stage() -> None:
    known, unknown = Deployment({}, "prod"), Deployment({})

    assert known.applies_migrations == "make deploy-supabase STAGE=prod"
    assert known.again == "pixseek doctor --stage prod"
    assert unknown.applies_migrations == "make deploy-supabase STAGE=<stage>"


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("0.8.0", Level.OK),
        ("0.9.0-dev", Level.OK),
        ("1", Level.OK),
        ("0.7.4", Level.WRONG),
        ("0.8.0-dev", Level.OK),
        (None, Level.WRONG),
    ],
)
def test_pgvector_is_judged_by_its_numbers(version: str | None, level: Level) -> None:
    assert pgvector_finding(version).level is level


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("eu-west-1", "https://s3.amazonaws.com"),
        ("cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "https://s3.us-gov-west-1.amazonaws.com"),
    ],
)
def test_s3_is_asked_in_its_own_partition(region: str, endpoint: str) -> None:
    assert s3_endpoint(region) == endpoint


@pytest.mark.parametrize(
    ("kind", "name"),
    [("function", "public.doctor_v1"), ("policy", "images_read_public"), ("trigger", "turn_edition")],
)
def test_what_makes_a_thing_is_told_with_its_line(kind: str, name: str) -> None:
    place, _, line = statement_at(kind, name).partition(", line ")

    assert f"{kind} {name}" in (ROOT / place).read_text().splitlines()[int(line) - 1]


_OURS = ["pixseek_read", "pixseek_upload", "pixseek_overwrite", "pixseek_delete"]


def _guards(*policies: Policy, needs: bool = True) -> StorageGuards:
    ours = [Policy(name=name, roles=["authenticated"], lets_all_through=False) for name in _OURS]
    return StorageGuards(row_security=True, needs_policies=needs, policies=[*ours, *policies])


def test_policies_as_deployed_are_well() -> None:
    [found] = policy_findings(_guards(), "make it")

    assert found.level is Level.OK


@pytest.mark.parametrize(("needs", "level"), [(True, Level.WRONG), (False, Level.OK)])
def test_policies_are_missed_when_a_bucket_is_under_them(needs: bool, level: Level) -> None:
    guards = StorageGuards(row_security=True, needs_policies=needs, policies=[])

    [found] = policy_findings(guards, "make it")

    assert found.level is level


@pytest.mark.parametrize(
    ("roles", "lets_all_through", "level"),
    [
        (["public"], True, Level.WARNING),
        (["anon"], True, Level.WARNING),
        (["authenticated", "postgres"], True, Level.WARNING),
        (["service_role"], True, Level.OK),
        (["public"], False, Level.OK),
    ],
)
def test_a_policy_that_lets_everybody_at_everything_is_named(
    roles: list[str], lets_all_through: bool, level: Level
) -> None:
    theirs = Policy(name='all "mine"', roles=roles, lets_all_through=lets_all_through)

    [found] = policy_findings(_guards(theirs), "make it")

    assert found.level is level


def test_the_mend_of_an_open_policy_names_it_as_sql_does() -> None:
    theirs = Policy(name='all "mine"', roles=["public"], lets_all_through=True)

    [found] = policy_findings(_guards(theirs), "make it")

    assert 'drop policy "all ""mine""" on storage.objects' in (found.mend or "")


_HOOKED = Deployment({"WEBHOOK_URL": "https://a.example/x", "WEBHOOK_SECRET": "the right one"}, "prod")


def _webhook(
    url: str = "https://a.example/x",
    word: str = "the right one",
    function: str = "pixseek.post_webhook",
    by_status: dict[int, int] | None = None,
    fault: str | None = None,
) -> Webhook:
    kept = {
        "pixseek_index_url": digest_of(url, _HOOKED.salt),
        "pixseek_webhook_secret": digest_of(word, _HOOKED.salt),
    }
    return Webhook(
        trigger=Trigger(is_enabled=True, function=function),
        has_pg_net=True,
        vault=Vault(secrets=None if fault else kept, fault=fault),
        posts=Posts(by_status=by_status),
    )


def test_a_webhook_as_deployed_is_well() -> None:
    [found] = trigger_findings(_webhook(by_status={200: 3, 204: 1}), _HOOKED)

    assert found.level is Level.OK


@pytest.mark.parametrize(
    ("webhook", "check", "level", "said"),
    [
        (
            _webhook(url="https://b.example"),
            "vault_url",
            Level.WRONG,
            "pixseek_index_url is another than WEBHOOK_URL",
        ),
        (_webhook(word="another"), "vault_secret", Level.WRONG, "is another than WEBHOOK_SECRET"),
        (_webhook(function="public.theirs"), "function", Level.WRONG, "runs public.theirs"),
        (_webhook(fault="22000"), "vault", Level.WRONG, "cannot be read (SQLSTATE 22000)"),
        (
            _webhook(by_status={401: 2, -1: 1}),
            "posts",
            Level.WRONG,
            "1 without an answer, 2 with status 401, of 3",
        ),
        (_webhook(by_status={200: 5, 503: 1}), "posts", Level.WARNING, "1 with status 503, of 6"),
    ],
)
def test_a_webhook_that_cannot_arrive_is_found(webhook: Webhook, check: str, level: Level, said: str) -> None:
    [found] = trigger_findings(webhook, _HOOKED)

    assert (found.check, found.level) == (f"webhook.{check}", level)
    assert said in found.what
    assert found.mend


def test_a_variable_of_a_project_is_enough_to_mean_it() -> None:
    found = deployment_of({"SUPABASE_URL": _URL})

    assert found is not None
    assert not found.is_local


def test_on_s3_a_stage_follows_its_bucket() -> None:
    on_s3 = deployment_of_stage("prod", {"STORAGE": "s3", "S3_BUCKET": "pictures", "BUCKETS": "others"})
    on_supabase = deployment_of_stage("prod", {"S3_BUCKET": "", "BUCKETS": "others"})

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
