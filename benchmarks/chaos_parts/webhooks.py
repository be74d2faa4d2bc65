"""Posts webhooks to the Google function, many at once, each until it is answered; and kills its processes."""

import threading
import time
from contextlib import suppress
from random import Random
from typing import Final

import httpx
import psutil

from benchmarks.chaos_parts.deliveries import Deliveries, Delivery
from benchmarks.chaos_parts.journal import Cut, Failure, Journal
from benchmarks.chaos_parts.running import WORKERS, Running
from infra.local.gateway.webhook import AT_ONCE as THREADS
from infra.local.processes import Servers
from tests.ports import free_base_port

_POSTS_AT_ONCE: Final = 40
_ANSWER_S: Final = 60.0
_READY_S: Final = 60.0
_FIRST_RETRY_S: Final = 0.25
_LONGEST_RETRY_S: Final = 2.0
_WORTH_A_RETRY: Final = {408, 429}


class Webhooks:
    """As the stack's gateway delivers, but in any order, the events of one object side by side."""

    def __init__(self, deliveries: Deliveries, journal: Journal, running: Running, seed: str) -> None:
        self._deliveries = deliveries
        self._journal = journal
        self._random = Random(seed)  # noqa: S311 -- which process gets a post
        self._secret = running.home.keys().webhook_secret
        self._functions = [_Function(f"function-{slot}", running) for slot in range(WORKERS)]
        self._threads = [threading.Thread(target=self._post_all, daemon=True) for _ in range(_POSTS_AT_ONCE)]

    def start(self) -> None:
        """Begin to post."""
        for function in self._functions:
            function.start()
        for function in self._functions:
            function.wait_until_answers()
        for thread in self._threads:
            thread.start()

    def kill(self, slot: int) -> None:
        """One that is at work, or the next that will be, within reason; it is started again."""
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for number in range(len(self._functions)):
                function = self._functions[(slot + number) % len(self._functions)]
                if function.is_at_work and function.kill():
                    self._journal.count("kills")
                    function.start()
                    function.wait_until_answers()
                    return
            time.sleep(0.002)

    def stop(self) -> None:
        """The queue is closed; nothing is left running."""
        for function in self._functions:
            function.kill()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(10)

    def _post_all(self) -> None:
        headers = {"x-webhook-secret": self._secret, "Content-Type": "application/json"}
        with httpx.Client(headers=headers, timeout=_ANSWER_S, trust_env=False) as http:
            while received := self._deliveries.receive(1):
                [delivery] = received
                function = self._ready_function()
                if function is None:
                    self._deliveries.retry(delivery, after_s=_FIRST_RETRY_S)
                    time.sleep(0.05)
                    continue
                self._post(http, function, delivery)

    def _ready_function(self) -> "_Function | None":
        """The one that has least to do: one that hangs does not get all posts in the end."""
        ready = [function for function in self._functions if function.is_ready]
        return min(ready, key=lambda function: (function.load, self._random.random()), default=None)

    def _post(self, http: httpx.Client, function: "_Function", delivery: Delivery) -> None:
        worker, names = function.name, frozenset(delivery.message.names)
        self._journal.came_together(names | function.enter(delivery))
        began_s, began_at = time.monotonic(), time.time()
        self._journal.count("posts")
        try:
            answer = http.post(function.url, content=delivery.message.body)
        except httpx.HTTPError:
            if function.name != worker or not function.is_ready:  # it was killed
                self._journal.cuts.append(Cut(worker, names, began_s, time.monotonic()))
            else:
                self._journal.count("connections lost, nobody killed")
            self._retry(delivery)
            return
        finally:
            function.leave(delivery)
        if answer.is_success:
            self._deliveries.done(delivery)
        elif answer.is_client_error and answer.status_code not in _WORTH_A_RETRY:
            self._journal.count(f"refused with {answer.status_code}")
            self._deliveries.done(delivery)
        else:
            if not self._journal.poisoned(names):
                is_mate = not names.isdisjoint(self._journal.mates)
                self._journal.failures.append(
                    Failure(worker, delivery.message.names, began_at, time.time(), is_mate)
                )
            self._journal.count(f"answered {answer.status_code}")
            self._retry(delivery)

    def _retry(self, delivery: Delivery) -> None:
        pause_s = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(delivery.receives - 1, 8))
        self._deliveries.retry(delivery, after_s=pause_s)


class _Function:
    """A server, as the stack starts it, and those that take its place."""

    def __init__(self, slot: str, running: Running) -> None:
        self.name = slot
        self.is_ready = False
        self._slot = slot
        self._environment = running.worker_environment("supabase")
        self._api_url = running.api_url
        self._port = free_base_port()
        self._incarnations = 0
        # By itself, so that all of its processes are found and no others.
        self._servers = Servers(running.home.path / slot, running.home.logs)
        self._processes: list[psutil.Process] = []
        self._at_work: set[Delivery] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def load(self) -> int:
        return len(self._at_work)

    @property
    def is_at_work(self) -> bool:
        return self.is_ready and bool(self._at_work)

    def enter(self, delivery: Delivery) -> frozenset[str]:
        """A post begins; the objects of those that are under way."""
        with self._lock:
            self._at_work.add(delivery)
            return frozenset(name for other in self._at_work for name in other.message.names)

    def leave(self, delivery: Delivery) -> None:
        with self._lock:
            self._at_work.discard(delivery)

    def start(self) -> None:
        self._incarnations += 1
        self.name = f"{self._slot}.{self._incarnations}"
        self._servers.start(
            self.name,
            [
                "functions_framework",
                "--source=functions/index_image/gcp.py",
                "--target=index_supabase_webhook",
                "--host=127.0.0.1",
                f"--port={self._port}",
            ],
            {
                **self._environment,
                "THREADS": str(THREADS),
                "ROBOFLOW_API_URL": f"{self._api_url}/{self.name}",
            },
        )

    def wait_until_answers(self) -> None:
        """A refusal is an answer."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            try:
                httpx.get(self.url, timeout=_READY_S, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                # Looked for beforehand: it takes a moment.
                self._processes = self._servers.running()
                self.is_ready = True
                return

    def kill(self) -> bool:
        """With all that it has forked, at once. Whether there was one."""
        with self._lock:
            was_ready, self.is_ready = self.is_ready, False
        # First those that are forked: they do the work.
        for process in reversed(self._processes or self._servers.running()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._servers.stop()
        return was_ready
