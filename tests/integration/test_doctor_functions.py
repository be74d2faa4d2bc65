"""What the doctor says of functions, embedders and stores outside of Supabase, each broken on purpose."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from moto.s3.models import S3Backend
from supabase import Client

from infra.doctor import Deployment, Finding, Level, deployment_of, look_at
from infra.local.home import Home
from infra.local.stack import Stack
from tests.bucket_servers import s3_server
from tests.integration.faulty_gateway import Fault, FaultyGateway, faulty_gateway
from tests.roboflow_api import RoboflowApi, serving
from tests.roboflow_faults import embeddings, status

pytestmark = pytest.mark.long

_NOBODY = "http://127.0.0.1:9"
_KEY = "a-key-of-roboflow"
_MODEL = "openai/clip-vit-large-patch14"


@pytest.fixture
def well(stack: Stack, home: Home) -> Deployment:  # noqa: ARG001 -- it has to run
    found = deployment_of({}, home)
    assert found is not None
    return found


@pytest.fixture
def search(well: Deployment) -> Iterator[FaultyGateway]:
    """In front of the search function."""
    with faulty_gateway(well.variable("SEARCH_URL")) as running:
        yield running


@pytest.fixture
def webhook(well: Deployment) -> Iterator[FaultyGateway]:
    """In front of the function that takes events."""
    with faulty_gateway(well.variable("WEBHOOK_URL")) as running:
        yield running


@pytest.fixture
def roboflow() -> Iterator[RoboflowApi]:
    with serving(key=_KEY) as running:
        yield running


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, S3Backend]]:
    """A server, and this machine's settings of it."""
    with s3_server() as (url, backend):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        backend.reset()
        yield url, backend


def _with(deployment: Deployment, **variables: str) -> Deployment:
    return replace(deployment, variables={**deployment.variables, **variables})


def _faults(subject: str, deployment: Deployment) -> dict[str, Finding]:
    """By their checks."""
    return {finding.check: finding for finding in look_at(subject, deployment) if finding.mend}


def _problem(code: int, kind: str, detail: str) -> Fault:
    body = {
        "type": f"urn:pixseek:problem:{kind}",
        "title": "x",
        "status": code,
        "detail": detail,
        "request_id": "r-1",
        "errors": [],
    }
    return Fault(code, json.dumps(body).encode(), "application/problem+json")


@pytest.mark.parametrize(
    ("path", "fault", "check", "said"),
    [
        ("/health", Fault(404, b"<html>", "text/html"), "health", "not as a pixseek search does"),
        (
            "/health",
            _problem(500, "misconfigured", "x"),
            "settings",
            "settings are missing or wrong (request r-1)",
        ),
        (
            "/openapi",
            Fault(200, b'{"info": {"title": "pets"}}'),
            "version",
            "no description of a pixseek search",
        ),
        ("/ready", _problem(503, "not-ready", "not at work: embedder"), "ready", "not at work: embedder"),
        ("/search", Fault(200, b"{}"), "anonymous", "answers who has no token"),
        (
            "/search",
            _problem(500, "internal", "see the log"),
            "answer",
            "answered with 500. see the log (request r-1)",
        ),
    ],
)
def test_what_is_wrong_with_the_search_function_is_found(
    path: str, fault: Fault, check: str, said: str, well: Deployment, search: FaultyGateway
) -> None:
    search.faults[path] = fault
    behind = _with(well, SEARCH_URL=search.url)

    broken = _faults("search", behind)
    search.faults.clear()
    mended = _faults("search", behind)

    assert said in broken[f"search.{check}"].what
    assert mended == {}


@pytest.mark.parametrize(
    ("variables", "check", "said"),
    [
        ({"SEARCH_URL": _NOBODY}, "health", "does not answer (ConnectError)"),
        ({"SEARCH_URL": "http://search.invalid"}, "tls", "is not encrypted"),
        ({"AUTH": "public"}, "anonymous", "AUTH is public here, and the function refuses who has no token"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "another"}, "answer", "does not know SUPABASE_SERVICE_ROLE_KEY"),
    ],
)
def test_a_search_function_of_other_settings_is_found(
    variables: dict[str, str], check: str, said: str, well: Deployment
) -> None:
    faults = _faults("search", _with(well, **variables))

    assert said in faults[f"search.{check}"].what


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (Fault(200, b'{"status": "ok"}'), "stranger", "takes an event with a wrong secret"),
        (Fault(404, b"{}"), "url", "does not take webhooks"),
        (Fault(500, b"{}"), "settings", "its own settings are missing or wrong"),
    ],
)
def test_what_is_wrong_with_the_webhook_is_found(
    fault: Fault, check: str, said: str, well: Deployment, webhook: FaultyGateway
) -> None:
    webhook.faults["/"] = fault
    behind = _with(well, WEBHOOK_URL=webhook.url)

    broken = _faults("webhook", behind)
    webhook.faults.clear()
    mended = _faults("webhook", behind)

    assert said in broken[f"webhook.{check}"].what
    assert mended == {}


@pytest.mark.parametrize(
    ("variables", "check", "said"),
    [
        ({"WEBHOOK_URL": _NOBODY}, "url", "does not answer (ConnectError)"),
        ({"WEBHOOK_URL": "http://index.invalid"}, "tls", "is not encrypted"),
        (
            {"WEBHOOK_SECRET": "a secret of another deployment"},
            "secret",
            "the function refuses WEBHOOK_SECRET",
        ),
    ],
)
def test_a_webhook_of_other_settings_is_found(
    variables: dict[str, str], check: str, said: str, well: Deployment
) -> None:
    faults = _faults("webhook", _with(well, **variables))

    assert said in faults[f"webhook.{check}"].what


