"""Every picture is brought to another model and searches switch to it, whatever happens on the way."""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from functions.reembed_images.running import worker_of
from infra.local.home import ROOT
from shared import reembedding
from shared.errors import ObjectRefused, OverBudget, SettingsError, Unavailable
from shared.models import ObjectRef
from shared.reembedding import Reembedded
from shared.settings import Times
from tests.faulty_ports import FaultyStore
from tests.integration.search_world import wait_until
from tests.integration.switching import NEW, OLD, Clock, Switching, picture_of, to_the_new_model
from tests.roboflow_api import Exchange
from tests.roboflow_faults import embeddings, no_answer, status
from tests.roboflow_replies import Reply
from tests.search_api import SearchApi

pytestmark = pytest.mark.long

_NAMES = ("a.png", "b.png", "c.png", "d.png", "e.png")
_EXPIRE = b"""
update pixseek.work set leased_until = now() - interval '1 s';
update pixseek.leases set leased_until = now() - interval '1 s'
"""


def _looking_like(name: str, api: SearchApi, switching: Switching) -> dict[str, Any]:
    """The answer to who asks for what looks like a picture."""
    picture = base64.b64encode(picture_of(name)).decode()
    token = switching.project.connection.service_role_key
    answer = api.ask("POST", "/search", token=token, json={"query": [{"picture": picture}], "limit": 1})
    assert answer.status == 200, answer.body
    reply: dict[str, Any] = answer.json()
    return reply


def _for_text(text: str, api: SearchApi, switching: Switching) -> dict[str, Any]:
    parameters = {"q": text, "min_similarity": "-1", "limit": "1"}
    token = switching.project.connection.service_role_key
    answer = api.ask("GET", "/search", token=token, params=parameters)
    assert answer.status == 200, answer.body
    reply: dict[str, Any] = answer.json()
    return reply


def _found(reply: dict[str, Any]) -> tuple[str, list[str]]:
    """The model of an answer and the pictures."""
    return reply["model"], [result["image"] for result in reply["results"]]


def _spend_at_most(switching: Switching, calls: int | None) -> None:
    """More than were made today."""
    switching.project.act("limit_spending_v1", limits={"indexing_calls_per_day": calls})


def _asked(switching: Switching, **uses: int) -> None:
    asked = [{"text": text.replace("_", " "), "uses": often} for text, often in uses.items()]
    switching.project.act("count_asked_v1", asked=asked)


def _retired_ago(switching: Switching, model: str, days: int) -> None:
    moment = datetime.now(UTC) - timedelta(days=days)
    switching.sql(b"update pixseek.models set retired_at = %s where name = %s", moment, model)


def _hash_of(name: str) -> str:
    return sha256(picture_of(name)).hexdigest()


def _reembed(switching: Switching, store: FaultyStore | None = None) -> Reembedded:
    """With the new model, the bucket through a store that may have faults."""
    adapters, registry = switching.adapters(), switching.registry
    adapters = adapters if store is None else replace(adapters, store=store)
    endless = Times(float("inf"), float("inf"))
    worker = worker_of(adapters.embedders.named(NEW), adapters, registry, switching.settings(), endless)
    return reembedding.reembed(worker, memory=adapters.database)


@pytest.fixture
def store(switching: Switching) -> FaultyStore:
    return FaultyStore(switching.adapters().store)


