"""`osls package` needs no account and no network; what it makes of each kind of stage holds to the rules."""

import ast
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from benchmarks.coldstart_parts.assumptions import ALARMS, ALARMS_OF_TWO_METRICS
from infra.aws import osls
from infra.aws.notification import EVENTS
from infra.aws.plan import SECRETS, read_plan
from infra.bundle import ENTRIES, Choice, build
from infra.local.home import ROOT
from shared.settings import Settings
from tests import template_rules
from tests.system import npm
from tests.template_rules import Template, of_kind

_STAGE: Final = "check"
_NO_NETWORK: Final = Path(__file__).with_name("no_network.cjs")

_CANARIES: Final = {name: f"canary-of-{name.lower()}" for name in SECRETS}
_COMMON: Final = {
    "AWS_REGION": "eu-central-1",
    "SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
    "SUPABASE_ANON_KEY": "anon",
    "EMBEDDER": "roboflow",
    **_CANARIES,
}
_S3: Final = {"STORAGE": "s3", "S3_BUCKET": "photos-of-tests"}
_IMAGE: Final = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/pixseek@sha256:{'a' * 64}"
_ALL: Final = {
    "TRACING": "true",
    "ALARM_EMAIL": "operator@example.org",
    "BUDGET_USD": "20",
    "CORS_ORIGINS": "https://photos.example",
    "PICTURE_QUERIES": "false",
}
_EVERY: Final = {name.upper(): "1" for name in Settings.model_fields} | _CANARIES | {"STORAGE": "supabase"}
_KEY: Final = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
_NEW: Final = {"RESERVE_CONCURRENCY": "false", "REEMBED_WORKERS": "8"}
_STAGES: Final[Mapping[str, dict[str, str]]] = {
    "supabase": {},
    "supabase with everything": _ALL,
    "image": {"EMBEDDER": "clip", "IMAGE": _IMAGE},
    "s3": _S3,
    "s3 with everything": _S3 | _ALL,
    "supabase with every setting": _EVERY,
    "s3 with every setting": _EVERY | _S3,
    "s3, whose bucket exists, in public": _S3
    | {"S3_BUCKET_EXISTS": "true", "S3_KMS_KEY_ARN": _KEY, "AUTH": "public"},
    "s3 in a new account": _S3 | _NEW,
    "supabase in a new account": _NEW,
}

_OF_LAMBDA: Final = {
    "SSM_PARAMETERS",
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_LOG_LEVEL",
    "PYDANTIC_DISABLE_PLUGINS",
}
"""Variables that are not of the settings."""

_NOT_ON_LAMBDA: Final = {
    "FUNCTION_TIMEOUT_S",
    "STORAGE_DIR",
    "CLIP_MODEL_DIR",
    "CLIP_TEXT_MODEL_DIR",
    "NEXT_CLIP_MODEL_DIR",
    "NEXT_CLIP_TEXT_MODEL_DIR",
}
"""Lambda tells the time that is left by itself; the folders are of another machine."""

_STARS: Final = {
    "ReadPictures": "the names of a bucket's objects are not known before",
    "WritePreviews": "as before, of the bucket of previews alone",
    "ReadPreviews": "as before",
    "SignLinksToPictures": "as before, of both buckets: a link goes to what the database lets the caller see",
    "SignUploadsAndDelete": "as before; the app lets owners alone do it, under names of theirs",
    "DeletePreviews": "as before",
    "SendTraces": "neither action of X-Ray knows resources",
    "KeptByTheAccount": "in a key's policy `*` is that key; the account's own IAM policies go on from there",
    "AlarmsAreEncrypted": "in a key's policy `*` is that key",
    "BudgetsAreEncrypted": "as before",
}
"""Why a statement may allow `*`."""


class Packaged:
    """What `osls package` leaves for a stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template: Template = json.loads(self.template_file.read_text())

    @property
    def template_file(self) -> Path:
        return self.folder / "cloudformation-template-update-stack.json"

    @property
    def functions(self) -> dict[str, Mapping[str, object]]:
        """By what the stage calls them."""
        found = of_kind(self.template, "AWS::Lambda::Function")
        return {properties["FunctionName"].rpartition("-")[2]: properties for _, properties in found}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real zips; the code in them is the same for all stages."""
    folder = tmp_path_factory.mktemp("bundles")
    for function in ENTRIES:
        build(function, Choice(), folder)
    return folder


