"""Plants faults at random places, known by name."""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from benchmarks.reembed_parts import pictures
from benchmarks.reembed_parts.auditing_stack import Offline

_SEED: Final = 8
_WAYS: Final[Mapping[str, Sequence[str]]] = {
    "missing": ("no row", "tombstone"),
    "orphaned": ("no object",),
    "stale": ("other version", "other size"),
    "wrong_model": ("no vector", "vector of another model"),
    "failed": ("given up",),
    "stuck_lease": ("lease over", "lease too long", "lease of the bytes over"),
    "lost_preview": ("no preview", "no preview behind the record"),
    "orphan_preview": ("preview of nothing", "preview of before", "preview to come"),
}
"""Of each fault."""
_HARMLESS: Final = ("gone", "no picture", "blocked", "pending", "leased", "notes")
"""Deleted on both sides; failed for good; shown to nobody; waiting; being embedded right now; somebody's file
among the previews."""
_SQL: Final = Path(__file__).with_name("auditing_faults.sql")
_PLANTED: Final = "create table public.planted (fault text, way text, id bigint primary key, name text)"
_OBJECT: Final = """
update storage.objects o set
  version = %(version)s,
  metadata = metadata || jsonb_build_object('eTag', %(etag)s::text, 'size', %(size)s::integer)
from public.planted p
where p.id = %(id)s and o.bucket_id = 'photos' and o.name = p.name
"""
_IMAGE: Final = """
update pixseek.images set version = %(version)s, content_hash = %(hash)s, size_bytes = %(size)s
where id = %(id)s
"""


class Named(NamedTuple):
    """A fault, as an audit tells of it."""

    fault: str
    bucket: str
    name: str


def plant(up: Offline, images: int, of_each: int) -> "Counter[Named]":
    """So many of each fault, in all its ways, and as many of each that is none; where the faults are."""
    with up.owner() as session:
        session.execute("select create_model_v1('another', 512, 0, '{en}')")
    with up.superuser() as session:
        session.execute(_PLANTED)
        _choose(session, images, of_each)
        _write_bytes(session, up.home.files)
        session.execute(_SQL.read_bytes())
        return Counter(Named(*row) for row in session.execute("select * from public.faults").fetchall())


def _choose(session: psycopg.Connection, images: int, of_each: int) -> None:
    ways = {**_WAYS, **{way: (way,) for way in _HARMLESS}}
    rng = random.Random(_SEED)  # noqa: S311 -- the same places each time
    places = iter(rng.sample(range(1, images + 1), of_each * len(ways)))
    with session.cursor().copy("copy public.planted (fault, way, id) from stdin") as target:
        for fault, its_ways in ways.items():
            for number in range(of_each):
                named = fault if fault in _WAYS else ""
                target.write_row((named, its_ways[number % len(its_ways)], next(places)))
    session.execute("update public.planted p set name = i.name from pixseek.images i where i.id = p.id")
    session.execute("analyze public.planted")


def _write_bytes(session: psycopg.Connection, folder: Path) -> None:
    """Of the pictures that a repair reads: stale ones, and those whose previews are lost."""
    query = "select id from public.planted where fault in ('stale', 'lost_preview') order by id"
    ids = session.execute(query).fetchall()
    for (image_id,), content in zip(ids, pictures.files(len(ids)), strict=True):
        digest = hashlib.sha256(content)
        version = str(UUID(bytes=digest.digest()[:16], version=4))
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        facts = {"id": image_id, "version": version, "etag": etag, "size": len(content)}
        (folder / version).write_bytes(content)
        session.execute(_OBJECT, facts)
        session.execute(_IMAGE, {**facts, "hash": digest.hexdigest()})
