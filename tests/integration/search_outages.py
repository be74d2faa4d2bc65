"""Outages as callers of the search API meet them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.search_api import Answer, SearchApi

HASTE: Final = {"function_timeout_s": "1.5", "storage_timeout_s": "0.5"}
"""For what hangs. Half a second is left for everything."""
_PATIENCE_S: Final = 9.0
"""Less than anything hangs."""
_SECRETS: Final = ("xyzzy", "select ", "pixseek.", "traceback", "shared/", "http://", "eyj", "roboflow")

UNAVAILABLE: Final = (503, "unavailable")
MISCONFIGURED: Final = (500, "misconfigured")


def searched(text: str) -> dict[str, Any]:
    """A request that finds all that there is."""
    return {"method": "GET", "path": "/search", "params": {"q": text, "min_similarity": "-1"}}


def in_time(api: SearchApi, token: str, requests: list[dict[str, Any]]) -> list[Answer]:
    """Answers, which do not wait for what hangs."""
    with ThreadPoolExecutor(len(requests)) as threads:
        begun = [threads.submit(api.ask, token=token, **request) for request in requests]
        return [answer.result(_PATIENCE_S) for answer in begun]


def told(answer: Answer) -> tuple[int, str]:
    """What a caller is told of the kind of error, and of nothing else."""
    text = answer.body.lower()
    assert not [secret for secret in _SECRETS if secret in text], text
    return answer.status, answer.json()["type"].removeprefix("urn:pixseek:problem:")
