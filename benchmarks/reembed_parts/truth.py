"""What each model's vectors say of each text and picture: all cosines, from what the database has stored."""

from typing import Final

import numpy as np
import psycopg

from benchmarks.reembed_parts.judging import Cosines
from benchmarks.reembed_parts.running import SPACES, Running
from benchmarks.reembed_parts.searches import TEXTS, text_of
from benchmarks.reembed_parts.space import Floats

_VECTORS: Final = """
select v.image_id, extensions.halfvec_send(v.embedding)
from pixseek.vectors v
where v.model_id = (select m.id from pixseek.models m where m.name = %s)
"""
_HEADER_BYTES: Final = 4
"""Of a vector as it is sent: how many numbers, and what is not used."""


def read(running: Running) -> dict[str, Cosines]:
    """Of both models, by their names."""
    with psycopg.connect(running.stack.dsn("postgres")) as session:
        return {
            model: Cosines(_texts(model) @ _pictures(session, model, running.images).T) for model in SPACES
        }


def _texts(model: str) -> Floats:
    return np.array([SPACES[model].text(text_of(number)) for number in range(TEXTS)])


def _pictures(session: psycopg.Connection, model: str, count: int) -> Floats:
    """Of length 1; NaN where there is none."""
    [dimensions] = SPACES[model].text("").shape
    vectors = np.full((count, dimensions), np.nan, np.float32)
    with session.cursor("vectors", binary=True) as cursor:
        for number, data in cursor.execute(_VECTORS, (model,)):
            vectors[number - 1] = np.frombuffer(data, ">f2", offset=_HEADER_BYTES)
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
