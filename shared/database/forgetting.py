"""The adapter's part for forgetting: pictures of which nothing is to be left."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared.database.search import SearchDatabase
from shared.models import ObjectRef, Provider, preview_ref


class _ToForgetRow(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    image_id: int
    bucket: str
    name: str
    provider: Provider
    preview: str | None


_TO_FORGET = TypeAdapter(list[_ToForgetRow])
_COUNT = TypeAdapter(int)


@dataclass(frozen=True, slots=True)
class ToForget:
    """A row of the index that is to be forgotten, a picture's or its tombstone."""

    image_id: int
    ref: ObjectRef
    provider: Provider
    preview: ObjectRef | None


class Forgetting:
    """Forgets pictures of one Supabase project."""

    def __init__(self, database: SearchDatabase) -> None:
        self._database = database

    def of_owner(self, owner_id: str, *, limit: int) -> list[ToForget]:
        """The next rows of an owner, and the tombstones of names that were theirs."""
        return self._to_forget({"owner_id": owner_id, "match_count": limit})

    def named(self, ref: ObjectRef, *, limit: int) -> list[ToForget]:
        """The row of one picture."""
        arguments = {"bucket_name": ref.bucket, "image_name": ref.name, "match_count": limit}
        return self._to_forget(arguments)

    def forget(self, rows: Sequence[ToForget]) -> int:
        """Keep nothing of some rows; how many there were."""
        return self._database.write("forget_images_v1", {"image_ids": [row.image_id for row in rows]}, _COUNT)

    def scrub(self, *, limit: int = 10_000) -> int:
        """Take the names off old tombstones, and off those of what was forgotten; how many. When it is the
        limit there may be more.
        """
        return self._database.write("scrub_tombstones_v1", {"match_count": limit}, _COUNT)

    def _to_forget(self, arguments: dict[str, object]) -> list[ToForget]:
        rows = self._database.write("images_to_forget_v1", arguments, _TO_FORGET)
        return [
            ToForget(
                row.image_id,
                ObjectRef(row.bucket, row.name),
                row.provider,
                None if row.preview is None else preview_ref(row.bucket, row.preview),
            )
            for row in rows
        ]
