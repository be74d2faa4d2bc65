"""The guide's search as a plain function: the text to the API, its vector to the guide's SQL, the rows out.

The guide's client reaches its SQL through PostgREST. Here a warm session calls it, without HTTP or JSON in
between: that spares the guide a few milliseconds, and no gateway of ours can be blamed for its time.
"""

import os
import threading
from functools import cache
from typing import Final

import flask
import functions_framework
import requests
from psycopg_pool import ConnectionPool

_THRESHOLD: Final = -1
_COUNT: Final = 10
_SESSIONS: Final = 8
_TIMEOUT_S: Final = 60
_MATCH: Final = "select id, image, similarity from match_images(%s::vector, %s, %s)"

_connecting = threading.Lock()


@functions_framework.http
def search(request: flask.Request) -> flask.Response:
    """The nearest pictures, each with its public link."""
    text = str(list(_embed(request.args["q"])))
    with _connecting:
        pool = _pool()
    with pool.connection() as session:
        rows = session.execute(_MATCH, (text, _THRESHOLD, _COUNT)).fetchall()
    folder = os.environ["GUIDE_PUBLIC_URL"]
    return flask.jsonify(
        [
            {"id": number, "image": image, "similarity": similarity, "url": f"{folder}/{image}"}
            for number, image, similarity in rows
        ]
    )


def _embed(text: str) -> list[float]:
    """By a connection of its own, as the guide's code does."""
    answer = requests.post(
        f"{os.environ['GUIDE_API_URL']}/clip/embed_text",
        params={"api_key": "rf_benchmark"},
        json={"clip_version_id": "ViT-B-16", "text": text},
        timeout=_TIMEOUT_S,
    )
    answer.raise_for_status()
    vector: list[float] = answer.json()["embeddings"][0]
    return vector


@cache
def _pool() -> ConnectionPool:
    """Made with the first request, after the server has forked its workers."""
    return ConnectionPool(
        os.environ["GUIDE_DSN"],
        min_size=_SESSIONS,
        timeout=_TIMEOUT_S,
        kwargs={"autocommit": True},
        open=True,
    )
