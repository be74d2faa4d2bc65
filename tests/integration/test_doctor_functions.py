"""What the doctor says of functions, embedders and stores outside of Supabase, each broken on purpose."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from moto.s3.models import S3Backend
from supabase import Client

from infra.doctor import Deployment, Finding, Level, deployment_of, look_at
from infra.local.home import Home
from infra.local.processes import Servers
from infra.local.stack import Stack
from tests.bucket_servers import s3_server
from tests.integration.faulty_gateway import Fault, FaultyGateway, faulty_gateway
from tests.ports import free_base_port
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
    """By their checks, asked anew."""
    return {finding.check: finding for finding in look_at(subject, replace(deployment)) if finding.mend}


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
        ({"SEARCH_URL": "https://[bad"}, "url", "SEARCH_URL is no address"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "torn\r"}, "form", "has a line end in it"),
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
        (Fault(404, b"{}"), "url", "not as pixseek's function does"),
        (Fault(403, b'{"message": "Forbidden"}'), "url", "answers 403 to an event, and not as"),
        (Fault(401, b"<html>"), "url", "answers 401 to an event, and not as"),
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


def test_a_search_function_without_settings_is_found(well: Deployment, tmp_path: Path) -> None:
    """The real one: its settings taken away."""
    with _unsettled("search_images", "search_images", tmp_path) as url:
        faults = _faults("search", _with(well, SEARCH_URL=url))

    assert faults.keys() == {"search.settings"}


def test_a_webhook_without_settings_is_found(well: Deployment, tmp_path: Path) -> None:
    with _unsettled("index_image", "index_supabase_webhook", tmp_path) as url:
        faults = _faults("webhook", _with(well, WEBHOOK_URL=url))

    assert faults.keys() == {"webhook.settings"}


@pytest.mark.parametrize(
    ("path", "fault"),
    [("/openapi", Fault(200, b'{"info": {"title": "pets"}}')), ("/health", Fault(200, b"{}"))],
)
def test_no_key_goes_to_what_is_no_search_function(
    path: str, fault: Fault, well: Deployment, search: FaultyGateway
) -> None:
    search.faults[path] = fault

    look_at("search", _with(well, SEARCH_URL=search.url))

    assert search.with_secrets == []


@pytest.mark.parametrize("status", [200, 401, 403, 404])
def test_the_secret_goes_to_nobody_who_does_not_refuse_as_the_webhook_does(
    status: int, well: Deployment, webhook: FaultyGateway
) -> None:
    webhook.faults["/"] = Fault(status, b"{}")

    look_at("webhook", _with(well, WEBHOOK_URL=webhook.url))

    assert webhook.with_secrets == ["/"]  # a wrong one


@pytest.mark.parametrize(
    ("variables", "check", "said"),
    [
        ({"WEBHOOK_URL": _NOBODY}, "url", "does not answer (ConnectError)"),
        ({"WEBHOOK_URL": "http://index.invalid"}, "tls", "is not encrypted"),
        ({"WEBHOOK_URL": "https://a..b.supabase.co"}, "url", "WEBHOOK_URL is no address"),
        ({"WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef\n"}, "form", "has a line end in it"),
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


@contextmanager
def _unsettled(folder: str, target: str, logs: Path) -> Iterator[str]:
    """A function that was deployed without any setting."""
    port = free_base_port()
    servers = Servers(logs, logs)
    settings = dict.fromkeys(("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY"), "")
    servers.start(
        folder,
        [
            "functions_framework",
            f"--source=functions/{folder}/gcp.py",
            f"--target={target}",
            "--host=127.0.0.1",
            f"--port={port}",
        ],
        {**settings, "WEBHOOK_SECRET": "", "THREADS": "2", "WORKERS": "1"},
    )
    try:
        httpx.Client(transport=httpx.HTTPTransport(retries=8)).get(
            f"http://127.0.0.1:{port}/health", timeout=30
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        servers.stop()


def test_a_hosted_project_without_the_trigger_is_told_to_install_it(well: Deployment) -> None:
    faults = _faults("webhook", replace(well, is_local=False))

    assert "supabase/hosted/webhook.sql" in (faults["webhook.trigger"].mend or "")
    assert "webhook.vault" in faults


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


def test_a_machine_without_credentials_of_aws_cannot_tell(
    well: Deployment, s3: tuple[str, S3Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, backend = s3
    backend.create_bucket("pictures", "eu-west-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # Where credentials of a machine in the cloud would be: nobody is there.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", _NOBODY)

    faults = _faults("buckets", _with(_on_s3(well), PREVIEWS="false"))

    assert faults["buckets.credentials"].level is Level.WARNING
    assert "cannot be told from here" in faults["buckets.credentials"].what
    assert "buckets.store" not in faults


def test_a_store_that_does_not_answer_is_told_so(well: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", _NOBODY)

    found = look_at("buckets", _on_s3(well))

    assert found[-1].what == f"{_NOBODY} does not answer (ConnectError)"
