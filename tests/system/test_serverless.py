"""`osls package` needs no account and no network; what it makes of each kind of stage holds to the rules."""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from infra.aws import osls
from infra.aws.notification import EVENTS
from infra.aws.plan import SECRETS
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
_STAGES: Final[Mapping[str, dict[str, str]]] = {
    "supabase": {},
    "supabase with everything": _ALL,
    "image": {"EMBEDDER": "clip", "IMAGE": _IMAGE},
    "s3": _S3,
    "s3 with everything": _S3 | _ALL,
    "s3 with every setting": {name.upper(): "1" for name in Settings.model_fields} | _CANARIES | _S3,
    "s3, whose bucket exists, in public": _S3 | {"S3_BUCKET_EXISTS": "true", "AUTH": "public"},
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
        project = tmp_path_factory.mktemp("project")
        shutil.copy(ROOT / "serverless.yml", project)
        shutil.copytree(ROOT / "infra" / "aws", project / "infra" / "aws")
        (project / "build").mkdir()
        (project / "build" / "aws").symlink_to(bundles)
        lines = [f"{name}={value}\n" for name, value in (_COMMON | _STAGES[stage]).items()]
        (project / f".env.{_STAGE}").write_text("".join(lines))
        done = _osls(project, "package", "--package", "packaged", **_CANARIES)
        assert done.returncode == 0, done.stdout + done.stderr
        return Packaged(project / "packaged")

    return packaged


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
            **environment,
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


def test_a_batch_fails_in_part_and_has_a_ceiling(packaged: Packaged) -> None:
    assert template_rules.whole_batches(packaged.template) == []


def test_every_function_has_a_role_and_a_log_of_its_own(packaged: Packaged) -> None:
    assert template_rules.without_own_role(packaged.template) == []
    assert template_rules.without_kept_log(packaged.template) == []


def test_every_alarm_tells_the_topic(packaged: Packaged) -> None:
    assert template_rules.silent_alarms(packaged.template) == []


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
    assert {"MonthlyBudget", "TracingPolicy", "Dashboard"} <= packaged.template["Resources"].keys()


@pytest.mark.parametrize("packaged", ["s3"], indirect=True)
def test_what_is_not_wanted_is_not_there(packaged: Packaged) -> None:
    resources = packaged.template["Resources"]

    assert not {"AlarmEmail", "MonthlyBudget", "TracingPolicy"} & resources.keys()
    assert "CorsConfiguration" not in resources["Pictures"]["Properties"]


def test_a_stage_without_a_region_is_not_packaged(tmp_path: Path) -> None:
    shutil.copy(ROOT / "serverless.yml", tmp_path)
    shutil.copytree(ROOT / "infra" / "aws", tmp_path / "infra" / "aws")

    done = _osls(tmp_path, "package")

    assert done.returncode == 1
    assert "provider.region" in done.stdout + done.stderr
