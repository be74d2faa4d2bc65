"""The rows of schema storage. Each function runs under whatever role the transaction has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from infra.local.gateway.database import Connection

Json = Mapping[str, object]

_PUBLISHED = "to_jsonb(o) - 'path_tokens'"
_INSERT = """
insert into storage.objects (id, bucket_id, name, owner, owner_id, version, metadata, user_metadata)
values (%(id)s, %(bucket)s, %(name)s, %(owner)s, %(owner_id)s, %(version)s, %(metadata)s, %(user_metadata)s)
"""
_OVERWRITE = """
on conflict (bucket_id, name) do update set
  owner = excluded.owner, owner_id = excluded.owner_id, version = excluded.version,
  metadata = excluded.metadata, user_metadata = excluded.user_metadata
"""


class ObjectKey(NamedTuple):
    """Which object."""

    bucket: str
    name: str

    def path(self) -> str:
        """As Storage writes it in replies and links."""
        return f"{self.bucket}/{self.name}"


class Held(NamedTuple):
    """The row that an upload or a move meets."""

    id: UUID
    version: str | None


@dataclass(frozen=True, slots=True)
class NewObject:
    """What is to be written about an object."""

    key: ObjectKey
    version: str
    owner_id: str | None
    metadata: Json
    user_metadata: Json


async def find_bucket(connection: Connection, bucket: str) -> Json | None:
    """A bucket's row."""
    query = "select to_jsonb(b) from storage.buckets b where id = %s"
    row = await (await connection.execute(query, (bucket,))).fetchone()
    return row[0] if row else None


async def find_object(connection: Connection, key: ObjectKey) -> Json | None:
    """An object's row."""
    query = f"select {_PUBLISHED} from storage.objects o where bucket_id = %s and name = %s"  # noqa: S608
    row = await (await connection.execute(query, key)).fetchone()
    return row[0] if row else None


async def existing_names(connection: Connection, bucket: str, names: Sequence[str]) -> set[str]:
    """Those of the names that there are."""
    query = "select name from storage.objects where bucket_id = %s and name = any(%s)"
    rows = await (await connection.execute(query, (bucket, list(names)))).fetchall()
    return {name for (name,) in rows}


async def hold_object(connection: Connection, key: ObjectKey) -> Held | None:
    """The row of an object, locked until the transaction ends."""
    query = "select id, version from storage.objects where bucket_id = %s and name = %s for update"
    row = await (await connection.execute(query, key)).fetchone()
    return Held(*row) if row else None


async def put_object(connection: Connection, new: NewObject, *, overwrite: bool) -> UUID:
    """Insert a row, or overwrite the one of this name. Returns the id that a new row gets."""
    new_id = uuid4()
    await connection.execute(
        _INSERT + (_OVERWRITE if overwrite else ""),
        {
            "id": new_id,
            "bucket": new.key.bucket,
            "name": new.key.name,
            "owner": _uuid(new.owner_id),
            "owner_id": new.owner_id,
            "version": new.version,
            "metadata": Jsonb(new.metadata),
            "user_metadata": Jsonb(new.user_metadata),
        },
    )
    return new_id


async def rename_object(
    connection: Connection, key: ObjectKey, target: ObjectKey, version: str, owner_id: str | None
) -> bool:
    """Whether the caller may see and rename the object, which then is renamed."""
    statement = """
      update storage.objects set bucket_id = %s, name = %s, version = %s, owner = %s, owner_id = %s
      where bucket_id = %s and name = %s
    """
    parameters = (*target, version, _uuid(owner_id), owner_id, *key)
    return (await connection.execute(statement, parameters)).rowcount == 1


async def delete_objects(connection: Connection, bucket: str, names: Sequence[str] | None) -> list[Json]:
    """Delete what the caller may, and answer the rows. None stands for all names."""
    await connection.execute("select set_config('storage.allow_delete_query', 'true', true)")
    statement = f"""
      delete from storage.objects o
      where bucket_id = %s and (%s::text[] is null or name = any(%s)) returning {_PUBLISHED}
    """  # noqa: S608 -- a constant
    listed = None if names is None else list(names)
    rows = await (await connection.execute(statement, (bucket, listed, listed))).fetchall()
    return [row for (row,) in rows]


async def versions(connection: Connection) -> set[str]:
    """The versions of all objects."""
    rows = await (await connection.execute("select version from storage.objects")).fetchall()
    return {version for (version,) in rows}


def _uuid(user_id: str | None) -> UUID | None:
    """The old column `owner` holds UUIDs only; other systems' users have other ids."""
    try:
        return UUID(user_id) if user_id else None
    except ValueError:
        return None
