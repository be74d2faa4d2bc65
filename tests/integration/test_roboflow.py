"""The embedder that asks Roboflow, against a stand-in on a real socket."""

import base64
import io
import logging
import math
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import requests
import stamina
from PIL import Image

from shared.embedding.manifest import manifest_named
from shared.embedding.roboflow import RoboflowEmbedder
from shared.embedding.roboflow_api import _RETRY_AFTER_JITTER_S
from shared.errors import InputError, OverBudget, PixseekError, SettingsError, Unavailable
from shared.images import Picture
from shared.models import Granted, Vector
from shared.permits import Permits
from shared.ports import SpendGuard
from tests.roboflow_api import Arrival, Fault, RoboflowApi, delayed, serving
from tests.roboflow_faults import (
    HANGS_S,
    dribbled,
    dribbled_headers,
    embeddings,
    flood,
    in_chunks,
    no_answer,
    packed,
    page,
    redirect,
    reset,
    reset_after_headers,
    status,
    truncated,
)
from tests.roboflow_replies import embedding

_MODEL = "openai/clip-vit-base-patch16"
_KEY = "rf_4f1c9a77e2"
_QUERY = "a grandmother at her spinning wheel"
_MARK = "<|endoftext|>"
_FREES_AT = datetime(2026, 1, 2, tzinfo=UTC)

_TRANSIENT = {
    "429": status(429),
    "500": status(500),
    "502": status(502),
    "502 of a gateway": page(502),
    "503": status(503),
    "504": status(504),
    "524 of a gateway": page(524),
    "a reset": reset,
    "a reset after the headers": reset_after_headers,
    "half a body": truncated,
    "a flood": flood,
    "a page": page(200),
    "NaN": embeddings([[math.nan] * 512]),
    "Infinity": embeddings([[0.1] * 511 + [math.inf]]),
}
_FINAL: dict[str, tuple[Fault, type[PixseekError], str]] = {
    "400": (status(400), InputError, "refuses this text"),
    "401": (status(401), SettingsError, r"set ROBOFLOW_API_KEY to a key of app\.roboflow\.com"),
    "402": (status(402), SettingsError, r"no credits left.*see app\.roboflow\.com → Usage"),
    "403": (status(403), SettingsError, "give it the scope for inference, or use another"),
    "404": (status(404), SettingsError, "check ROBOFLOW_API_URL and CLIP_MODEL"),
    "410": (status(410), SettingsError, "check ROBOFLOW_API_URL and CLIP_MODEL"),
    "413": (status(413), InputError, "refuses this text"),
    "422": (status(422), InputError, "refuses this text"),
    "423": (status(423), SettingsError, r"see app\.roboflow\.com → Settings → API Keys"),
    "501": (status(501), SettingsError, "check ROBOFLOW_API_URL and CLIP_MODEL"),
    "507": (status(507), SettingsError, "check ROBOFLOW_API_URL and CLIP_MODEL"),
    "no vector": (embeddings([]), Unavailable, "0 vectors for 1 inputs"),
    "two vectors": (embeddings([[0.1] * 512] * 2), Unavailable, "2 vectors for 1 inputs"),
    "another model": (embeddings([[0.1] * 768]), SettingsError, "another model answers at ROBOFLOW_API_URL"),
    "a short vector": (embeddings([[0.1] * 511]), SettingsError, "511 numbers"),
    "a zero vector": (embeddings([[0.0] * 512]), Unavailable, "points nowhere"),
    "a huge vector": (embeddings([[1e308] * 512]), Unavailable, "points nowhere"),
}
_HANGING = {
    "no answer": no_answer,
    "a body byte by byte": dribbled,
    "headers byte by byte": dribbled_headers,
    "a late answer": delayed(HANGS_S),
}


