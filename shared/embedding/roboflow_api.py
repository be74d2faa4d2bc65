"""One call of Roboflow's CLIP API: what is sent, what may come back, and what is worth another try.

Source: the routes and errors of Roboflow inference, https://docs.roboflow.com, and its server's own code.
"""

import math
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import stamina
from pydantic import BaseModel, ConfigDict, FiniteFloat, JsonValue, ValidationError

from shared.errors import InputError, OverBudget, PixseekError, SettingsError, Unavailable
from shared.ports import SpendGuard

if TYPE_CHECKING:
    import requests

_CONNECT_S: Final = 5.0
_READ_S: Final = 30.0
"""The server itself gives up after so long."""
_LONGEST_PAUSE_S: Final = 60.0
"""What asks us to come back later than that fails for now, however much time there is."""
_RETRY_AFTER_JITTER_S: Final = 0.5
_MAX_REPLY_BYTES: Final = 4_000_000
_ATTEMPTS: Final = 4
_SERVER_ERRORS: Final = 2
"""How often a 500 is tried again: it also stands for mistakes that no repetition mends."""
_REFUSALS: Final = {
    401: "the key is wrong: set ROBOFLOW_API_KEY to a key of app.roboflow.com → Settings → API Keys",
    402: "the account has no credits left, or has reached its cap: see app.roboflow.com → Usage",
    403: "the key may not do this: give it the scope for inference, or use another",
    404: "nothing is there, or the model is unknown: check ROBOFLOW_API_URL and CLIP_MODEL",
    423: "the use of this key is paused: see app.roboflow.com → Settings → API Keys",
}


_OUTAGE: Final = {502, 503, 504}


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    embeddings: list[list[FiniteFloat]]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


