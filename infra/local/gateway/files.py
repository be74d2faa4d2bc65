"""The bytes of objects: one file a version, on disk before its row, removed after."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, NamedTuple
from uuid import UUID, uuid4

import psycopg

from infra.local.gateway.errors import StorageError, no_object

_CHUNK_BYTES = 1024 * 1024


class Stored(NamedTuple):
    """Bytes that are safe on disk."""

    version: str
    size_bytes: int
    md5: str


class Files:
    """A folder of files named by version. Nothing from outside ever becomes part of a path.

    A file is written once and never changed, so copies may share it by a hard link.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def write(self, source: IO[bytes]) -> Stored:
        """Keep the bytes under a new version."""
        return await asyncio.to_thread(self._write, source)

    async def read(self, version: str) -> bytes | None:
        """The bytes of a version; None when it is gone, for the object has changed meanwhile."""
        if not _is_version(version):  # a row that somebody made by hand
            return None
        try:
            return await asyncio.to_thread(self._path(version).read_bytes)
        except FileNotFoundError:
            return None

    @asynccontextmanager
    async def copied(self, version: str) -> AsyncIterator[str]:
        """The same bytes under a new version, for a row that is written inside. Raises `StorageError`."""
        try:
            copy = await asyncio.to_thread(self._copy, version)
        except (FileNotFoundError, ValueError) as exc:  # a row that somebody made by hand
            raise no_object() from exc
        async with self.dropped_if_refused(copy):
            yield copy

    @asynccontextmanager
    async def dropped_if_refused(self, version: str) -> AsyncIterator[None]:
        """Forget the new bytes when the row is refused inside. Not so when the commit fails, outside: then
        nobody knows whether the row is there, and the next start's sweep decides."""
        try:
            yield
        except (psycopg.Error, StorageError):
            await self.remove([version])
            raise

    async def remove(self, versions: Iterable[str | None]) -> None:
        """Forget versions whose rows are gone."""
        await asyncio.to_thread(
            self._remove, [version for version in versions if version and _is_version(version)]
        )

    def sweep(self, known: Collection[str]) -> None:
        """Remove what a killed process left between file and row. Only before anything is served."""
        for path in self._folder.iterdir():
            if path.name not in known and _is_version(path.name):
                path.unlink(missing_ok=True)

    def _path(self, version: str) -> Path:
        return self._folder / str(UUID(version))

    def _write(self, source: IO[bytes]) -> Stored:
        version = str(uuid4())
        digest = hashlib.md5(usedforsecurity=False)
        source.seek(0)
        with self._path(version).open("xb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        self._sync_folder()
        return Stored(version, size_bytes, digest.hexdigest())

    def _copy(self, version: str) -> str:
        copy = str(uuid4())
        try:
            os.link(self._path(version), self._path(copy))
        except OSError:  # a file system without hard links
            shutil.copyfile(self._path(version), self._path(copy))
        self._sync_folder()
        return copy

    def _remove(self, versions: Iterable[str]) -> None:
        for version in versions:
            self._path(version).unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_version(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
