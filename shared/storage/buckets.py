"""What all stores behind obstore share: reading, writing and deleting objects."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from shared.errors import InputError, ObjectGone, ObjectRefused, SettingsError, Unavailable
from shared.models import ObjectRef, StoredObject
from shared.storage.faults import no_bucket, translated
from shared.storage.names import check_name

if TYPE_CHECKING:  # obstore is imported when it is used
    from obstore import GetResult, ObjectMeta
    from obstore.store import GCSStore, LocalStore, S3Store

_AT_ONCE: Final = 16
_OF_HTTP: Final = {
    "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type",
    "Storage-Class",
}  # fmt: skip

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one provider differs from another."""

    name: str
    may_read: str
    """What to look at when it refuses to."""
    may_write: str
    ordering_key: "Callable[[ObjectMeta], str | None]"
    may_list: str = ""
    may_sign: str = ""
    keeps_type: bool = True
    """Whether it keeps an object's content type."""
    deletes_many: bool = False
    """Whether one request deletes many."""


class Opened:
    """An object whose bytes are about to be read."""

    def __init__(
        self,
        stored: StoredObject,
        result: "GetResult",
        reading: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.stored = stored
        self._result: GetResult | None = result
        self._reading = reading

    def read(self) -> bytes:
        """Its bytes. Raises `Unavailable`."""
        if self._result is None:
            raise ValueError("the object is closed")
        with self._reading():
            data = self._result.bytes().to_bytes()
        if len(data) != self.stored.size_bytes:
            raise Unavailable("other bytes came than were announced: the object may have changed meanwhile")
        return data

    def close(self) -> None:
        """Let go of the connection, whatever of the bytes is still on its way."""
        self._result = None


class ObstoreStorage:
    """The part of an `ObjectStore` that is the same for all, over one obstore store a bucket.

    The version is the ETag: a list tells it too. obstore cannot express every name; one that it would change
    is an `InputError`, whatever is asked for.
    """

    knows_callers = False

    def __init__(self, store_of: "Callable[[str], S3Store | GCSStore | LocalStore]", kind: Kind) -> None:
        """`store_of` gives the store of a bucket. Raises `FileNotFoundError` when there is none, `InputError`
        for what no bucket can be called."""
        self._store_of = store_of
        self._kind = kind

    def heads(self, refs: Sequence[ObjectRef]) -> list[StoredObject | None]:
        """What is stored under these names now, in order. Raises `InputError` for one name of many, too."""
        return side_by_side(self._head, refs)

    @contextmanager
    def open(self, ref: ObjectRef) -> Iterator[Opened]:
        """An object, its bytes not read yet. Raises `ObjectGone`, `InputError` for a name."""
        with self._reading():
            result = self._get(ref, only_head=False)
            stored = self._described(ref, result.meta, result.attributes)
        opened = Opened(stored, result, self._reading)
        del result
        try:
            yield opened
        finally:
            opened.close()

    def put(self, ref: ObjectRef, data: bytes, *, content_type: str) -> None:
        """Write an object, over what is there. Raises `InputError` for a name."""
        import obstore

        name = self._checked(ref.name)
        attributes = {"Content-Type": content_type} if self._kind.keeps_type else None
        try:
            with self._writing():
                # In one piece, so that equal bytes have equal ETags.
                store = self._store_of(ref.bucket)
                obstore.put(store, name, data, attributes=attributes, use_multipart=False)
        except ObjectGone as exc:
            raise no_bucket(ref.bucket) from exc

    def delete(self, refs: Sequence[ObjectRef], *, caller_token: str | None = None) -> None:  # noqa: ARG002 -- see `knows_callers`
        """Delete objects; what is not there is no error. Raises `InputError` for a name."""
        for bucket, names in self._by_bucket(refs).items():
            batches = [names] if self._kind.deletes_many else [[name] for name in names]
            side_by_side(partial(self._delete, bucket), batches)

    def _head(self, ref: ObjectRef) -> StoredObject | None:
        try:
            with self._reading():
                result = self._get(ref, only_head=True)
                return self._described(ref, result.meta, result.attributes)
        except ObjectGone:
            return None

    def _get(self, ref: ObjectRef, *, only_head: bool) -> "GetResult":
        import obstore

        name = self._checked(ref.name)
        return obstore.get(self._store_of(ref.bucket), name, options={"head": only_head})

    def _delete(self, bucket: str, names: Sequence[str]) -> None:
        import obstore

        try:
            with self._writing():
                obstore.delete(self._store_of(bucket), names)
        except ObjectGone:
            return

    def _by_bucket(self, refs: Sequence[ObjectRef]) -> dict[str, list[str]]:
        """The names of each bucket, checked."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for ref in refs:
            names[ref.bucket].append(self._checked(ref.name))
        return names

    def _checked(self, name: str) -> str:
        """Raises `InputError`."""
        return check_name(name)

    def _is_addressable(self, name: str) -> bool:
        try:
            self._checked(name)
        except InputError:
            return False
        return True

    def _reading(self) -> AbstractContextManager[None]:
        """A store that hides one object refuses it like one that hides all: worth a retry, then on record."""
        why = f"the bucket refuses to hand it out (403): may the function read it? {self._kind.may_read}"
        return translated(self._kind.name, refused=ObjectRefused(why))

    def _writing(self) -> AbstractContextManager[None]:
        why = f"the bucket refuses to change it (403): may the function do that? {self._kind.may_write}"
        return translated(self._kind.name, refused=SettingsError(why))

    def _described(self, ref: ObjectRef, meta: "ObjectMeta", attributes: Mapping[str, str]) -> StoredObject:
        etag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
        return StoredObject(
            ref,
            version=etag,
            size_bytes=meta["size"],
            etag=etag,
            ordering_key=self._kind.ordering_key(meta),
            metadata={key: value for key, value in attributes.items() if key not in _OF_HTTP},
            created_at=meta["last_modified"],
        )


def side_by_side(act: Callable[[_Item], _Answer], items: Sequence[_Item]) -> list[_Answer]:
    """The answers in order. Raises the first error."""
    if len(items) < 2:
        return [act(item) for item in items]
    with ThreadPoolExecutor(min(_AT_ONCE, len(items)), thread_name_prefix="bucket") as threads:
        return list(threads.map(act, items))
