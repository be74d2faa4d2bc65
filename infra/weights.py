"""Weights on this machine: fetched from where their manifest says, believed only when their hash is right."""

import hashlib
import logging
from pathlib import Path

from shared.embedding.manifest import Manifest, SourceFile

_BLOCK_BYTES = 1 << 20


class WeightsError(Exception):
    """Weights cannot be fetched, or are not what they should be; the message says what to do."""


def is_complete(manifest: Manifest, folder: Path) -> bool:
    """Whether all files are there, in full length if that is known; their hash was checked as they came."""
    if manifest.source is None:
        return all((folder / name).is_file() for name in manifest.file_names())
    return all(_has_size(folder / file.name, file) for file in manifest.source.files)


def pull(manifest: Manifest, folder: Path) -> None:
    """Fetch what is not there yet, with a progress bar; what was interrupted goes on where it stopped.

    Raises `WeightsError`.
    """
    if manifest.source is None:
        hosted = "Roboflow runs it (EMBEDDER=roboflow); to run it here, " if manifest.roboflow_version else ""
        raise WeightsError(
            f"nothing is known of where {manifest.id} can be fetched: its manifest has no source. "
            f"{hosted}bring {', '.join(sorted(manifest.file_names()))} into {folder}."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(f"cannot make the folder {folder}: {exc.strerror}. Choose another.") from exc
    for file in manifest.source.files:
        path = folder / file.name
        if not (_has_size(path, file) and _sha256(path) == file.sha256):
            _fetch(manifest.source.repository, manifest.source.revision, file, path)


def _fetch(repository: str, revision: str, file: SourceFile, path: Path) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import (  # type: ignore[attr-defined] # HTTPError is its HTTP client's own
        EntryNotFoundError,
        HTTPError,
    )
    from huggingface_hub.file_download import http_get

    # It says in its own words, many times, what the error below says once.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    url = hf_hub_url(repository, file.path, revision=revision)
    part = path.with_name(path.name + ".part")
    if part.exists() and part.stat().st_size > file.size_bytes:
        part.unlink()  # of another revision: no server could go on from there
    try:
        with part.open("ab") as opened:
            http_get(
                url,
                opened,
                resume_size=opened.tell(),
                expected_size=file.size_bytes,
                displayed_filename=file.name,
            )
    except (OSError, EntryNotFoundError, HTTPError) as exc:
        raise WeightsError(
            f"{file.name} cannot be fetched from {url}: {exc}. What came is kept: run the command again. "
            f"Without a network, bring the file into {path.parent}, or name a folder in CLIP_MODEL_DIR."
        ) from exc
    found = _sha256(part)
    if found != file.sha256:
        part.unlink()
        raise WeightsError(
            f"{url} is not the file that was expected (sha256 {found}, not {file.sha256}); it was removed. "
            "Run the command again; if it comes again, do not use it."
        )
    part.replace(path)


def _has_size(path: Path, file: SourceFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
