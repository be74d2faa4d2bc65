"""`pixseek reembed` and `pixseek models`: what they say and do, also to who uses them wrongly."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.cli import bringing, main
from tests.integration.search_world import wait_until
from tests.integration.switching import NEW, OLD, Switching, picture_of, to_the_new_model
from tests.roboflow_api import Exchange
from tests.roboflow_replies import Reply

pytestmark = pytest.mark.long

_NAMES = ("a.png", "b.png", "c.png", "d.png", "e.png")


class Said(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    error: str


@dataclass
class Pixseek:
    """The command line in this process."""

    process: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, answer: str = "") -> Said:
        self.process.setattr(sys, "argv", ["pixseek", *arguments])
        self.process.setattr(sys, "stdin", io.StringIO(answer))
        self.captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        output, error = self.captured.readouterr()
        return Said(int(ended.value.code or 0), output, error)


@pytest.fixture
def variables(switching: Switching) -> dict[str, str]:
    """Of the operator's shell."""
    return {
        "PIXSEEK_HOME": str(switching.home),
        "STORAGE": "local",
        "STORAGE_DIR": str(switching.folder),
        "COLUMNS": "250",
    }


@pytest.fixture
def pixseek(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Pixseek:
    for name in ("SUPABASE_URL", "SEARCH_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Pixseek(monkeypatch, capsys)


class TestReembed:
    def test_says_what_it_would_take_and_does_nothing(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.follow([switching.put("copy.png", looks_like="a.png")])
        switching.api.arrivals.clear()

        said = pixseek("reembed", "--dry-run")

        assert said.code == 0
        assert f"{NEW}: 6 pictures lack a vector of it" in said.output
        assert "5 calls to the model (the same bytes take one), no limit is set" in said.output
        assert "0.0 Roboflow credits at least" in said.output
        assert switching.states() == {OLD: "active"}
        assert switching.api.arrivals == []

    def test_tells_how_long_the_limits_make_it(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)
        switching.project.act("limit_spending_v1", limits={"calls_per_s": 0.01})
        by_rate = pixseek("reembed", "--dry-run")
        switching.project.act("limit_spending_v1", limits={"indexing_calls_per_day": 2})

        by_day = pixseek("reembed", "--dry-run")

        assert "5 calls to the model (the same bytes take one), 9 minutes by the limits" in by_rate.output
        assert "60.0 hours by the limits of `pixseek spending`" in by_day.output

    def test_brings_the_pictures_over_and_says_that_searches_have_switched(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.index(*_NAMES)

        first = pixseek("reembed")
        again = pixseek("reembed")

        assert first.code == again.code == 0
        assert f"searches use {NEW}, from now on" in first.output
        assert f"{NEW}: 0 pictures lack a vector of it" in again.output
        assert again.output.endswith(f"searches use {NEW}\n")
        assert (switching.vectors(NEW), switching.calls(NEW)) == (5, 5)

    def test_stops_at_its_budget_and_goes_on_from_there(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)

        first = pixseek("reembed", "--budget", "2")
        after_first = switching.calls(NEW)
        second = pixseek("reembed", "--budget", "3")

        assert (first.code, after_first) == (1, 2)
        assert f"3 pictures lack a vector of {NEW}: run it again to go on" in first.output
        assert (second.code, switching.calls(NEW)) == (0, 5)
        assert f"searches use {NEW}, from now on" in second.output

    def test_may_leave_the_switch_to_the_operator(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)

        said = pixseek("reembed", "--activate", "manual")

        assert said.code == 0
        assert f"{NEW} covers the pictures: pixseek models activate {NEW}" in said.output
        assert switching.states() == {OLD: "active", NEW: "building"}

    def test_of_a_model_works_on_what_that_lacks(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index("a.png")
        switching.run()
        switching.index("late.png", model=NEW)

        said = pixseek("reembed", "--model", OLD)

        assert said.code == 0
        assert f"{OLD} covers the pictures, and comes back by hand only" in said.output
        assert switching.vectors(OLD) == 2
        assert switching.states() == {OLD: "retired", NEW: "active"}

    def test_takes_the_model_of_the_stack_and_not_of_the_shell(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        """The stack's functions could not search with another."""
        switching.index("a.png")
        pixseek.process.setenv("NEXT_CLIP_MODEL", "openai/clip-vit-base-patch32")

        said = pixseek("reembed", "--dry-run")

        assert f"{NEW}: 1 pictures lack a vector of it" in said.output

    def test_with_a_model_to_come_that_the_stack_does_not_know_of_is_refused(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.index("a.png")
        pixseek.process.setenv("NEXT_CLIP_TEXT_MODEL", "tests/colours-in-chinese")

        said = pixseek("reembed")

        assert said.code == 1
        assert "the stack runs without NEXT_CLIP_TEXT_MODEL" in said.error
        assert switching.states() == {OLD: "active"}

    def test_beside_one_to_another_model_says_what_to_do(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        other = "openai/clip-vit-base-patch32"
        switching.run(activate="manual", next_clip_model=other)

        said = pixseek("reembed")

        assert said.code == 1
        assert f"brought to model {other}, so not to {NEW}" in said.error
        assert f"pixseek models drop {other}" in said.error

    def test_waits_for_a_budget_of_the_day_and_goes_on_when_it_is_raised(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.index(*_NAMES)
        switching.project.act("limit_spending_v1", limits={"indexing_calls_per_day": 5 + 2})
        waited: list[float] = []

        def raise_it_after_a_while(_: threading.Event, wait_s: float) -> bool:
            waited.append(wait_s)
            switching.project.act("limit_spending_v1", limits={"indexing_calls_per_day": 7 + len(waited)})
            return False

        pixseek.process.setattr(bringing, "_interrupted", raise_it_after_a_while)

        said = pixseek("reembed")

        assert said.code == 0
        assert said.output.count("the budget is spent: going on at ") == 1
        assert max(waited) <= 30
        assert (len(waited), switching.calls(NEW)) == (3, 5)

    def test_that_is_stopped_while_it_waits_for_the_budget_says_so(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.index(*_NAMES)
        switching.project.act("limit_spending_v1", limits={"indexing_calls_per_day": 5 + 2})
        pixseek.process.setattr(bringing, "_interrupted", lambda *_: True)

        said = pixseek("reembed")

        assert said.code == 1
        assert "stopped: the spend guard allows no call to the model before" in said.output
        assert f"3 pictures lack a vector of {NEW}: run it again to go on" in said.output

    def test_waits_for_the_pictures_of_a_worker_that_died(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.index(*_NAMES)
        switching.registry.aim(switching.adapters().embedders.named(NEW).model)
        died_with = switching.registry.claim(NEW, 2, lease_s=120)
        expire = b"""
        update pixseek.work set leased_until = now() - interval '1 s';
        update pixseek.leases set leased_until = now() - interval '1 s'
        """

        def until_its_lease_is_over(*_: object) -> bool:
            switching.sql(expire)
            return False

        pixseek.process.setattr(bringing, "_interrupted", until_its_lease_is_over)

        said = pixseek("reembed")

        assert len(died_with) == 2
        assert said.code == 0
        assert f"searches use {NEW}, from now on" in said.output

    def test_leaves_the_switch_to_the_operator_when_many_pictures_failed(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.index(*_NAMES)
        switching.registry.aim(switching.adapters().embedders.named(NEW).model)
        content_hash = sha256(picture_of("a.png")).hexdigest()
        dark = {"bucket": "photos", "name": "a.png", "content_hash": content_hash, "reason": "too dark"}
        switching.project.act("store_vectors_v1", vectors=[dark], model_name=NEW)

        said = pixseek("reembed")
        switched = pixseek("models", "activate", NEW)

        assert (said.code, switched.code) == (1, 0)
        assert f"stopped: {NEW} covers 4 pictures" in said.output
        assert f"pixseek models activate {NEW} switches to it all the same" in said.output

    @pytest.mark.parametrize(
        ("arguments", "code", "reason"),
        [
            (("--model", "somebody/unknown"), 1, "no embedder is configured here for model somebody"),
            (("--activate", "sometimes"), 2, "auto or manual"),
            (("--budget", "0"), 2, "--budget"),
            (("--budget", "all"), 2, "--budget"),
            (("--workers", "0"), 2, "--workers"),
            (("--workers", "65"), 2, "--workers"),
            (("photos",), 2, "unexpected extra argument"),
        ],
    )
    def test_used_wrongly_says_why_and_does_nothing(
        self, arguments: tuple[str, ...], code: int, reason: str, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.index("a.png")

        said = pixseek("reembed", *arguments)

        assert said.code == code
        assert reason in said.error
        assert "Traceback" not in said.error
        assert switching.states() == {OLD: "active"}
        assert switching.api.arrivals == []

    @pytest.mark.parametrize(
        "command", [("reembed", "--dry-run"), ("models", "list"), ("models", "rollback")]
    )
    def test_where_no_stack_runs_says_what_to_do(
        self, command: tuple[str, ...], pixseek: Pixseek, tmp_path: Path
    ) -> None:
        pixseek.process.setenv("PIXSEEK_HOME", str(tmp_path / "nowhere"))

        said = pixseek(*command)

        assert said.code == 3
        assert "make serve" in said.error


class TestCtrlC:
    @pytest.fixture
    def start(self, variables: dict[str, str]) -> Callable[[], subprocess.Popen[str]]:
        return lambda: subprocess.Popen(
            [Path(sys.executable).with_name("pixseek"), "reembed", "--workers", "1"],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_stops_after_the_batch_in_hand_and_the_next_run_pays_for_nothing_twice(
        self, start: Callable[[], subprocess.Popen[str]], switching: Switching
    ) -> None:
        switching.index(*[f"{number}.png" for number in range(40)])
        interrupted = threading.Event()

        def wait(exchange: Exchange, reply: Reply) -> None:
            interrupted.wait(30)
            exchange.send(reply)

        switching.api.otherwise = to_the_new_model(wait)
        with start() as first:
            wait_until(lambda: switching.calls(NEW) >= 1)
            first.send_signal(signal.SIGINT)
            _read_until("stopping after the batches in hand", first)
            interrupted.set()
            output, error = first.communicate(timeout=60)
        after_first = switching.calls(NEW)
        with start() as second:
            resumed, _ = second.communicate(timeout=60)

        assert (first.returncode, error, after_first) == (1, "", 32)
        assert f"8 pictures lack a vector of {NEW}: run it again to go on" in output
        assert (second.returncode, switching.calls(NEW)) == (0, 40)
        assert f"{NEW}: 8 pictures lack a vector of it" in resumed


def _read_until(words: str, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = "the first"
    while words not in line:
        assert line, "it ended"
        line = process.stdout.readline()


class TestModels:
    def test_are_listed_with_what_they_cover(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)
        pixseek("reembed", "--budget", "2")

        said = pixseek("models", "list")

        assert said.code == 0
        assert re.search(rf"{OLD} +active +5 x 512 +100\.0 % +0 +0", said.output)
        new = rf"{NEW} +building \(pictures are brought to it\) +2 x 768 +40\.0 % +3 +0"
        assert re.search(new, said.output)

    def test_are_activated_by_hand(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)
        pixseek("reembed", "--activate", "manual")

        said = pixseek("models", "activate", NEW)

        assert said.code == 0
        assert f"searches use {NEW} now; running functions follow within a minute" in said.output
        assert switching.states() == {OLD: "retired", NEW: "active"}

    def test_are_not_activated_while_they_lack_pictures(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)
        pixseek("reembed", "--budget", "2")

        refused = pixseek("models", "activate", NEW)
        forced = pixseek("models", "activate", NEW, "--least-coverage", "0.4")

        assert (refused.code, forced.code) == (1, 0)
        assert f"model {NEW} covers 40 % of the pictures, and the gate is 99.9 %" in refused.error
        assert switching.states() == {OLD: "retired", NEW: "active"}

    def test_come_back_at_once(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)
        pixseek("reembed")
        switching.index("late.png", model=NEW)

        said = pixseek("models", "rollback")
        again = pixseek("reembed")

        assert said.code == again.code == 0
        assert f"searches use {OLD} again" in said.output
        assert f"1 pictures that came since lack a vector of it: pixseek reembed --model {OLD}" in said.output
        assert f"{NEW} covers the pictures, and comes back by hand only" in again.output
        assert switching.states() == {OLD: "active", NEW: "retired"}

    def test_of_before_are_not_there_at_first(self, pixseek: Pixseek) -> None:
        said = pixseek("models", "rollback")

        assert said.code == 1
        assert "no model was active before this one" in said.error

    def test_are_dropped_once_they_are_out_of_use(self, pixseek: Pixseek, switching: Switching) -> None:
        switching.index(*_NAMES)
        pixseek("reembed")

        refused = pixseek("models", "drop", NEW, "--yes")
        too_soon = pixseek("models", "drop", OLD, "--yes")
        switching.sql(
            b"update pixseek.models set retired_at = now() - interval '1 hour' where state = 'retired'"
        )
        declined = pixseek("models", "drop", OLD, answer="n\n")
        after_both = switching.states()
        dropped = pixseek("models", "drop", OLD, answer="y\n")
        listed = pixseek("models", "list")

        assert (refused.code, too_soon.code, declined.code, dropped.code) == (1, 1, 1, 0)
        assert "try again in two minutes" in too_soon.error
        assert f"model {NEW} is active: searches use it. Activate another model first" in refused.error
        assert after_both == {OLD: "retired", NEW: "active"}
        assert f"Remove 5 vectors of {OLD}?" in dropped.output
        assert f"{OLD} is dropped" in dropped.output
        assert OLD not in listed.output

    def test_that_the_guides_clients_embed_with_are_not_dropped(
        self, pixseek: Pixseek, switching: Switching
    ) -> None:
        switching.project.act("configure_guide_v1", bucket_name="photos", model_name=OLD)
        pixseek("reembed")

        said = pixseek("models", "drop", OLD, "--yes")

        assert said.code == 1
        assert f"clients of match_images embed with {OLD}" in said.error
        assert switching.states() == {OLD: "retired", NEW: "active"}

    @pytest.mark.parametrize(
        ("arguments", "code", "reason"),
        [
            (
                ("activate", "somebody/unknown"),
                1,
                "no embedder is configured here for model somebody",
            ),
            (("drop", "somebody/unknown"), 1, "there is no model somebody/unknown"),
            (("activate",), 2, "Missing argument"),
            (("activate", NEW, "--least-coverage", "99.9"), 2, "--least-coverage"),
            (("drop",), 2, "Missing argument"),
            (("rename", "a", "b"), 2, "No such command"),
        ],
    )
    def test_used_wrongly_say_why_and_change_nothing(
        self, arguments: tuple[str, ...], code: int, reason: str, pixseek: Pixseek, switching: Switching
    ) -> None:
        said = pixseek("models", *arguments)

        assert said.code == code
        assert reason in said.error
        assert "Traceback" not in said.error
        assert switching.states() == {OLD: "active"}
