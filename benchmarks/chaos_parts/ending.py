"""What is there at the end of a run, as the check takes it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from benchmarks.chaos_parts.check import End, Expected, Row, StoredVector
from benchmarks.chaos_parts.clip_api import embedding
from benchmarks.chaos_parts.flavours import Run
from benchmarks.chaos_parts.plan import Content
from shared import images
from shared.ports import Embedder

_ROWS = """
select id, name, state, version, size_bytes, content_hash, reason, pixseek.preview_name(id, edition),
  has_preview
from pixseek.images where bucket = %s
"""
_VECTORS = """
select v.image_id, v.embedding::text
from pixseek.vectors v
join pixseek.models m on m.id = v.model_id and m.state = 'active'
left join pixseek.images i on i.id = v.image_id
where i.id is null or i.bucket = %s
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A healthy file as the model and a person see it."""

    digest: str
    """Of what the model is sent."""
    vector: list[float]
    preview_hash: str


def see(contents: Mapping[str, Content], embedder: Embedder) -> dict[str, Seen]:
    """The healthy ones, by content hash."""
    return {
        content_hash: _seen(content.data, embedder)
        for content_hash, content in contents.items()
        if content.words is None
    }


def _seen(data: bytes, embedder: Embedder) -> Seen:
    picture = images.decode(data)
    view = embedder.view(picture)
    vector = embedding(view)
    length = math.hypot(*vector)
    return Seen(
        hashlib.sha256(view).hexdigest(),
        [number / length for number in vector],
        hashlib.sha256(picture.preview()).hexdigest(),
    )


def look(run: Run, contents: Mapping[str, Content], seen: Mapping[str, Seen], dsn: str) -> End:
    """`dsn`: of the superuser."""
    objects = []
    for stored in run.bucket.objects():
        content_hash = hashlib.sha256(stored.data).hexdigest()
        expected = Expected(
            stored.name, stored.version, len(stored.data), content_hash, contents[content_hash].words
        )
        if expected.words is None:
            found = seen[content_hash]
            expected = Expected(
                stored.name,
                stored.version,
                len(stored.data),
                content_hash,
                vector=found.vector,
                preview_hash=found.preview_hash,
            )
        objects.append(expected)
    with psycopg.connect(dsn) as session:
        rows = [Row(*row) for row in session.execute(_ROWS.encode(), (run.bucket.name,))]
        vectors = [
            StoredVector(image_id, json.loads(text))
            for image_id, text in session.execute(_VECTORS.encode(), (run.bucket.name,))
        ]
    previews = {preview.name: hashlib.sha256(preview.data).hexdigest() for preview in run.bucket.previews()}
    return End(objects, rows, vectors, previews, are_versions_unique=run.flavour.storage == "supabase")
