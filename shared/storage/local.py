"""A folder of this machine, whose folders are the buckets, through obstore."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.errors import InputError, SettingsError
from shared.models import PREVIEWS_SUFFIX, ObjectRef, StoredObject, UploadLink, ordering_key
from shared.storage.buckets import Kind, ObstoreStorage
from shared.storage.faults import no_bucket
from shared.storage.names import check_name, unaddressable

if TYPE_CHECKING:  # obstore is imported when it is used
    from obstore import GetResult
    from obstore.store import LocalStore

_LONGEST_BYTES: Final = 255
_UNFINISHED: Final = re.compile(r"#[0-9]+$")
_FOLDER: Final = Kind(
    "the folder",
    may_read="Look at the owner and the mode of the file.",
    may_write="Look at the owner and the mode of the folder.",
    ordering_key=lambda meta: ordering_key(meta["last_modified"]),
    keeps_type=False,
)


class LocalStorage(ObstoreStorage):
    """An `ObjectStore` over a folder. No name leads out of it; a link that its owner put there may.

    The version, of inode, time and size, changes with every write; the time of a write is the ordering key. A
    link to a file does not expire. Files that obstore takes for its own (`…#1`) cannot be addressed.
    """

    def __init__(self, root: Path, *, timeout_s: float) -> None:  # noqa: ARG002 -- a disk is not waited for
        """`root` holds a folder for each bucket."""
        self._root = root.absolute()
        super().__init__(self._store, _FOLDER)

    def put(self, ref: ObjectRef, data: bytes, *, content_type: str) -> None:
        """Write a file, over what is there; a missing bucket is made."""
        folder = self._folder(ref.bucket)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise SettingsError(f"{folder} cannot be made: {exc.strerror}") from exc
        super().put(ref, data, content_type=content_type)

    def list_page(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """The next files whose names come after `after`, by the names' UTF-8 bytes.

        Passes over names that cannot be addressed and does not follow links to folders.
        """
        folder = self._folder(bucket)
        if not folder.is_dir():
            if bucket.endswith(PREVIEWS_SUFFIX):  # made with the first preview
                return []
            raise no_bucket(bucket)
        names = (name for name in _names(folder, "", after) if self._is_addressable(name))
        heads = (self._head(ObjectRef(bucket, name)) for name in names)
        return list(islice((stored for stored in heads if stored is not None), limit))

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str | None) -> list[str | None]:  # noqa: ARG002 -- a folder knows no callers
        """A `file:` URL of each object, in order."""
        return [
            (self._folder(ref.bucket) / ref.name).as_uri() if self._is_addressable(ref.name) else None
            for ref in refs
        ]

    def upload_link(self, ref: ObjectRef, *, content_type: str, caller_token: str | None) -> UploadLink:  # noqa: ARG002 -- a folder has none
        """Raises `InputError`: there is none."""
        path = self._folder(ref.bucket) / self._checked(ref.name)
        raise InputError(f"a folder takes no uploads: copy the file to {path}")

    def _get(self, ref: ObjectRef, *, only_head: bool) -> "GetResult":
        """obstore has no word for a name that goes through a file as if that were a folder."""
        if not os.path.isfile(self._folder(ref.bucket) / self._checked(ref.name)):
            raise FileNotFoundError(ref.name)
        return super()._get(ref, only_head=only_head)

    def _checked(self, name: str) -> str:
        check_name(name)
        if _UNFINISHED.search(name):
            raise unaddressable(name, "so are files called that are still being written")
        if any(len(part.encode()) > _LONGEST_BYTES for part in name.split("/")):
            raise unaddressable(name, "a part of it is longer than a file's name can be")
        return name

    def _store(self, bucket: str) -> "LocalStore":
        from obstore.store import LocalStore

        folder = self._folder(bucket)
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        return LocalStore(folder)

    def _folder(self, bucket: str) -> Path:
        if "/" in bucket:
            raise InputError(f"no folder is called {bucket!a}")
        return self._root / check_name(bucket)


def _names(folder: Path, prefix: str, after: str) -> Iterator[str]:
    """The names of the files under a folder that come after another, in order. A folder's place is that of
    its name with the slash."""
    try:
        with os.scandir(folder) as entries:
            kinds = {
                entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name: entry.is_file()
                for entry in entries
            }
    except (FileNotFoundError, NotADirectoryError):  # gone meanwhile
        return
    except PermissionError as exc:
        raise SettingsError(f"{folder} cannot be listed: who may read it?") from exc
    for name, is_file in sorted(kinds.items()):
        path = prefix + name
        if is_file and path > after:
            yield path
        elif name.endswith("/") and (path > after or after.startswith(path)):
            yield from _names(folder / name, path, after)
