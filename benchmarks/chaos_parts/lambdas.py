"""Instances of the AWS function, fed from a queue as Lambda feeds them from SQS; killed and started anew."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Final

from benchmarks.chaos_parts.deliveries import Deliveries, Delivery
from benchmarks.chaos_parts.journal import Cut, Failure, Journal
from benchmarks.chaos_parts.lambda_worker import RAISED
from benchmarks.chaos_parts.running import FUNCTION_TIMEOUT_S, WORKERS, Running
from infra.local.home import ROOT

_BATCH: Final = (10, 32)
_HIDDEN_S: Final = 4.0
"""SQS advises six times the function's timeout; less makes more duplicates, and a short run."""
_GRACE_S: Final = 2.0


class Lambdas:
    """A thread an instance. Each incarnation has a name of its own, by which the model's server knows it."""

    def __init__(self, deliveries: Deliveries, journal: Journal, running: Running, seed: str) -> None:
        self._deliveries = deliveries
        self._journal = journal
        self._instances = [_Instance(f"lambda-{slot}", running, f"{seed} {slot}") for slot in range(WORKERS)]
        self._threads = [
            threading.Thread(target=self._serve, args=(instance,), daemon=True)
            for instance in self._instances
        ]

    def start(self) -> None:
        """Begin to receive."""
        for thread in self._threads:
            thread.start()

    def kill(self, slot: int) -> None:
        """One that is at work, or the next that will be, within reason."""
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for number in range(len(self._instances)):
                if self._instances[(slot + number) % len(self._instances)].kill_at_work():
                    return
            time.sleep(0.002)

    def stop(self) -> None:
        """The queue is closed; nothing is left running."""
        for instance in self._instances:
            instance.kill()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(10)
        for instance in self._instances:
            instance.bury()

    def _serve(self, instance: "_Instance") -> None:
        instance.start()
        while batch := self._deliveries.receive(instance.random.randint(*_BATCH), hidden_s=_HIDDEN_S):
            self._journal.count("batches")
            names = frozenset(name for delivery in batch for name in delivery.message.names)
            poisoned = self._journal.came_together(names)
            began_s, began_at = time.monotonic(), time.time()
            answer = instance.ask(_event(batch))
            if answer is not None:
                for names_of_one in self._settle(batch, answer, poisoned):
                    self._journal.failures.append(
                        Failure(instance.name, names_of_one, began_at, time.time(), bool(poisoned))
                    )
                continue
            if instance.was_killed:
                self._journal.cuts.append(Cut(instance.name, names, began_s, time.monotonic()))
                self._journal.count("kills")
            else:
                self._journal.count("ended by itself or out of time")
            if not self._deliveries.is_closed:
                instance.start()

    def _settle(
        self, batch: Sequence[Delivery], answer: Mapping[str, Any], poisoned: set[str]
    ) -> Iterator[tuple[str, ...]]:
        """The healthy objects that the worker wants again."""
        if RAISED in answer:
            self._journal.count("batches that raised")
            failed = {delivery.id for delivery in batch}
        else:
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for delivery in batch:
            names = delivery.message.names
            if delivery.id not in failed:
                self._deliveries.done(delivery)
            elif poisoned.isdisjoint(names):
                yield names


class _Instance:
    """A process, and those that take its place."""

    def __init__(self, slot: str, running: Running, seed: str) -> None:
        self.name = slot
        self.random = Random(seed)  # noqa: S311 -- sizes of batches
        self.was_killed = False
        self._slot = slot
        self._environment = running.worker_environment("s3")
        self._api_url = running.api_url
        self._logs = running.home.logs
        self._incarnations = 0
        self._process: subprocess.Popen[str] | None = None
        self._is_at_work = False
        self._lock = threading.Lock()

    def start(self) -> None:
        self._incarnations += 1
        self.name = f"{self._slot}.{self._incarnations}"
        with (self._logs / f"{self.name}.log").open("w") as log, self._lock:
            self.was_killed = False
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.chaos_parts.lambda_worker"],
                cwd=ROOT,
                env={**self._environment, "ROBOFLOW_API_URL": f"{self._api_url}/{self.name}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def ask(self, event: object) -> dict[str, Any] | None:
        """None when it ended before it answered. Lambda ends one that is out of time, and so do we."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("not started, or without pipes")
        timer = threading.Timer(FUNCTION_TIMEOUT_S + _GRACE_S, process.kill)
        timer.start()
        self._is_at_work = True
        try:
            process.stdin.write(json.dumps(event) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            self._is_at_work = False
            timer.cancel()
        if line.endswith("\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        with suppress(OSError):
            process.communicate()
        return None

    def kill_at_work(self) -> bool:
        """Whether it was."""
        with self._lock:
            if not self._is_at_work or self.was_killed or self._process is None:
                return False
            self.was_killed = True
            self._process.kill()
            return True

    def kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self.was_killed = True
                self._process.kill()

    def bury(self) -> None:
        """Also one that was started after that."""
        self.kill()
        if self._process is not None:
            with suppress(OSError):
                self._process.communicate()


def _event(batch: Sequence[Delivery]) -> dict[str, object]:
    """As Lambda hands messages of SQS over."""
    return {
        "Records": [
            {
                "messageId": delivery.id,
                "receiptHandle": f"{delivery.id}-{delivery.receives}",
                "body": delivery.message.body,
                "attributes": {"ApproximateReceiveCount": str(delivery.receives)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:chaos",
                "awsRegion": "us-east-1",
            }
            for delivery in batch
        ]
    }
