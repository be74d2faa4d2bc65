"""Lambda's own API, as far as a function calls others by it: what it is told to invoke later, it keeps."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.http_servers import Handler, serving


@dataclass(frozen=True)
class Asked:
    """To be invoked, without an answer."""

    function_arn: str
    kind: str
    payload: Any


@dataclass
class LambdaApi:
    """Whatever was asked of it, in order."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def lambda_api() -> Iterator[LambdaApi]:
    """On a free port."""
    api = LambdaApi()

    class Answering(Handler):
        def do_POST(self) -> None:
            payload = json.loads(self.content())
            arn = unquote(self.path.split("/")[3])
            api.asked.append(Asked(arn, self.headers["X-Amz-Invocation-Type"], payload))
            self.answer(202)

    with serving(Answering) as api.url:
        yield api