@pytest.fixture(scope="session")
def package(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Packaged]:
    """Each stage is packaged once."""

    @cache
    def packaged(stage: str) -> Packaged:
        project = _project(tmp_path_factory.mktemp("project"), bundles)
        return _packaged(project, _COMMON | _STAGES[stage])

    return packaged


def _project(folder: Path, bundles: Path) -> Path:
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "serverless.yml", folder)
    shutil.copytree(ROOT / "infra" / "aws", folder / "infra" / "aws")
    (folder / "build").mkdir()
    (folder / "build" / "aws").symlink_to(bundles)
    return folder


def _packaged(project: Path, environment: Mapping[str, str]) -> Packaged:
    done = _osls(project, "package", "--package", "packaged", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return Packaged(project / "packaged")


@pytest.fixture(params=_STAGES)
def packaged(request: pytest.FixtureRequest, package: Callable[[str], Packaged]) -> Packaged:
    return package(request.param)


def _osls(project: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without an account, and without a network."""
    return subprocess.run(
        [npm.modules(osls.PINNED) / ".bin" / "osls", *command, "--stage", _STAGE],
        cwd=project,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(project),
            "NODE_OPTIONS": f"--require={_NO_NETWORK}",
            **{name: value for name, value in environment.items() if value},
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_secret_is_in_what_is_uploaded(packaged: Packaged) -> None:
    texts = {path.name: path.read_text() for path in packaged.folder.glob("*.json")}

    assert packaged.template_file.name in texts
    assert [name for name, text in texts.items() if "canary" in text] == []


def test_cfn_lint_finds_nothing(packaged: Packaged) -> None:
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "cfn-lint", "-i", "W3005", "-t", packaged.template_file],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_what_is_allowed_of_all_has_a_written_reason(packaged: Packaged) -> None:
    assert template_rules.unexplained_stars(packaged.template, _STARS) == []


def test_nothing_is_open_to_everybody(packaged: Packaged) -> None:
    assert template_rules.open_to_all(packaged.template) == []


def test_buckets_queues_and_topics_are_encrypted_at_rest_and_on_their_way(packaged: Packaged) -> None:
    assert template_rules.unencrypted(packaged.template) == []
    assert template_rules.without_tls(packaged.template) == []


def test_times_are_consistent(packaged: Packaged) -> None:
    assert template_rules.hasty_queues(packaged.template) == []
    assert template_rules.slow_behind_api(packaged.template) == []


def test_nothing_is_made_before_what_it_needs(packaged: Packaged) -> None:
    assert template_rules.untraceable(packaged.template) == []
    assert template_rules.hasty_routes(packaged.template) == []


def test_a_batch_fails_in_part_and_has_a_ceiling(packaged: Packaged) -> None:
    assert template_rules.whole_batches(packaged.template) == []


def test_every_function_has_a_role_and_a_log_of_its_own(packaged: Packaged) -> None:
    assert template_rules.without_own_role(packaged.template) == []
    assert template_rules.without_kept_log(packaged.template) == []


def test_every_alarm_tells_the_topic(packaged: Packaged) -> None:
    assert template_rules.silent_alarms(packaged.template) == []


@pytest.mark.parametrize("packaged", ["s3"], indirect=True)
def test_the_costs_count_the_alarms_and_the_metrics_that_they_are_billed_by(packaged: Packaged) -> None:
    alarms = [own for _, own in of_kind(packaged.template, "AWS::CloudWatch::Alarm")]
    computed = [[one for one in own["Metrics"] if "MetricStat" in one] for own in alarms if "Metrics" in own]

    assert len(alarms) == ALARMS
    assert [len(metrics) for metrics in computed] == [2] * ALARMS_OF_TWO_METRICS


@pytest.mark.parametrize("packaged", ["s3"], indirect=True)
def test_an_audit_that_fails_wakes_somebody_when_the_next_one_fails_too(packaged: Packaged) -> None:
    alarm = _one(packaged, "AWS::CloudWatch::Alarm", "AuditFailedAlarm")
    schedule = _one(packaged, "AWS::Scheduler::Schedule", "AuditSchedule")

    told = [alarm[name] for name in ("Period", "Threshold", "EvaluationPeriods", "DatapointsToAlarm")]
    assert told == [6 * 3600, 0, 2, 2]
    assert schedule["ScheduleExpression"] == "rate(6 hours)"


def test_functions_are_told_what_the_settings_read_and_no_secret(packaged: Packaged) -> None:
    settings = {name.upper() for name in Settings.model_fields} - set(SECRETS)

    assert template_rules.unknown_variables(packaged.template, settings | _OF_LAMBDA) == []


@pytest.mark.parametrize("packaged", [name for name in _STAGES if name != "image"], indirect=True)
def test_every_handler_is_in_its_zip(packaged: Packaged) -> None:
    handlers = {
        name: str(function["Handler"]).rpartition(".")[0] + ".py"
        for name, function in packaged.functions.items()
    }

    missing = [name for name, path in handlers.items() if path not in _files(packaged, name)]

    assert handlers["search"] == "functions/search_images/aws.py"
    assert missing == []


def _files(packaged: Packaged, name: str) -> set[str]:
    code = packaged.functions[name]["Code"]
    assert isinstance(code, dict)
    zip_name = str(code["S3Key"]).rpartition("/")[2]
    with zipfile.ZipFile(packaged.folder.parent / "build" / "aws" / "arm64" / zip_name) as archive:
        return set(archive.namelist())


def test_both_schedules_start_their_function_and_give_up_some_time(packaged: Packaged) -> None:
    targets = {name: own["Target"] for name, own in of_kind(packaged.template, "AWS::Scheduler::Schedule")}

    assert {name: target["Arn"]["Fn::GetAtt"][0] for name, target in targets.items()} == {
        "ReembedSchedule": "ReembedLambdaFunction",
        "AuditSchedule": "AuditLambdaFunction",
    }
    assert {target["RetryPolicy"]["MaximumRetryAttempts"] for target in targets.values()} == {2}


def test_a_function_reads_its_own_secrets_alone(packaged: Packaged) -> None:
    allowed = {
        statement.holder: statement.body["Resource"]
        for statement in template_rules.statements(packaged.template)
        if statement.body["Action"] == "ssm:GetParameters"
    }
    told = {
        f"{name.capitalize()}Role": function["Environment"]["Variables"]["SSM_PARAMETERS"].split(",")  # type: ignore[index]
        for name, function in packaged.functions.items()
    }

    prefix = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"
    assert {
        name: [{"Fn::Sub": prefix + place} for place in places] for name, places in told.items()
    } == allowed
    assert f"/pixseek/{_STAGE}/SUPABASE_JWT_SECRET" in told["SearchRole"]
    assert f"/pixseek/{_STAGE}/SUPABASE_JWT_SECRET" not in told["ReembedRole"]


def test_a_function_writes_its_own_log_alone(packaged: Packaged) -> None:
    written = {
        statement.holder: statement.body["Resource"]
        for statement in template_rules.statements(packaged.template)
        if statement.name == "WriteItsLog"
    }

    assert written == {
        f"{name.capitalize()}Role": {"Fn::GetAtt": [f"{name.capitalize()}LogGroup", "Arn"]}
        for name in packaged.functions
    }


def _one(packaged: Packaged, kind: str, name: str) -> Mapping[str, object]:
    return dict(of_kind(packaged.template, kind))[name]


def _only(kind: str) -> pytest.MarkDecorator:
    """Of the stages that are of a kind."""
    chosen = [name for name in _STAGES if name.startswith(kind)]
    return pytest.mark.parametrize("packaged", chosen, indirect=True)


@pytest.mark.parametrize("packaged", ["s3 with every setting"], indirect=True)
def test_every_setting_reaches_the_functions(packaged: Packaged) -> None:
    told = {
        variable
        for function in packaged.functions.values()
        for variable in function["Environment"]["Variables"]  # type: ignore[index]
    }
    secret = set(SECRETS)

    assert {name.upper() for name in Settings.model_fields} - secret - told == _NOT_ON_LAMBDA


@pytest.mark.parametrize("packaged", ["s3 with every setting", "supabase with every setting"], indirect=True)
def test_each_function_is_told_what_it_reads(packaged: Packaged) -> None:
    missing = {
        name: read - function["Environment"]["Variables"].keys() - set(SECRETS) - _NOT_ON_LAMBDA  # type: ignore[index]
        for name, function in packaged.functions.items()
        for read in [_read_by(str(function["Handler"]).split("/")[1])]
    }

    assert "BUCKETS" in _read_by("search_images")
    assert missing == {name: set() for name in packaged.functions}


def _read_by(folder: str) -> set[str]:
    """The variables of the settings that a function's own code reads, and the wiring of all."""
    code = [path for path in (ROOT / "functions" / folder).glob("*.py") if path.name != "gcp.py"]
    trees = [ast.parse(path.read_text()) for path in (*code, ROOT / "shared" / "wiring.py")]
    return {name.upper() for tree in trees for node in ast.walk(tree) for name in _settings_read(node)}


def _settings_read(node: ast.AST) -> Iterator[str]:
    """Of `settings.name`, `self._settings.name` and `load_settings().name`."""
    if not isinstance(node, ast.Attribute) or not ast.unparse(node.value).rstrip("()").endswith("settings"):
        return
    if node.attr in Settings.model_fields:
        yield node.attr
    if node.attr == "next_embedding":
        yield from (name for name in Settings.model_fields if name.startswith("next_"))


@pytest.mark.parametrize("packaged", ["image"], indirect=True)
def test_an_image_serves_all_functions(packaged: Packaged) -> None:
    code = [function["Code"] for function in packaged.functions.values()]
    commands = {
        name: function["ImageConfig"]["Command"]  # type: ignore[index]
        for name, function in packaged.functions.items()
    }

    assert code == [{"ImageUri": _IMAGE}] * 4
    assert commands["webhook"] == ["functions/index_image/aws.index_supabase_webhook"]


@_only("s3")
def test_pictures_in_s3_come_through_a_queue(packaged: Packaged) -> None:
    queue = _one(packaged, "AWS::SQS::Queue", "IndexQueue")

    assert set(packaged.functions) == {"search", "index", "reembed", "audit"}
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["IndexDeadLetters", "Arn"]},
        "maxReceiveCount": 5,
    }


