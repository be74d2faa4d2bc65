"""The provider of the model hangs, is down or answers nonsense; and it is not asked more than it need be."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

import pytest
from supabase import Client

from infra.cli.connection import Project
from infra.local.home import Keys
from shared.embedding import manifest
from shared.embedding.offline import MODEL
from tests.bucket_servers import closed_port
from tests.integration.search_outages import HASTE, MISCONFIGURED, UNAVAILABLE, in_time, searched, told
from tests.integration.search_world import World
from tests.roboflow_api import Fault, RoboflowApi, delayed, serving
from tests.roboflow_faults import embeddings, no_answer, page, status
from tests.search_api import SearchApi

_CLIP: Final = "openai/clip-vit-base-patch16"


@pytest.fixture(scope="module")
def serving_provider() -> Iterator[RoboflowApi]:
    with serving() as api:
        yield api


@pytest.fixture(scope="module", autouse=True)
def _no_rate(client: Client) -> Iterator[None]:
    """The spend guard is not what is tried here."""
    client.rpc("limit_spending_v1", {"limits": {"calls_per_s": None}}).execute()
    yield
    client.rpc("limit_spending_v1", {"limits": {"calls_per_s": 20}}).execute()


@pytest.fixture
def provider(serving_provider: RoboflowApi) -> Iterator[RoboflowApi]:
    """The stand-in, well again after the test."""
    yield serving_provider
    serving_provider.otherwise = delayed(0)


@pytest.fixture(scope="module")
def token(world: World) -> str:
    """Of a user."""
    return world.user().token


@pytest.fixture(scope="module")
def hosted_at(project: Project, keys: Keys) -> Iterator[Callable[..., SearchApi]]:
    """The search API whose model runs elsewhere, under the name of the one that the index has, or another."""
    weights = manifest.manifest_named(_CLIP)

    def renamed(name: str) -> manifest.Manifest:
        space = weights.space.model_copy(update={"name": name})
        return weights.model_copy(update={"space": space})

    def make(url: str, model: str = MODEL.name, **more: str) -> SearchApi:
        return SearchApi(
            project.connection,
            None,
            supabase_jwt_secret=keys.jwt_secret,
            embedder="roboflow",
            clip_model=model,
            roboflow_api_url=url,
            **more,
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "manifest_named", renamed)
        yield make


@pytest.fixture(scope="module")
def hosted(hosted_at: Callable[..., SearchApi], serving_provider: RoboflowApi) -> SearchApi:
    """The search API whose model runs at the provider."""
    return hosted_at(serving_provider.url)


def _new() -> dict[str, Any]:
    """A search for a text that nobody has asked for."""
    return searched(f"a thing {uuid4().hex}")


def test_a_provider_that_hangs_is_not_waited_for(
    hosted_at: Callable[..., SearchApi], provider: RoboflowApi, token: str
) -> None:
    provider.otherwise = no_answer

    [answer] = in_time(hosted_at(provider.url, **HASTE), token, [_new()])

    assert told(answer) == UNAVAILABLE
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_provider_that_is_down_is_needed_for_new_texts_only(
    hosted_at: Callable[..., SearchApi], hosted: SearchApi, token: str
) -> None:
    known = _new()
    assert hosted.ask(token=token, **known).status == 200

    with closed_port() as url:
        [remembered] = in_time(hosted_at(url), token, [known])
        down = hosted_at(url, **HASTE)
        [new] = in_time(down, token, [_new()])
        ready = down.ask("GET", "/ready")

    assert (told(new), remembered.status) == (UNAVAILABLE, 200)
    assert ready.json()["detail"] == "not at work: embedder"


def test_a_model_that_the_database_does_not_know_is_the_operators_to_mend(
    hosted_at: Callable[..., SearchApi], provider: RoboflowApi, token: str
) -> None:
    api = hosted_at(provider.url, "of/nobody")

    answer, ready = api.ask(token=token, **searched("a cat")), api.ask("GET", "/ready")

    assert told(answer) == MISCONFIGURED
    assert answer.json()["detail"] == "The cause is in the log, under the request id."
    assert "Retry-After" not in answer.headers
    assert (told(ready), ready.json()["detail"]) == ((503, "not-ready"), "not at work: model")


_WORTH_A_RETRY: Final[dict[str, Fault]] = {
    "overloaded": page(502),
    "too many calls": status(429, retry_after="1"),
    "no numbers": embeddings([[float("nan")] * 512]),
}
_WRONG: Final[dict[str, Fault]] = {
    "a wrong key": status(401),
    "a wrong version": status(404),
    "another model": embeddings([[1.0, 2.0]]),
}


@pytest.mark.parametrize("fault", _WORTH_A_RETRY.values(), ids=_WORTH_A_RETRY)
def test_what_the_provider_says_in_an_outage_stays_inside(
    fault: Fault, hosted_at: Callable[..., SearchApi], provider: RoboflowApi, token: str
) -> None:
    provider.otherwise = fault

    answer = hosted_at(provider.url, **HASTE).ask(token=token, **searched(f"xyzzy {uuid4().hex}"))

    assert told(answer) == UNAVAILABLE


@pytest.mark.parametrize("fault", _WRONG.values(), ids=_WRONG)
def test_what_the_provider_says_to_wrong_settings_stays_inside(
    fault: Fault, hosted: SearchApi, provider: RoboflowApi, token: str
) -> None:
    provider.otherwise = fault

    answer = hosted.ask(token=token, **searched(f"xyzzy {uuid4().hex}"))

    assert told(answer) == MISCONFIGURED


def test_a_new_text_that_many_ask_for_at_once_is_embedded_a_few_times_and_remembered_once(
    hosted: SearchApi, provider: RoboflowApi, world: World
) -> None:
    text = f"a thing {uuid4().hex}"
    provider.otherwise = delayed(0.3)
    since, tokens = len(provider.arrivals), [world.user().token for _ in range(20)]

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda token: hosted.ask(token=token, **searched(text)), tokens))

    assert [answer.status for answer in answers] == [200] * 20
    routes = [arrival.route for arrival in provider.arrivals[since:]]
    assert routes.count("/clip/embed_text") <= 4
    remembered = b"select count(*) from pixseek.queries where digest = pixseek.text_digest(%s)"
    assert world.sql(remembered, text) == [(1,)]