class TestARun:
    def test_embeds_every_picture_once_and_switches(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.follow([switching.put(copy, looks_like="a.png") for copy in ("copy.png", "b copy.png")])
        switching.api.arrivals.clear()

        report = switching.run()

        assert report[OLD] == {**report[OLD], "state": "active", "indexed": 0, "missing": 0}
        assert report[NEW] == {**report[NEW], "state": "active", "is_new": True, "missing": 0}
        assert switching.states() == {OLD: "retired", NEW: "active"}
        assert switching.vectors(NEW) == 7
        assert (switching.calls(OLD), switching.calls(NEW)) == (0, len(_NAMES))

    def test_of_nothing_switches_at_once(self, switching: Switching) -> None:
        report = switching.run()

        assert (report[NEW]["state"], report[NEW]["calls"]) == ("active", 0)

    def test_that_is_repeated_does_nothing(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.run()
        switching.api.arrivals.clear()

        report = switching.run()

        assert list(report) == [NEW]
        assert report[NEW] == {**report[NEW], "state": "active", "is_new": False, "calls": 0}
        assert switching.api.arrivals == []

    def test_without_a_model_to_come_embeds_what_the_active_one_lacks(self, switching: Switching) -> None:
        switching.index("a.png")
        switching.sql(b"truncate pixseek.vectors; update pixseek.images set state = 'pending'")

        report = switching.run(next_clip_model="")

        assert list(report) == [OLD]
        assert (report[OLD]["indexed"], switching.vectors(OLD)) == (1, 1)
        assert switching.states() == {OLD: "active"}

    def test_may_leave_the_switch_to_somebody(self, switching: Switching) -> None:
        switching.index(*_NAMES)

        report = switching.run(activate="manual")
        before = switching.states()
        switching.registry.activate(NEW, least_coverage=reembedding.LEAST_COVERAGE)

        assert report[NEW] == {**report[NEW], "state": "covered", "is_new": False}
        assert before == {OLD: "active", NEW: "building"}
        assert switching.states() == {OLD: "retired", NEW: "active"}

    def test_works_on_the_named_buckets_alone_and_switches_when_all_are_covered(
        self, switching: Switching
    ) -> None:
        switching.index("a.png", bucket="photos")
        switching.index("b.png", bucket="others")

        first = switching.run(buckets="photos")
        second = switching.run(buckets="others")

        assert (first[NEW]["state"], first[NEW]["indexed"], first[NEW]["missing"]) == ("unfinished", 1, 1)
        assert (second[NEW]["state"], second[NEW]["indexed"]) == ("active", 1)

    def test_that_has_no_time_begins_nothing(self, switching: Switching) -> None:
        switching.index(*_NAMES)

        report = switching.run(left_s=1.1)

        assert (report[NEW]["state"], report[NEW]["missing"]) == ("unfinished", len(_NAMES))
        assert switching.calls(NEW) == 0
        assert switching.states() == {OLD: "active", NEW: "building"}

    @pytest.mark.parametrize("embedder", ["roboflow", "clip"])
    def test_with_an_unknown_model_says_so_and_registers_nothing(
        self, embedder: str, switching: Switching
    ) -> None:
        with pytest.raises(SettingsError, match="somebody/unknown"):
            switching.run(next_embedder=embedder, next_clip_model="somebody/unknown")

        assert switching.states() == {OLD: "active"}

    def test_beside_one_to_another_model_is_refused_with_what_to_do(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.run(activate="manual")
        switching.api.arrivals.clear()

        report = switching.run(next_clip_model="openai/clip-vit-base-patch32")

        refused = str(report["openai/clip-vit-base-patch32"]["error"])
        assert f"brought to model {NEW}, " in refused
        assert f"pixseek models drop {NEW}" in refused
        assert report[OLD]["state"] == "active"
        assert switching.api.arrivals == []
        assert switching.states() == {OLD: "active", NEW: "building"}

    def test_beside_one_to_another_model_that_was_given_up_goes_on(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.run(activate="manual")
        switching.registry.drop(NEW)

        report = switching.run(next_clip_model="openai/clip-vit-base-patch32")

        assert report["openai/clip-vit-base-patch32"]["state"] == "active"

    def test_where_the_active_model_has_no_embedder_works_for_the_one_to_come(
        self, switching: Switching, caplog: pytest.LogCaptureFixture
    ) -> None:
        switching.index(*_NAMES)

        report = switching.run(clip_model="openai/clip-vit-base-patch32")

        assert list(report) == [NEW]
        assert report[NEW]["state"] == "active"
        assert "model_not_served" in caplog.messages

    def test_is_stopped_by_an_embedder_that_is_another_model_and_blames_no_picture(
        self, switching: Switching
    ) -> None:
        switching.index(*_NAMES)
        switching.api.otherwise = to_the_new_model(embeddings([[0.1] * 512]))

        report = switching.run()
        switching.api.otherwise = to_the_new_model(lambda exchange, reply: exchange.send(reply))
        again = switching.run()

        assert (report[NEW]["state"], report[NEW]["failed"]) == ("unfinished", 0)
        assert "another model answers" in str(report[NEW]["error"])
        assert (again[NEW]["state"], again[NEW]["indexed"]) == ("active", len(_NAMES))

    def test_leaves_a_switch_to_somebody_when_many_pictures_failed(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.registry.aim(switching.adapters().embedders.named(NEW).model)
        dark = {
            "bucket": "photos",
            "name": "a.png",
            "content_hash": _hash_of("a.png"),
            "reason": "too dark",
        }
        switching.project.act("store_vectors_v1", vectors=[dark], model_name=NEW)

        report = switching.run()
        switching.registry.activate(NEW, least_coverage=reembedding.LEAST_COVERAGE)

        assert (report[NEW]["state"], report[NEW]["missing"]) == ("unfinished", 0)
        assert "covers 4 pictures" in str(report[NEW]["error"])
        assert "pixseek models list" in str(report[NEW]["error"])
        assert switching.states() == {OLD: "retired", NEW: "active"}


class TestSearches:
    def test_stay_in_the_old_model_and_follow_a_switch_within_half_a_minute(
        self, switching: Switching
    ) -> None:
        switching.index(*_NAMES)
        clock = Clock()
        api = switching.search_api(clock)

        before = _looking_like("b.png", api, switching)
        switching.run()
        at_once = _looking_like("b.png", api, switching)
        clock.now_s += 31
        later = _looking_like("b.png", api, switching)

        assert _found(before) == _found(at_once) == (OLD, ["b.png"])
        assert _found(later) == (NEW, ["b.png"])
        assert later["results"][0]["similarity"] == pytest.approx(1, abs=0.01)

    def test_find_while_the_pictures_are_brought_over(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        api = switching.search_api(Clock())
        found = []

        def search_first(exchange: Exchange, reply: Reply) -> None:
            found.append(_looking_like("c.png", api, switching))
            exchange.send(reply)

        switching.api.otherwise = to_the_new_model(search_first)

        switching.run(roboflow_concurrency="1")

        assert [_found(reply) for reply in found] == [(OLD, ["c.png"])] * len(_NAMES)

    def test_go_on_in_the_model_that_they_began_in(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        clock = Clock()
        api = switching.search_api(clock)
        first = _for_text("a red door", api, switching)

        switching.run()
        clock.now_s += 31
        token = switching.project.connection.service_role_key
        parameters = {"q": "a red door", "min_similarity": "-1", "limit": "1", "cursor": first["next_cursor"]}
        second = api.ask("GET", "/search", token=token, params=parameters).json()

        assert (first["model"], second["model"]) == (OLD, OLD)
        assert second["results"][0]["image"] != first["results"][0]["image"]
        assert _for_text("a red door", api, switching)["model"] == NEW

    def test_for_what_is_asked_most_cost_no_call_after_the_switch(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        _asked(switching, a_red_door=9, a_blue_door=4)
        clock = Clock()
        api = switching.search_api(clock)

        switching.run()
        learned = switching.calls(NEW, "text")
        often = _for_text("a  red door", api, switching)
        asked_for_often = switching.calls(NEW, "text")
        seldom = _for_text("a blue door", api, switching)

        assert (often["model"], seldom["model"]) == (NEW, NEW)
        assert (learned, asked_for_often, switching.calls(NEW, "text")) == (1, 1, 2)

    def test_for_what_the_new_model_cannot_read_are_not_remembered_for_it(self, switching: Switching) -> None:
        """A text tower that reads it may come."""
        switching.index("a.png")
        switching.project.act("count_asked_v1", asked=[{"text": "红色的门", "uses": 9}])

        switching.run()

        assert switching.calls(NEW, "text") == 0
        assert list(switching.registry.asked_most(NEW, 10)) == ["红色的门"]

    def test_are_not_held_up_by_a_text_that_the_new_model_refuses(self, switching: Switching) -> None:
        switching.index("a.png")
        _asked(switching, a_red_door=9)
        asked = [{"text": "grandmother's " * 60, "uses": 9}]
        switching.project.act("count_asked_v1", asked=asked)

        report = switching.run()

        assert report[NEW]["state"] == "active"
        assert len(switching.registry.asked_most(NEW, 10)) == 1

    def test_of_texts_that_cannot_be_learned_now_are_switched_the_next_time(
        self, switching: Switching
    ) -> None:
        switching.index("a.png")
        _asked(switching, a_red_door=9)
        switching.api.next.append(lambda exchange, reply: exchange.send(reply))
        switching.api.otherwise = to_the_new_model(status(401))

        report = switching.run()
        before = switching.states()
        switching.api.otherwise = to_the_new_model(lambda exchange, reply: exchange.send(reply))
        again = switching.run()

        assert (report[NEW]["state"], report[NEW]["indexed"]) == ("unfinished", 1)
        assert "ROBOFLOW_API_KEY" in str(report[NEW]["error"])
        assert before == {OLD: "active", NEW: "building"}
        assert again[NEW]["state"] == "active"


class TestUploads:
    """Through the stack's own storage and functions."""

    @pytest.fixture
    def upload(self, switching: Switching) -> Iterator[Callable[[str], None]]:
        """A picture into a bucket of Supabase's, until it can be searched."""
        client = switching.project.client
        bucket = "uploads"
        client.storage.create_bucket(bucket)

        def until_searchable(name: str) -> None:
            client.storage.from_(bucket).upload(name, picture_of(name))
            arguments = {"bucket_name": bucket, "object_names": [name]}
            wait_until(lambda: "indexed" in str(client.rpc("image_states_v1", arguments).execute().data))

        yield until_searchable
        client.storage.empty_bucket(bucket)

    def test_that_come_meanwhile_or_just_after_the_switch_are_in_the_new_model(
        self, upload: Callable[[str], None], switching: Switching
    ) -> None:
        upload("before.png")

        def upload_first(exchange: Exchange, reply: Reply) -> None:
            switching.api.otherwise = lambda exchange, reply: exchange.send(reply)
            upload("meanwhile.png")
            exchange.send(reply)

        switching.api.otherwise = to_the_new_model(upload_first)

        report = switching.run(storage="supabase")
        upload("after.png")
        in_both = switching.vectors(NEW), switching.registry.coverage(NEW).missing
        switching.registry.drop(OLD)
        upload("later.png")

        assert report[NEW]["state"] == "active"
        assert in_both == (3, 0)
        assert switching.vectors(NEW) == 4


class TestAWorker:
    @contextmanager
    def _working(self, switching: Switching) -> Iterator[subprocess.Popen[bytes]]:
        """A process that waits for the model."""
        switching.api.otherwise = to_the_new_model(no_answer)
        process = subprocess.Popen(
            [sys.executable, "-m", "functions.reembed_images.gcp"],
            cwd=ROOT,
            env={**os.environ, **switching.variables()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def test_that_is_killed_loses_nothing(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        with self._working(switching) as process:
            wait_until(lambda: switching.calls(NEW) >= 1)
            process.send_signal(signal.SIGKILL)
        switching.api.otherwise = to_the_new_model(lambda exchange, reply: exchange.send(reply))

        while_leased = switching.run()
        switching.sql(_EXPIRE)
        report = switching.run()

        assert (while_leased[NEW]["state"], while_leased[NEW]["missing"]) == ("unfinished", len(_NAMES))
        assert (report[NEW]["state"], report[NEW]["indexed"]) == ("active", len(_NAMES))
        assert switching.vectors(NEW) == len(_NAMES)


class TestTheBudgetOfTheDay:
    def test_stops_a_run_midway_which_goes_on_when_it_is_raised(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        _spend_at_most(switching, len(_NAMES) + 2)

        stopped = switching.run()
        again = switching.run()
        _spend_at_most(switching, None)
        done = switching.run()

        assert (stopped[NEW]["state"], stopped[NEW]["indexed"], stopped[NEW]["missing"]) == (
            "unfinished",
            2,
            3,
        )
        assert "spend guard" in str(stopped[NEW]["error"])
        assert (again[NEW]["state"], again[NEW]["indexed"]) == ("unfinished", 0)
        assert (done[NEW]["state"], done[NEW]["indexed"]) == ("active", 3)
        assert switching.calls(NEW) == len(_NAMES)

    def test_that_is_spent_on_texts_leaves_the_switch_to_the_next_time(self, switching: Switching) -> None:
        switching.index("a.png")
        _asked(switching, a_red_door=9)
        _spend_at_most(switching, 2)

        reached = _reembed(switching)

        assert (reached.state, reached.is_new) == ("unfinished", False)
        assert isinstance(reached.stopped_by, OverBudget)
        assert switching.states() == {OLD: "active", NEW: "building"}


class TestAPicture:
    def test_that_changed_is_embedded_as_it_is_now(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.put("a.png", looks_like="another.png")

        report = switching.run()

        api = switching.search_api(Clock())
        assert report[NEW]["state"] == "active"
        assert _found(_looking_like("another.png", api, switching)) == (NEW, ["a.png"])

    def test_that_vanished_is_out_of_the_index(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        (switching.folder / "photos" / "a.png").unlink()

        report = switching.run()

        assert report[NEW] == {**report[NEW], "state": "active", "indexed": len(_NAMES), "missing": 0}
        assert (switching.vectors(NEW), switching.vectors(OLD)) == (4, 4)

    def test_that_is_no_picture_any_more_fails(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        (switching.folder / "photos" / "a.png").write_text("no picture")

        report = switching.run()

        assert report[NEW] == {**report[NEW], "state": "active", "failed": 1, "indexed": 4}

    def test_that_was_never_read_is(self, switching: Switching) -> None:
        ref = switching.put("a.png")
        unread = {"bucket": ref.bucket, "name": ref.name, "ordering_key": "0"}
        switching.project.act("put_bucket_v1", bucket_name=ref.bucket, provider="local")
        switching.project.act("record_images_v1", images=[unread])
        switching.sql(_EXPIRE)

        report = switching.run()

        assert (report[OLD]["indexed"], report[NEW]["indexed"]) == (1, 1)
        assert (switching.vectors(OLD), switching.vectors(NEW)) == (1, 1)

    def test_that_we_may_not_read_now_is_tried_again_and_stays_searchable(
        self, switching: Switching, store: FaultyStore
    ) -> None:
        switching.index(*_NAMES)
        store.before_open = _refusing("a.png", ObjectRefused("the bucket does not let us read it"))

        first = _reembed(switching, store)
        store.before_open = lambda _: None
        switching.sql(_EXPIRE)
        second = _reembed(switching, store)

        api = switching.search_api(Clock())
        assert (first.state, first.tally.indexed, first.tally.later, first.missing) == ("unfinished", 4, 1, 1)
        assert (second.state, second.tally.indexed) == ("active", 1)
        assert _found(_looking_like("a.png", api, switching)) == (NEW, ["a.png"])

    def test_whose_store_does_not_answer_costs_no_try(self, switching: Switching, store: FaultyStore) -> None:
        switching.index("a.png")
        store.before_open = _refusing("a.png", Unavailable("the bucket does not answer"))
        adapters, registry = replace(switching.adapters(), store=store), switching.registry
        soon = Times(float("inf"), float("inf"))
        worker = worker_of(adapters.embedders.named(NEW), adapters, registry, switching.settings(), soon)
        registry.aim(worker.embedder.model)

        errors = [_error_of(worker.work) for _ in range(7)]
        store.before_open = lambda _: None
        done = worker.work()

        assert errors == ["the bucket does not answer"] * 7
        assert done is not None
        assert (done.indexed, done.later) == (1, 0)


def _refusing(name: str, error: Exception) -> Callable[[ObjectRef], None]:
    def check(ref: ObjectRef) -> None:
        if ref.name == name:
            raise error

    return check


def _error_of(act: Callable[[], object]) -> str:
    with pytest.raises(Unavailable) as caught:
        act()
    return str(caught.value)


class TestTheModelOfBefore:
    def test_is_dropped_after_its_grace_and_not_before(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.run()
        at_once = switching.states()
        _retired_ago(switching, OLD, 6)
        switching.run()
        after_six_days = switching.states()

        _retired_ago(switching, OLD, 8)
        switching.run()

        assert at_once == after_six_days == {OLD: "retired", NEW: "active"}
        assert switching.states() == {NEW: "active"}
        assert switching.vectors(OLD) == 0

    def test_is_dropped_once_all_know_of_the_switch_where_none_is_given(self, switching: Switching) -> None:
        switching.index(*_NAMES)

        switching.run(keep_retired_days="0")
        switching.run(keep_retired_days="0")
        at_once = switching.states()
        _retired_ago(switching, OLD, 1)
        switching.run(keep_retired_days="0")

        assert (at_once, switching.states()) == ({OLD: "retired", NEW: "active"}, {NEW: "active"})

    def test_stays_while_the_guides_clients_embed_with_it(self, switching: Switching) -> None:
        switching.project.act("configure_guide_v1", bucket_name="photos", model_name=OLD)

        switching.run(keep_retired_days="0")

        assert switching.states() == {OLD: "retired", NEW: "active"}

    def test_that_came_back_stays_and_is_not_switched_away_from_again(self, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.run()
        switching.registry.activate(OLD, least_coverage=0)
        switching.index("late.png")

        report = switching.run()

        assert list(report) == [OLD]
        assert switching.vectors(NEW) == len(_NAMES)
        assert switching.states() == {OLD: "active", NEW: "retired"}

    def test_that_came_back_stays_also_when_the_grace_of_the_other_is_over(
        self, switching: Switching
    ) -> None:
        """Dropped, the one to come would be built anew and switched to."""
        switching.index(*_NAMES)
        switching.run()
        switching.registry.activate(OLD, least_coverage=0)
        _retired_ago(switching, NEW, 8)

        _ = [switching.run(), switching.run(keep_retired_days="0"), switching.run(keep_retired_days="0")]

        assert switching.states() == {OLD: "active", NEW: "retired"}
        assert switching.calls(NEW) == len(_NAMES)