@_only("supabase")
def test_pictures_in_supabase_come_through_a_route(packaged: Packaged) -> None:
    routes = [own["RouteKey"] for _, own in of_kind(packaged.template, "AWS::ApiGatewayV2::Route")]

    assert set(packaged.functions) == {"search", "webhook", "reembed", "audit"}
    assert sorted(routes) == ["$default", "POST /webhooks/supabase"]
    assert list(of_kind(packaged.template, "AWS::SQS::Queue")) == []
    assert "WebhookUrl" in packaged.template["Outputs"]


@pytest.mark.parametrize("packaged", ["s3"], indirect=True)
def test_a_bucket_of_the_stack_sends_what_one_that_exists_is_made_to_send(packaged: Packaged) -> None:
    bucket = packaged.template["Resources"]["Pictures"]
    sent = bucket["Properties"]["NotificationConfiguration"]["QueueConfigurations"]

    assert tuple(one["Event"] for one in sent) == EVENTS
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("packaged", ["s3, whose bucket exists, in public"], indirect=True)
def test_a_bucket_that_exists_is_left_out_and_nobody_may_write_to_it_in_public(packaged: Packaged) -> None:
    names = [statement.name for statement in template_rules.statements(packaged.template)]

    assert "Pictures" not in packaged.template["Resources"]
    assert "SignLinksToPictures" in names
    assert "SignUploadsAndDelete" not in names