class _WorthRetryError(Unavailable):
    """An answer, or none, that another try may mend."""

    def __init__(self, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class RoboflowApi:
    """Threads share it. The key is sent in the body: never in an address, which proxies and errors show."""

    def __init__(
        self, url: str, *, api_key: str | None, version: str, guard: SpendGuard, connections: int
    ) -> None:
        """Connects to nothing yet. `version` is the model's id at Roboflow, such as `ViT-B-16`."""
        self._url = url.rstrip("/")
        self._constant: dict[str, JsonValue] = {"clip_version_id": version}
        if api_key:
            self._constant["api_key"] = api_key
        self._guard = guard
        self._connections = connections
        self._building = threading.Lock()
        self._session: requests.Session | None = None

    def embed(self, route: str, body: Mapping[str, JsonValue], *, deadline: float) -> list[list[float]]:
        """The vectors of one request, as they come: not normalised, their number and length not checked.

        Raises `InputError`, `SettingsError` with what to do, `Unavailable` when tries or time are used up.
        """
        failed: Unavailable | None = None
        for attempt in stamina.retry_context(
            on=_Patience(deadline),
            attempts=_ATTEMPTS,
            timeout=None,
            wait_initial=0.2,
            wait_max=4.0,
            wait_jitter=0.5,
        ):
            with attempt:
                # Before a permit is taken, whose moment would pass.
                self._open_session()
                _left_s(deadline)
                self._take_permit(deadline, failed)
                try:
                    return self._request(route, body, deadline)
                except Unavailable as exc:
                    failed = exc
                    raise
        raise AssertionError  # the loop returns or raises

    def _take_permit(self, deadline: float, failed: Unavailable | None) -> None:
        """Another try that comes too late for one tells what the one before has met."""
        try:
            self._guard.acquire(deadline=deadline)
        except OverBudget as exc:
            if failed is None or exc.frees_at is not None:
                raise
            raise Unavailable(str(failed)) from exc

    def reach(self, *, deadline: float) -> None:
        """Raises `Unavailable` when nothing answers there, or an outage."""
        import requests

        left_s = min(_CONNECT_S, _left_s(deadline))
        try:
            answer = self._open_session().get(self._url, timeout=left_s, stream=True, allow_redirects=False)
            answer.close()
            status = answer.status_code
        except requests.RequestException:
            status = HTTPStatus.SERVICE_UNAVAILABLE
        if status in _OUTAGE:
            raise Unavailable("Roboflow does not answer")

    def _request(self, route: str, body: Mapping[str, JsonValue], deadline: float) -> list[list[float]]:
        answer = self._exchange(route, body, deadline)
        if answer.status != HTTPStatus.OK:
            raise self._error(route, answer.status, answer.headers.get("Retry-After"))
        try:
            return _Reply.model_validate_json(answer.content).embeddings
        except ValidationError:
            kind = answer.headers.get("Content-Type", "no type")
        # Out here, because that error would come along as the context of this one: it quotes the answer.
        raise _WorthRetryError(f"Roboflow answered without vectors of finite numbers ({kind})")

    def _exchange(self, route: str, body: Mapping[str, JsonValue], deadline: float) -> _Answer:
        import requests
        import urllib3

        left_s = _left_s(deadline)
        until = min(deadline, time.monotonic() + _READ_S)
        try:
            with self._open_session().post(
                f"{self._url}/clip/{route}",
                json={**self._constant, **body},
                timeout=(min(_CONNECT_S, left_s), min(_READ_S, left_s)),
                stream=True,
                # A redirect would carry the key to wherever it points.
                allow_redirects=False,
            ) as answer:
                return _Answer(answer.status_code, answer.headers, _read(answer, until))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as exc:
            kind = type(exc).__name__
        # Out here, and without its words: they hold the address, and that error the request, key included.
        raise _WorthRetryError(f"Roboflow does not answer ({kind})")

    def _error(self, route: str, status: int, retry_after: str | None) -> PixseekError:
        """What a status means. The body is not looked at: it may repeat the request, key included."""
        # From 520 on are those that gateways made up.
        if status in {429, 500, 502, 503, 504} or status >= 520:
            message = f"Roboflow answered {status}"
            return _WorthRetryError(message, status, _seconds(retry_after))
        if status == HTTPStatus.BAD_REQUEST and "api_key" not in self._constant:
            # So it answers where no key came; pictures must not be given up for that.
            return SettingsError("Roboflow answered 400, and no key was sent: set ROBOFLOW_API_KEY")
        # A picture goes as we made it: who refuses that is no server for this model.
        if status in {400, 413, 422} and route == "embed_text":
            return InputError(f"the model refuses this text (Roboflow answered {status})")
        advice = _REFUSALS.get(status, "check ROBOFLOW_API_URL and CLIP_MODEL")
        return SettingsError(f"Roboflow answered {status}: {advice}")

    def _open_session(self) -> "requests.Session":
        with self._building:
            if self._session is None:
                import requests
                from requests.adapters import HTTPAdapter

                self._session = requests.Session()
                adapter = HTTPAdapter(pool_maxsize=self._connections, pool_block=True)
                self._session.mount("https://", adapter)
                self._session.mount("http://", adapter)
            return self._session


class _Patience:
    """Says of each failure of one call whether it is tried again, and after what time."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._server_errors = 0

    def __call__(self, error: Exception) -> bool | float:
        if not isinstance(error, _WorthRetryError):
            return False
        if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self._server_errors += 1
            if self._server_errors > _SERVER_ERRORS:
                return False
        left_s = min(_LONGEST_PAUSE_S, self._deadline - time.monotonic())
        if error.retry_after_s is None:
            return left_s > 0
        # Not all at the same moment.
        pause_s = error.retry_after_s + random.uniform(0, _RETRY_AFTER_JITTER_S)  # noqa: S311
        return pause_s if pause_s < left_s else False


def _left_s(deadline: float) -> float:
    """Raises `Unavailable` when it is nothing."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise Unavailable("no time is left to call Roboflow")
    return left_s


def _read(answer: "requests.Response", until: float) -> bytes:
    """The body, but no more than a reply can have, and for no longer than there is time."""
    content = bytearray()
    # What has come, not what was asked for: that would wait for a server that sends byte by byte.
    while chunk := answer.raw.read1(65_536, decode_content=True):
        content += chunk
        if len(content) > _MAX_REPLY_BYTES or time.monotonic() > until:
            raise _WorthRetryError("Roboflow's answer is too long or too slow")
    return bytes(content)


def _seconds(retry_after: str | None) -> float | None:
    """Of the header, when it is a number; a date is left to our own back-off."""
    try:
        seconds = float(retry_after or "nan")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