def test_a_hosted_project_without_the_trigger_is_told_to_install_it(well: Deployment) -> None:
    faults = _faults("webhook", replace(well, is_local=False))

    assert "supabase/hosted/webhook.sql" in (faults["webhook.trigger"].mend or "")


def test_the_event_that_tries_the_webhook_changes_nothing(well: Deployment, client: Client) -> None:
    before = client.rpc("list_buckets_v1", {}).execute().data

    look_at("webhook", well)

    assert client.rpc("list_buckets_v1", {}).execute().data == before


def _of_roboflow(deployment: Deployment, url: str, key: str = _KEY) -> Deployment:
    return _with(
        deployment,
        EMBEDDER="roboflow",
        CLIP_MODEL=_MODEL,
        ROBOFLOW_API_URL=url,
        ROBOFLOW_API_KEY=key,
    )


def test_an_embedder_that_works_is_well(well: Deployment, roboflow: RoboflowApi) -> None:
    faults = _faults("embedder", _of_roboflow(well, roboflow.url))

    assert faults == {}
    assert len(roboflow.arrivals) == 2


def test_a_wrong_key_of_the_embedder_is_found_and_not_shown(well: Deployment, roboflow: RoboflowApi) -> None:
    faults = _faults("embedder", _of_roboflow(well, roboflow.url, "the-wrong-key"))

    assert "401: the key is wrong" in faults["embedder.embeds"].what
    assert "the-wrong-key" not in str(faults)


@pytest.mark.parametrize(
    ("code", "said"),
    [(402, "no credits left"), (403, "the key may not do this"), (404, "the model is unknown")],
)
def test_why_the_embedder_refuses_is_told(
    code: int, said: str, well: Deployment, roboflow: RoboflowApi
) -> None:
    roboflow.next.append(status(code))
    deployment = _of_roboflow(well, roboflow.url)

    broken = _faults("embedder", deployment)
    mended = _faults("embedder", deployment)

    assert said in broken["embedder.embeds"].what
    assert mended == {}


def test_an_embedder_that_does_not_answer_is_found(well: Deployment) -> None:
    faults = _faults("embedder", _of_roboflow(well, _NOBODY))

    assert "does not answer" in faults["embedder.embeds"].what
    assert _NOBODY in (faults["embedder.embeds"].mend or "")


def test_vectors_of_another_length_are_found(well: Deployment, roboflow: RoboflowApi) -> None:
    roboflow.next.append(embeddings([[1.0] * 100]))

    faults = _faults("embedder", _of_roboflow(well, roboflow.url))

    assert "a vector of 100 numbers" in faults["embedder.embeds"].what


def test_weights_that_are_not_here_are_a_warning_of_this_machine(well: Deployment) -> None:
    faults = _faults("embedder", _with(well, EMBEDDER="clip", CLIP_MODEL_DIR="/nowhere"))

    assert faults["embedder.embeds"].level is Level.WARNING


def test_without_a_model_no_call_is_made(well: Deployment, roboflow: RoboflowApi) -> None:
    deployment = replace(_of_roboflow(well, roboflow.url), calls_model=False)

    [found] = look_at("embedder", deployment)

    assert found.level is Level.NOT_LOOKED_AT
    assert roboflow.arrivals == []


def _on_s3(deployment: Deployment) -> Deployment:
    return _with(deployment, STORAGE="s3", BUCKETS="pictures")


def test_a_bucket_of_s3_that_is_not_there_is_found_until_it_is_made(
    well: Deployment, s3: tuple[str, S3Backend]
) -> None:
    _, backend = s3
    at_first = _faults("buckets", _on_s3(well))
    backend.create_bucket("pictures", "eu-west-1")
    without_previews = _faults("buckets", _on_s3(well))
    backend.create_bucket("pictures-previews", "eu-west-1")
    at_last = _faults("buckets", _on_s3(well))

    assert "there is no bucket pictures" in at_first["buckets.store"].what
    assert "aws s3 mb s3://pictures" in (at_first["buckets.store"].mend or "")
    assert "there is no bucket pictures-previews in S3" in without_previews["buckets.store"].what
    assert at_last.keys() == {"buckets.registered"}


def test_a_bucket_of_another_region_is_found(well: Deployment, s3: tuple[str, S3Backend]) -> None:
    _, backend = s3
    backend.create_bucket("pictures", "ap-south-1")
    deployment = _with(_on_s3(well), PREVIEWS="false")

    broken = _faults("buckets", deployment)
    mended = _faults("buckets", _with(deployment, AWS_REGION="ap-south-1"))

    assert broken["buckets.region"].what == "bucket pictures lies in ap-south-1, and AWS_REGION is eu-west-1"
    assert (broken["buckets.region"].mend or "").startswith("AWS_REGION=ap-south-1")
    assert "buckets.region" not in mended


def test_a_bucket_that_may_not_be_listed_is_found(
    well: Deployment, s3: tuple[str, S3Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, backend = s3
    backend.create_bucket("pictures", "eu-west-1")
    with faulty_gateway(url) as refusing:
        refusing.faults["/pictures"] = Fault(403, b"<Error><Code>AccessDenied</Code></Error>", "text/xml")
        monkeypatch.setenv("AWS_ENDPOINT_URL", refusing.url)
        faults = _faults("buckets", _with(_on_s3(well), PREVIEWS="false"))

    assert "s3:ListBucket" in faults["buckets.store"].what


def test_a_store_that_does_not_answer_is_told_so(well: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", _NOBODY)

    found = look_at("buckets", _on_s3(well))

    assert found[-1].what == f"{_NOBODY} does not answer (ConnectError)"
