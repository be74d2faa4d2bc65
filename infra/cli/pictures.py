"""Pictures of a folder: found, named for the bucket, uploaded, awaited."""

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from infra.cli.connection import Project, RefusedError, answering
from shared.images import FORMATS, MAX_BYTES

_SUFFIXES = {f".{name.lower()}" for name in FORMATS} | {".jpg", ".tif"}
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_/!.*'() &$@;:+,?-]")
_UPLOADS_AT_ONCE = 4
_NAMES_A_CALL = 500
_POLL_S = 0.2
_STALLED_S = 60.0


class StalledError(Exception):
    """Pictures lie in the bucket, but the index does not follow."""


class _State(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    content_hash: str | None
    reason: str | None


_STATES = TypeAdapter(list[_State])


@dataclass(frozen=True, slots=True)
class LocalPicture:
    """A picture file and its name in the bucket."""

    name: str
    path: Path
    content_hash: str | None
    """As the index keeps it: None for a file of a size that is not read."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an indexing run is, in pictures."""

    total: int
    uploaded: int
    settled: int


def find(folders: Sequence[Path]) -> list[LocalPicture]:
    """All picture files below some folders, hidden ones left out, named `<folder>/<path in it>`."""
    return [
        LocalPicture(object_name(f"{folder.resolve().name}/{path.relative_to(folder)}"), path, _hash(path))
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not _is_hidden(path.relative_to(folder))
    ]


def named(files: Iterable[tuple[str, Path]]) -> list[LocalPicture]:
    """Picture files whose names in the bucket are known."""
    return [LocalPicture(name, path, _hash(path)) for name, path in files]


def object_name(path: str) -> str:
    """A name that Supabase Storage takes: what it refuses becomes `=XX` a byte, so that no two collide."""
    return _NOT_ALLOWED.sub(lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), path)


def upload_and_wait(
    project: Project, bucket: str, pictures: Sequence[LocalPicture], report: Callable[[Progress], None]
) -> Mapping[str, str]:
    """Upload what the index lacks and wait until it has all of it; returns name → reason of the failures.

    Raises `StalledError` when nothing moves for a minute, `RefusedError` when the bucket cannot be made or
    two pictures have one name, `NotRunningError` when the project does not answer.
    """
    wanted = {picture.name: picture for picture in pictures}
    if len(wanted) < len(pictures):
        name = next(name for name, count in Counter(p.name for p in pictures).items() if count > 1)
        raise RefusedError(f"two files would both be {name}: index folders of one name in separate buckets")
    with answering(project.connection.supabase_url):
        _make_bucket(project, bucket)
    failures: dict[str, str] = {}
    settled = set(_settled(project, bucket, wanted, failures))
    missing = [picture for picture in pictures if picture.name not in settled]
    uploaded = len(pictures) - len(missing)
    report(Progress(len(pictures), uploaded, len(settled)))
    with answering(project.connection.supabase_url), ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        reasons = pool.map(lambda picture: _upload(project, bucket, picture), missing)
        for picture, reason in zip(missing, reasons, strict=True):
            uploaded += 1
            if reason is not None:
                failures[picture.name] = reason
                settled.add(picture.name)
            report(Progress(len(pictures), uploaded, len(settled)))
    moved_at = time.monotonic()
    while len(settled) < len(wanted):
        waiting = {name: picture for name, picture in wanted.items() if name not in settled}
        arrived = _settled(project, bucket, waiting, failures)
        settled |= arrived
        report(Progress(len(pictures), uploaded, len(settled)))
        if arrived:
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > _STALLED_S:
            raise StalledError(
                f"{len(waiting)} pictures lie in bucket {bucket} but are not indexed. Does its webhook reach "
                f"the function? See `pixseek status` and the function's log."
            )
        else:
            time.sleep(_POLL_S)
    return failures


def _settled(
    project: Project, bucket: str, waiting: Mapping[str, LocalPicture], failures: dict[str, str]
) -> set[str]:
    """Which of these bytes the index has made searchable, or given up on."""
    arrived = set()
    for names in _chunks(list(waiting)):
        rows = project.rows(_STATES, "image_states_v1", bucket_name=bucket, object_names=names)
        for row in rows:
            if row.content_hash != waiting[row.name].content_hash:
                continue
            if row.state == "failed":
                failures[row.name] = row.reason or ""
            if row.state in {"indexed", "failed"}:
                arrived.add(row.name)
    return arrived


def _upload(project: Project, bucket: str, picture: LocalPicture) -> str | None:
    """The reason when it does not get into the bucket, else None."""
    from storage3.exceptions import StorageApiError

    content_type = FORMATS.get(picture.path.suffix[1:].upper(), "image/jpeg")
    try:
        if picture.path.stat().st_size > MAX_BYTES:
            return f"too large: more than {MAX_BYTES // 1_000_000} MB"
        project.client.storage.from_(bucket).upload(
            picture.name, picture.path.read_bytes(), {"upsert": "true", "content-type": content_type}
        )
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    except StorageApiError as exc:
        return f"refused by the bucket: {exc.message}"
    return None


def _make_bucket(project: Project, bucket: str) -> None:
    from storage3.exceptions import StorageApiError

    try:
        project.client.storage.create_bucket(bucket)
    except StorageApiError as exc:
        if str(exc.status) != "409":
            raise RefusedError(f"bucket {bucket} cannot be made: {exc.message}") from exc


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _NAMES_A_CALL):
        yield names[start : start + _NAMES_A_CALL]


def _hash(path: Path) -> str | None:
    try:
        if not 0 < path.stat().st_size <= MAX_BYTES:
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # the upload says why
        return None


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
