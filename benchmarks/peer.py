"""A contender as a process of its own: a JSON request a line in, a line out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeVar

from pydantic import BaseModel

_ROOT: Final = Path(__file__).parents[1]
_Reply = TypeVar("_Reply", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Peer:
    """A running contender."""

    pid: int
    requests: IO[str]
    replies: IO[str]

    def peak_mb(self) -> float:
        """The most memory that it has taken so far, as Linux tells."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [line] = [line for line in status if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / 1e6

    def ask(self, form: type[_Reply], **request: object) -> _Reply:
        """One request and its answer."""
        self.send(**request)
        return self.receive(form)

    def send(self, **request: object) -> None:
        """A request whose answer is fetched later: several contenders work at once."""
        self.requests.write(json.dumps(request) + "\n")
        self.requests.flush()

    def receive(self, form: type[_Reply]) -> _Reply:
        """The answer to the request before."""
        line = self.replies.readline()
        if not line:
            raise RuntimeError("the contender ended before it answered; what it said is above")
        return form.model_validate_json(line)


@contextmanager
def other_peoples(name: str, *arguments: str | Path) -> Iterator[Peer]:
    """`peers/<name>_peer.py`, in its own environment in build/peers/."""
    python = _ROOT / "build" / "peers" / name / "bin" / "python"
    script = _ROOT / "benchmarks" / "peers" / f"{name}_peer.py"
    with _running(python, script, *arguments) as peer:
        yield peer


@contextmanager
def our_own(module: str, *arguments: str | Path) -> Iterator[Peer]:
    """A module of this project, in a process of its own."""
    with _running(sys.executable, "-m", module, *arguments) as peer:
        yield peer


@contextmanager
def _running(*command: str | Path) -> Iterator[Peer]:
    with subprocess.Popen(  # noqa: S603 # our own scripts
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        with process.stdin:  # its end is the peer's end
            yield Peer(process.pid, process.stdin, process.stdout)
