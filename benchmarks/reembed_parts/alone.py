"""How many pictures a second the API answers to whoever only asks, on so many connections at a time."""

import base64
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from benchmarks.reembed_parts import pictures
from benchmarks.reembed_parts.running import NEXT_MODEL, VERSIONS, Running
from shared import images

_EACH: Final = 80
_VIEW_PX: Final = 224


def rate(running: Running, connections: int) -> float:
    """Of requests as pixseek makes them, ready before the clock starts."""
    [file] = itertools.islice(pictures.files(1), 1)
    view = images.decode(file).model_view_png(_VIEW_PX)
    picture = {"type": "base64", "value": base64.b64encode(view).decode()}
    request = {"clip_version_id": VERSIONS[NEXT_MODEL], "api_key": "rf_benchmark", "image": picture}
    url = f"{running.api_url}/alone/clip/embed_image"

    def ask(client: httpx.Client) -> None:
        for _ in range(_EACH):
            client.post(url, json=request).raise_for_status()

    clients = [httpx.Client(timeout=30) for _ in range(connections)]
    with ThreadPoolExecutor(connections) as threads:
        started = time.monotonic()
        list(threads.map(ask, clients))
        took_s = time.monotonic() - started
    for client in clients:
        client.close()
    return connections * _EACH / took_s