@pytest.mark.parametrize("packaged", ["s3 with everything"], indirect=True)
def test_what_is_wanted_beside_is_there(packaged: Packaged) -> None:
    mail = _one(packaged, "AWS::SNS::Subscription", "AlarmEmail")
    traced = {str(function["TracingConfig"]) for function in packaged.functions.values()}

    assert mail["Endpoint"] == "operator@example.org"
    assert traced == {"{'Mode': 'Active'}"}
    assert {"MonthlyBudget", "Dashboard"} <= packaged.template["Resources"].keys()


@pytest.mark.parametrize("packaged", ["s3"], indirect=True)
def test_what_is_not_wanted_is_not_there(packaged: Packaged) -> None:
    resources = packaged.template["Resources"]

    assert not {"AlarmEmail", "MonthlyBudget", "KeysPolicy"} & resources.keys()
    assert "SendTraces" not in [statement.name for statement in template_rules.statements(packaged.template)]
    assert "CorsConfiguration" not in resources["Pictures"]["Properties"]


@_only("supabase")
def test_webhooks_and_searches_take_nothing_from_each_other(packaged: Packaged) -> None:
    stage = _one(packaged, "AWS::ApiGatewayV2::Stage", "HttpApiStage")
    own = {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 1000, "DetailedMetricsEnabled": False}

    assert stage["RouteSettings"] == {"POST /webhooks/supabase": own}
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 100  # type: ignore[index]