class Guard:
    """Allows every call, and counts."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []

    def acquire(self, *, deadline: float) -> None:
        self.deadlines.append(deadline)


@pytest.fixture
def api() -> Iterator[RoboflowApi]:
    with serving(key=_KEY) as running:
        yield running


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def embedder(api: RoboflowApi, guard: Guard) -> RoboflowEmbedder:
    return _embedder(api.url, guard)


@pytest.fixture
def at_once() -> Iterator[None]:
    """As many tries as ever, without the pauses between them."""
    with stamina.set_testing(True, attempts=1000, cap=True):
        yield


@pytest.fixture
def pauses() -> Iterator[list[float]]:
    """Those that were decided on."""
    decided: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: decided.append(details.wait_for)])
    yield decided
    stamina.instrumentation.set_on_retry_hooks(None)


def _embedder(
    url: str, guard: SpendGuard, *, api_key: str | None = _KEY, concurrency: int = 16
) -> RoboflowEmbedder:
    return RoboflowEmbedder(
        manifest_named(_MODEL), guard=guard, url=url, api_key=api_key, concurrency=concurrency
    )


def _picture(image: Image.Image) -> Picture:
    return Picture(image, content_type="image/png")


def _coloured(number: int) -> Picture:
    return _picture(Image.linear_gradient("L").convert("RGB").rotate(number))


def _direction(content: str | Picture) -> object:
    """The unit vector of what the stand-in sees in it."""
    seen = content.encode() if isinstance(content, str) else content.model_view(224)
    vector = embedding(seen)
    return pytest.approx([number / math.hypot(*vector) for number in vector], abs=1e-12)


def _texts(arrivals: Sequence[Arrival]) -> list[list[str]]:
    return [arrival.body["text"] for arrival in arrivals]


def _routes(api: RoboflowApi) -> list[str]:
    return [arrival.route for arrival in api.arrivals]


def _soon() -> float:
    return time.monotonic() + 0.5


class TestTexts:
    def test_become_unit_vectors(self, embedder: RoboflowEmbedder) -> None:
        [vector] = embedder.embed_texts(["a cat"])

        assert len(vector) == embedder.model.dimensions == 512
        assert math.hypot(*vector) == pytest.approx(1)
        assert vector == _direction("a cat")

    def test_go_as_lists_and_come_back_in_order(self, api: RoboflowApi, embedder: RoboflowEmbedder) -> None:
        texts = [f"a cat with {number} lives" for number in range(65)]

        vectors = embedder.embed_texts(texts)

        assert vectors == [_direction(text) for text in texts]
        assert sorted(_texts(api.arrivals), key=len) == [texts[64:], texts[:64]]
        assert _routes(api) == ["/clip/embed_text"] * 2

    def test_may_be_none(self, api: RoboflowApi, embedder: RoboflowEmbedder) -> None:
        assert embedder.embed_texts([]) == []

        assert api.arrivals == []

    @pytest.mark.parametrize("is_old", [True, False], ids=["old server", "new server"])
    @pytest.mark.parametrize(
        "text", ["", "a " * 75, "grandmother's " * 37], ids=["empty", "75 words", "long words"]
    )
    def test_as_long_as_the_model_can_read_are_embedded(self, text: str, is_old: bool, guard: Guard) -> None:
        with serving(key=_KEY, is_old=is_old) as api:
            [vector] = _embedder(api.url, guard).embed_texts([text])

        assert vector == _direction(text)

    @pytest.mark.parametrize(
        "text", ["a " * 76, "猫" * 40, f"{_MARK} {'a ' * 70}"], ids=["76 words", "Chinese", "mark"]
    )
    def test_that_are_longer_are_refused_before_anything_is_spent(
        self, text: str, api: RoboflowApi, embedder: RoboflowEmbedder, guard: Guard
    ) -> None:
        with pytest.raises(InputError, match=r"too long for the model: \d+ tokens, at most 77"):
            embedder.embed_texts(["a cat", text])

        assert len(api.arrivals) == len(guard.deadlines) == 0

    @pytest.mark.parametrize("text", ["\ud800", "\udc00" + "a cat " * 20], ids=["short", "long"])
    def test_of_broken_unicode_are_refused_before_anything_is_spent(
        self, text: str, api: RoboflowApi, embedder: RoboflowEmbedder, guard: Guard
    ) -> None:
        with pytest.raises(InputError, match="not valid Unicode"):
            embedder.embed_texts([text])

        assert len(api.arrivals) == len(guard.deadlines) == 0

    @pytest.mark.parametrize("mark", [_MARK, "<|startoftext|>"])
    def test_with_a_mark_arrive_with_it_broken_up(
        self, mark: str, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        embedder.embed_texts([f"a cat {mark} {mark}"])

        [[sent]] = _texts(api.arrivals)
        assert mark not in sent
        assert sent.replace(" ", "") == f"acat{mark}{mark}"


class TestPictures:
    def test_become_unit_vectors_in_order_one_a_request(
        self, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        pictures = [_coloured(number) for number in range(12)]

        vectors = embedder.embed_pictures(pictures)

        assert vectors == [_direction(picture) for picture in pictures]
        assert [math.hypot(*vector) for vector in vectors] == [pytest.approx(1)] * 12
        assert _routes(api) == ["/clip/embed_image"] * 12
        assert {type(arrival.body["image"]) for arrival in api.arrivals} == {dict}

    def test_may_be_none(self, api: RoboflowApi, embedder: RoboflowEmbedder) -> None:
        assert embedder.embed_pictures([]) == []

        assert api.arrivals == []

    @pytest.mark.parametrize("size", [(500, 300), (10, 10), (1, 2000)])
    def test_are_sent_as_the_model_looks_at_them(
        self, size: tuple[int, int], api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        picture = _picture(Image.radial_gradient("L").convert("RGB").resize(size))

        embedder.embed_pictures([picture])

        [sent] = [arrival.body["image"] for arrival in api.arrivals]
        with Image.open(io.BytesIO(base64.b64decode(sent["value"]))) as png:
            assert (sent["type"], png.format, png.mode, png.size) == ("base64", "PNG", "RGB", (224, 224))
            assert png.tobytes() == picture.model_view(224)

    @pytest.mark.parametrize("size", [(8000, 5000), (1, 2000), (2000, 1)])
    def test_make_small_requests_however_large_they_are(
        self, size: tuple[int, int], api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        rings = Image.effect_mandelbrot((500, 500), (-2, -1.5, 1, 1.5), 100).convert("RGB")

        embedder.embed_pictures([_picture(rings.resize(size))])

        [arrival] = api.arrivals
        assert arrival.size_bytes < 200_000


class TestViews:
    def test_are_small_however_large_the_picture_is(self, embedder: RoboflowEmbedder) -> None:
        rings = Image.effect_mandelbrot((500, 500), (-2, -1.5, 1, 1.5), 100).convert("RGB")

        view = embedder.view(_picture(rings.resize((4000, 3000))))

        assert len(view) <= 224 * 224 * 3

    @pytest.mark.usefixtures("at_once")
    def test_that_fail_leave_the_others_alone(self, api: RoboflowApi, guard: Guard) -> None:
        pictures = [_coloured(number) for number in range(6)]
        embedder = _embedder(api.url, guard, concurrency=1)
        api.next.extend([delayed(0), status(503), status(503), status(503), status(503), delayed(0)])
        api.next.extend([embeddings([]), delayed(0)])

        embedded = embedder.embed_views([embedder.view(picture) for picture in pictures])

        assert [str(embedded[1]), str(embedded[3])] == [
            "Roboflow answered 503",
            "Roboflow answered 0 vectors for 1 inputs",
        ]
        assert isinstance(embedded[1], Unavailable)
        assert [embedded[n] for n in (0, 2, 4, 5)] == [_direction(pictures[n]) for n in (0, 2, 4, 5)]

    @pytest.mark.parametrize(
        "fault", [status(401), status(402), embeddings([[0.1] * 768])], ids=["key", "credits", "model"]
    )
    def test_are_not_sent_once_an_operator_must_act(
        self, fault: Fault, api: RoboflowApi, guard: Guard
    ) -> None:
        embedder = _embedder(api.url, guard, concurrency=1)
        api.next.extend([delayed(0), fault])
        picture = _coloured(1)

        embedded = embedder.embed_views([embedder.view(picture)] * 40)

        assert embedded[0] == _direction(picture)
        assert isinstance(embedded[1], SettingsError)
        assert embedded[1:] == [embedded[1]] * 39
        assert len(api.arrivals) == len(guard.deadlines) == 2

    def test_are_not_sent_once_one_of_many_in_flight_is_refused(
        self, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.next.append(delayed(0.5))
        api.otherwise = status(401)

        embedded = embedder.embed_views([embedder.view(_coloured(1))] * 200)

        assert [type(error) for error in embedded].count(SettingsError) == 199
        assert len(api.arrivals) < 100

    def test_are_not_sent_once_the_budget_is_spent(self, api: RoboflowApi) -> None:
        grants = iter([Granted([0.0, 0.0], None, None), Granted([], None, _FREES_AT)])
        embedder = _embedder(api.url, Permits(lambda *_: next(grants)), concurrency=1)
        picture = _coloured(1)

        embedded = embedder.embed_views([embedder.view(picture)] * 5)

        assert embedded[:2] == [_direction(picture)] * 2
        assert isinstance(embedded[2], OverBudget)
        assert embedded[2:] == [embedded[2]] * 3
        assert len(api.arrivals) == 2

    @pytest.mark.parametrize("fault", [no_answer, dribbled_headers])
    def test_that_hang_are_left_behind(self, fault: Fault, api: RoboflowApi, guard: Guard) -> None:
        embedder = _embedder(api.url, guard, concurrency=2)
        api.next.append(fault)
        picture = _coloured(1)

        embedded = embedder.embed_views([embedder.view(picture)] * 5, deadline=time.monotonic() + 2)

        [late] = [error for error in embedded if isinstance(error, Unavailable)]
        assert type(late) is Unavailable
        assert [vector for vector in embedded if vector is not late] == [_direction(picture)] * 4

    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize("fault", [status(401), status(503), no_answer], ids=["401", "503", "no answer"])
    def test_are_not_kept_by_their_errors(
        self, fault: Fault, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.otherwise = fault

        [error] = embedder.embed_views([embedder.view(_coloured(1))], deadline=_soon())

        assert isinstance(error, PixseekError)
        assert error.__traceback__ is None
        assert error.__cause__ is error.__context__ is None


class TestRequests:
    def test_say_which_weights_are_wanted(self, api: RoboflowApi, embedder: RoboflowEmbedder) -> None:
        embedder.embed_texts(["a cat"])
        embedder.embed_pictures([_coloured(1)])

        assert [arrival.body["clip_version_id"] for arrival in api.arrivals] == ["ViT-B-16"] * 2

    def test_hold_no_key_where_there_is_none(self, guard: Guard) -> None:
        with serving(key=None) as api:
            [vector] = _embedder(api.url, guard, api_key=None).embed_texts(["a cat"])

        assert vector == _direction("a cat")
        assert "api_key" not in api.arrivals[0].body

    def test_share_a_connection(self, api: RoboflowApi, embedder: RoboflowEmbedder) -> None:
        vectors = [embedder.embed_texts([f"a cat of {years} years"]) for years in range(20)]

        assert (len(vectors), len(api.arrivals), api.connections) == (20, 20, 1)

    @pytest.mark.parametrize("form", [packed, in_chunks])
    def test_may_be_answered_in_other_forms(
        self, form: Fault, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.otherwise = form

        first, second = embedder.embed_texts(["a cat"]), embedder.embed_texts(["a dog"])

        assert (first, second) == ([_direction("a cat")], [_direction("a dog")])
        assert api.connections == 1

    def test_of_many_callers_are_sixteen_at_a_time(
        self, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.otherwise = delayed(0.02)
        texts = [f"a cat of {years} years" for years in range(200)]

        def ask(text: str) -> list[Vector]:
            return embedder.embed_texts([text])

        with ThreadPoolExecutor(200) as callers:
            vectors = list(callers.map(ask, texts))

        assert vectors == [[_direction(text)] for text in texts]
        assert 2 <= api.most_at_once <= api.connections <= 16

    def test_end_with_the_first_that_fails(self, api: RoboflowApi, guard: Guard) -> None:
        embedder = _embedder(api.url, guard, concurrency=1)
        api.otherwise = status(402)

        with pytest.raises(SettingsError):
            embedder.embed_pictures([_coloured(1)] * 40)

        api.otherwise = delayed(0)
        embedder.embed_texts(["whoever comes next need not wait for the rest"])
        assert len(api.arrivals) < 40


class TestFailures:
    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize("fault", _TRANSIENT.values(), ids=_TRANSIENT)
    def test_that_pass_are_tried_again_at_a_permit_each(
        self, fault: Fault, api: RoboflowApi, embedder: RoboflowEmbedder, guard: Guard
    ) -> None:
        api.next.extend([fault, fault])

        vectors = embedder.embed_texts(["a cat"])

        assert vectors == [_direction("a cat")]
        assert len(api.arrivals) == len(guard.deadlines) == 3

    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize("fault", _TRANSIENT.values(), ids=_TRANSIENT)
    def test_that_last_are_given_up(
        self, fault: Fault, api: RoboflowApi, embedder: RoboflowEmbedder, guard: Guard
    ) -> None:
        api.otherwise = fault
        tries = {_TRANSIENT["500"]: 3}.get(fault, 4)

        with pytest.raises(Unavailable, match="Roboflow"):
            embedder.embed_pictures([_coloured(1)])

        assert len(api.arrivals) == len(guard.deadlines) == tries

    @pytest.mark.parametrize(("fault", "error", "words"), _FINAL.values(), ids=_FINAL)
    def test_that_no_repetition_mends_end_at_once_with_what_to_do(
        self,
        fault: Fault,
        error: type[PixseekError],
        words: str,
        api: RoboflowApi,
        embedder: RoboflowEmbedder,
        guard: Guard,
    ) -> None:
        api.otherwise = fault

        with pytest.raises(error, match=words) as raised:
            embedder.embed_texts(["a cat"])

        assert raised.type is error
        assert len(api.arrivals) == len(guard.deadlines) == 1

    @pytest.mark.usefixtures("at_once")
    def test_of_the_server_are_tried_three_times_among_others(
        self, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.next.extend([status(500), status(503), status(500)])

        vectors = embedder.embed_texts(["a cat"])

        assert vectors == [_direction("a cat")]

    @pytest.mark.parametrize(
        ("sent", "words"),
        [("rf_other", "401: the key is wrong"), (None, "no key was sent: set ROBOFLOW_API_KEY")],
        ids=["wrong", "none"],
    )
    def test_for_a_key_are_not_laid_to_the_picture(
        self, sent: str | None, words: str, api: RoboflowApi, guard: Guard
    ) -> None:
        with pytest.raises(SettingsError, match=words):
            _embedder(api.url, guard, api_key=sent).embed_pictures([_coloured(1)])

        assert len(api.arrivals) == 1

    @pytest.mark.usefixtures("at_once")
    def test_to_connect_are_tried_again(self, guard: Guard) -> None:
        with serving() as api:
            url = api.url

        with pytest.raises(Unavailable, match="does not answer"):
            _embedder(url, guard).embed_texts(["a cat"])

        assert len(guard.deadlines) == 4

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_to_stay_at_the_address_do_not_carry_the_key_away(
        self, code: int, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        with serving() as elsewhere:
            api.otherwise = redirect(code, elsewhere.url)

            with pytest.raises(SettingsError, match=f"{code}: check ROBOFLOW_API_URL"):
                embedder.embed_texts(["a cat"])

        assert len(api.arrivals) == 1
        assert elsewhere.connections == 0


class TestRetryAfter:
    @pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
    def test_is_waited_for_when_it_fits(
        self, code: int, pauses: list[float], api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.next.extend([status(code, retry_after="0.125"), status(code, retry_after="0")])

        vectors = embedder.embed_texts(["a cat"], deadline=time.monotonic() + 60)

        assert vectors == [_direction("a cat")]
        assert 0.125 <= pauses[0] <= 0.125 + _RETRY_AFTER_JITTER_S
        assert 0 <= pauses[1] <= _RETRY_AFTER_JITTER_S

    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize(("retry_after", "left_s"), [("31", 30), ("3600", math.inf), ("1e300", math.inf)])
    def test_is_not_waited_for_when_it_does_not(
        self, retry_after: str, left_s: float, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.otherwise = status(503, retry_after=retry_after)

        with pytest.raises(Unavailable, match="503"):
            embedder.embed_texts(["a cat"], deadline=time.monotonic() + left_s)

        assert len(api.arrivals) == 1

    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize("retry_after", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", "nan", "inf", ""])
    def test_that_is_no_number_of_seconds_leaves_the_pause_to_us(
        self, retry_after: str, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.next.append(status(503, retry_after=retry_after))

        vectors = embedder.embed_texts(["a cat"])

        assert vectors == [_direction("a cat")]


class TestDeadlines:
    @pytest.mark.parametrize("fault", _HANGING.values(), ids=_HANGING)
    def test_are_kept_when_the_provider_hangs(
        self, fault: Fault, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.otherwise = fault

        with pytest.raises(Unavailable):
            embedder.embed_texts(["a cat"], deadline=_soon())

        assert len(api.arrivals) == 1

    def test_leave_behind_a_thread_that_cannot_be_freed(
        self, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        api.otherwise = dribbled_headers

        with pytest.raises(Unavailable, match="did not answer in the time that was left"):
            embedder.embed_texts(["a cat"], deadline=_soon())

    def test_are_kept_by_those_who_wait_for_their_turn(self, api: RoboflowApi, guard: Guard) -> None:
        api.otherwise = no_answer

        with pytest.raises(Unavailable):
            _embedder(api.url, guard, concurrency=1).embed_pictures([_coloured(1)] * 3, deadline=_soon())

        assert len(api.arrivals) == 1

    def test_that_have_passed_cost_no_permit(
        self, api: RoboflowApi, embedder: RoboflowEmbedder, guard: Guard
    ) -> None:
        with pytest.raises(Unavailable):
            embedder.embed_texts(["a cat"], deadline=time.monotonic() - 1)

        assert len(api.arrivals) == len(guard.deadlines) == 0

    @pytest.mark.parametrize("fault", [no_answer, dribbled])
    def test_free_the_thread_that_was_left_behind(self, fault: Fault, api: RoboflowApi, guard: Guard) -> None:
        embedder = _embedder(api.url, guard, concurrency=1)
        api.next.append(fault)
        with pytest.raises(Unavailable):
            embedder.embed_texts(["a cat"], deadline=_soon())

        vectors = embedder.embed_texts(["a dog"], deadline=time.monotonic() + HANGS_S / 2)

        assert vectors == [_direction("a dog")]

    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize("fault", [no_answer, dribbled])
    def test_that_are_far_leave_time_for_another_try(
        self, fault: Fault, monkeypatch: pytest.MonkeyPatch, api: RoboflowApi, embedder: RoboflowEmbedder
    ) -> None:
        monkeypatch.setattr("shared.embedding.roboflow_api._READ_S", 0.3)
        api.next.append(fault)

        vectors = embedder.embed_texts(["a cat"], deadline=time.monotonic() + HANGS_S / 2)

        assert vectors == [_direction("a cat")]
        assert len(api.arrivals) == 2


class TestBudgets:
    def test_that_are_spent_let_nothing_through(self, api: RoboflowApi) -> None:
        guard = Permits(lambda *_: Granted([], None, _FREES_AT))

        with pytest.raises(OverBudget) as raised:
            _embedder(api.url, guard).embed_texts(["a cat"])

        assert raised.value.frees_at == _FREES_AT
        assert api.arrivals == []

    @pytest.mark.usefixtures("at_once")
    def test_may_be_spent_before_the_next_try(self, api: RoboflowApi) -> None:
        grants = iter([Granted([0.0], None, None), Granted([], None, _FREES_AT)])
        guard = Permits(lambda *_: next(grants))
        api.otherwise = status(503)

        with pytest.raises(OverBudget):
            _embedder(api.url, guard).embed_texts(["a cat"])

        assert len(api.arrivals) == 1

    def test_that_leave_no_time_for_another_try_do_not_hide_what_the_first_has_met(
        self, api: RoboflowApi
    ) -> None:
        grants = iter([Granted([0.0], None, None), Granted([], None, None)])
        guard = Permits(lambda *_: next(grants))
        api.otherwise = status(503)

        with pytest.raises(Unavailable, match="503"):
            _embedder(api.url, guard).embed_texts(["a cat"])


class TestSecrets:
    @pytest.mark.usefixtures("at_once")
    @pytest.mark.parametrize(
        ("fault", "left_s"),
        [
            *((fault, 30) for fault in _TRANSIENT.values()),
            *((fault, 30) for fault, _, _ in _FINAL.values()),
            *((fault, 0.5) for fault in _HANGING.values()),
        ],
        ids=[*_TRANSIENT, *_FINAL, *_HANGING],
    )
    def test_are_in_no_log_and_no_error_whatever_fails(
        self,
        fault: Fault,
        left_s: float,
        caplog: pytest.LogCaptureFixture,
        api: RoboflowApi,
        embedder: RoboflowEmbedder,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        api.otherwise = fault

        with pytest.raises(PixseekError) as raised:
            embedder.embed_texts([_QUERY], deadline=time.monotonic() + left_s)

        # What it was raised from would hold the request.
        assert raised.value.__cause__ is raised.value.__context__ is None
        told = [*traceback.format_exception(raised.value), repr(raised.value), str(vars(raised.value))]
        logged = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        assert any("127.0.0.1" in line for line in logged)
        assert [line for line in told + logged if _KEY in line or _QUERY in line] == []

    def test_are_in_no_log_when_all_is_well(
        self, caplog: pytest.LogCaptureFixture, embedder: RoboflowEmbedder
    ) -> None:
        caplog.set_level(logging.DEBUG)

        embedder.embed_texts([_QUERY])

        logged = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        assert any("/clip/embed_text" in line for line in logged)
        assert [line for line in logged if _KEY in line or _QUERY in line] == []


@pytest.mark.parametrize("model", ["openai/clip-vit-base-patch16-int8", "google/siglip2-base-patch16-224"])
def test_weights_that_roboflow_does_not_have_are_refused(model: str, guard: Guard) -> None:
    with pytest.raises(SettingsError, match=f"Roboflow does not run {model}: choose another CLIP_MODEL"):
        RoboflowEmbedder(manifest_named(model), guard=guard, url="http://127.0.0.1:9")


def _sent(*sizes: tuple[int, int]) -> list[dict[str, str]]:
    """Pictures as a request holds them."""

    def png(size: tuple[int, int]) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", size, "red").save(buffer, "PNG")
        return buffer.getvalue()

    return [{"type": "base64", "value": base64.b64encode(png(size)).decode()} for size in sizes]


_OLD, _NEW = True, False
_TEXT, _IMAGE = "/clip/embed_text", "/clip/embed_image"


class TestTheStandIn:
    """What was seen of Roboflow's own server, 1.5 (old) and 1.8."""

    @pytest.mark.parametrize(
        ("is_old", "route", "body", "code", "count"),
        [
            (_NEW, _TEXT, {"text": "a cat"}, 200, 1),
            (_NEW, _TEXT, {"text": ["a cat"] * 20}, 200, 20),
            (_NEW, _TEXT, {"text": [""]}, 200, 1),
            (_NEW, _TEXT, {"text": []}, 200, 0),
            (_OLD, _TEXT, {"text": []}, 500, 0),
            (_NEW, _TEXT, {"text": "a " * 75}, 200, 1),
            (_NEW, _TEXT, {"text": "a " * 76}, 400, 0),
            (_OLD, _TEXT, {"text": "a " * 76}, 500, 0),
            (_NEW, _TEXT, {"text": 1}, 422, 0),
            (_NEW, _TEXT, {"text": "a cat", "clip_version_id": "ViT-B-32", "other": 1}, 200, 1),
            (_NEW, _TEXT, {"text": "a cat", "clip_version_id": "clip/ViT-B-16"}, 400, 0),
            (_NEW, _TEXT, {"text": "a cat", "clip_version_id": "ViT-B-17"}, 404, 0),
            (_NEW, _IMAGE, {"image": _sent((3, 2))[0]}, 200, 1),
            (_NEW, _IMAGE, {"image": _sent((3, 2), (3, 2))}, 200, 1),
            (_OLD, _IMAGE, {"image": _sent((3, 2), (3, 2))}, 200, 2),
            (_NEW, _IMAGE, {"image": _sent((3, 2), (4, 2))}, 500, 0),
            (_OLD, _IMAGE, {"image": _sent((3, 2), (4, 2))}, 200, 2),
            (_NEW, _IMAGE, {"image": _sent(*[(3, 2)] * 9)}, 500, 0),
            (_OLD, _IMAGE, {"image": _sent(*[(3, 2)] * 9)}, 500, 0),
            (_NEW, _IMAGE, {"image": []}, 500, 0),
            (_NEW, _IMAGE, {"image": {"type": "base64"}}, 500, 0),
            (_NEW, _IMAGE, {"image": {"type": "base64", "value": "AAAA"}}, 400, 0),
            (_NEW, _IMAGE, {"image": {"type": "url", "value": "https://example.com/a.png"}}, 400, 0),
            (_NEW, _IMAGE, {"image": _sent((3, 2))[0]["value"]}, 422, 0),
            (_NEW, "/clip/embed", {"text": "a cat"}, 404, 0),
        ],
    )
    def test_answers_as_the_server_does(
        self, is_old: bool, route: str, body: dict[str, object], code: int, count: int
    ) -> None:
        with serving(key=_KEY, is_old=is_old) as api:
            reply = requests.post(api.url + route, timeout=30, json={"api_key": _KEY, **body})

        assert reply.status_code == code
        assert len(reply.json().get("embeddings", [])) == count

    def test_does_not_normalise(self, api: RoboflowApi) -> None:
        reply = requests.post(
            api.url + _TEXT, timeout=30, json={"api_key": _KEY, "text": ["a cat", "a cat", "a dog"]}
        )

        cat, same_cat, dog = reply.json()["embeddings"]
        assert cat == same_cat != dog
        assert 8 < math.hypot(*cat) < 12

    @pytest.mark.parametrize(
        ("query", "header", "body", "code"),
        [
            (_KEY, "wrong", "wrong", 200),
            (None, _KEY, "wrong", 200),
            (None, None, _KEY, 200),
            ("wrong", _KEY, _KEY, 401),
            (None, "wrong", _KEY, 401),
            (None, None, None, 400),
        ],
    )
    def test_takes_the_key_of_the_query_then_the_header_then_the_body(
        self, query: str | None, header: str | None, body: str | None, code: int, api: RoboflowApi
    ) -> None:
        reply = requests.post(
            api.url + _TEXT,
            timeout=30,
            params={} if query is None else {"api_key": query},
            headers={} if header is None else {"Authorization": f"Bearer {header}"},
            json={"api_key": body, "text": "a cat"},
        )

        assert reply.status_code == code

    @pytest.mark.parametrize("content", [f'{{"api_key": "{_KEY}", "image": 1}}', f"not JSON {_KEY}"])
    def test_repeats_a_body_that_does_not_fit_key_and_all(self, content: str, api: RoboflowApi) -> None:
        reply = requests.post(api.url + _IMAGE, data=content, timeout=30)

        assert reply.status_code == 422
        assert _KEY in reply.text

    def test_refuses_what_is_over_its_limit_and_tells_how_many_came(self) -> None:
        with serving(limit_per_s=2) as api, requests.Session() as session:
            codes = [session.post(api.url + _TEXT, json={"text": text}).status_code for text in "abc"]
            counts = session.get(f"{api.url}/counts").json()

        assert codes == [200, 200, 429]
        assert (len(counts["arrivals_s"]), len(counts["refused_s"])) == (3, 1)
        assert counts["arrivals_s"][2:] == counts["refused_s"]
        assert counts["largest_bytes"] == len('{"text": "a"}')