@pytest.mark.parametrize("stage", ["supabase", "s3", "s3 in a new account", "supabase in a new account"])
def test_what_is_reserved_is_what_was_looked_for_in_the_account(
    stage: str, package: Callable[[str], Packaged]
) -> None:
    functions = package(stage).functions.values()

    reserved = {
        function["FunctionName"]: function["ReservedConcurrentExecutions"]
        for function in functions
        if "ReservedConcurrentExecutions" in function
    }

    assert reserved == read_plan(_STAGE, _COMMON | _STAGES[stage]).reserved


@pytest.mark.parametrize("packaged", ["s3 in a new account"], indirect=True)
def test_ten_instances_in_all_leave_some_to_searches(packaged: Packaged) -> None:
    [(_, mapping)] = of_kind(packaged.template, "AWS::Lambda::EventSourceMapping")
    reembed = packaged.functions["reembed"]["Environment"]

    assert mapping["ScalingConfig"]["MaximumConcurrency"] == 2
    assert reembed["Variables"]["REEMBED_WORKERS"] == "2"  # type: ignore[index]


@pytest.mark.parametrize("packaged", ["s3, whose bucket exists, in public"], indirect=True)
def test_functions_may_use_the_keys_of_buckets_through_s3_alone(packaged: Packaged) -> None:
    [body] = [
        statement.body
        for statement in template_rules.statements(packaged.template)
        if statement.name == "UseTheBucketsKeys"
    ]

    assert body["Resource"] == [_KEY]
    assert set(body["Condition"]["StringEquals"]) == {"kms:ViaService"}


def test_alarms_are_encrypted_for_cloudwatch_whatever_it_tells_of_itself(packaged: Packaged) -> None:
    [body] = [
        statement.body
        for statement in template_rules.statements(packaged.template)
        if statement.name == "AlarmsAreEncrypted"
    ]

    assert body["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert "Condition" not in body


def test_osls_knows_no_secret_and_changes_no_value(bundles: Path, tmp_path: Path) -> None:
    given = _COMMON | {"SUPABASE_ANON_KEY": "an$HOME-${PATH}-$$on", "SUPABASE_DB_PASSWORD": "canary"}
    project = _project(tmp_path / "project", bundles)
    (project / f".env.{_STAGE}").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    told = _telling_what_it_knows(tmp_path)
    plan = read_plan(_STAGE, given)
    versions = osls.versions_told(dict.fromkeys(plan.secrets, 3))

    packaged = _packaged(project, osls.environment(plan, versions, {"NODE_OPTIONS": told, **given}))

    variables = packaged.functions["search"]["Environment"]["Variables"]  # type: ignore[index]
    assert variables["SUPABASE_ANON_KEY"] == given["SUPABASE_ANON_KEY"]
    assert variables["SSM_PARAMETERS"].split(",") == [
        f"/pixseek/{_STAGE}/{name}:3"
        for name in ("SUPABASE_SERVICE_ROLE_KEY", "ROBOFLOW_API_KEY", "SUPABASE_JWT_SECRET")
    ]
    known = (tmp_path / "known.json").read_text()
    assert "SUPABASE_SERVICE_ROLE_KEY_VERSION" in known
    assert "canary" not in known


def _telling_what_it_knows(folder: Path) -> str:
    """Options of Node.js with which a program writes its environment into a file at its end."""
    write = f"require('fs').writeFileSync({str(folder / 'known.json')!r}, JSON.stringify(process.env))"
    (folder / "telling.cjs").write_text(f"process.on('exit', () => {write});\n")
    return f"--require={_NO_NETWORK} --require={folder / 'telling.cjs'}"


def test_a_stage_without_a_region_is_not_packaged(tmp_path: Path) -> None:
    shutil.copy(ROOT / "serverless.yml", tmp_path)
    shutil.copytree(ROOT / "infra" / "aws", tmp_path / "infra" / "aws")

    done = _osls(tmp_path, "package")

    assert done.returncode == 1
    assert "provider.region" in done.stdout + done.stderr
