"""The rows of auth.users: added, found, listed, removed."""

from typing import NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from infra.local.gateway.database import Connection
from infra.local.gateway.rows import Json

# As Auth publishes a user: never the password's hash.
_PUBLISHED = """
jsonb_build_object(
  'id', u.id, 'aud', u.aud, 'role', u.role, 'email', u.email, 'phone', '',
  'email_confirmed_at', u.email_confirmed_at, 'confirmed_at', u.email_confirmed_at,
  'last_sign_in_at', u.last_sign_in_at, 'created_at', u.created_at, 'updated_at', u.updated_at,
  'app_metadata', u.raw_app_meta_data, 'user_metadata', u.raw_user_meta_data,
  'identities', jsonb_build_array(), 'is_anonymous', false
)
"""
_ADD = f"""
insert into auth.users as u
  (email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data)
values (%s, %s, case when %s then now() end, %s, %s)
returning {_PUBLISHED}
"""  # noqa: S608 -- a constant


class NewUser(NamedTuple):
    """Who is to be added."""

    email: str
    password_hash: str | None
    is_confirmed: bool
    app_metadata: Json
    user_metadata: Json


class Credentials(NamedTuple):
    """What a sign-in is compared with."""

    user_id: UUID
    password_hash: str | None
    is_confirmed: bool


class Page(NamedTuple):
    """Some of the users, and how many there are."""

    users: list[Json]
    total: int


async def add_user(connection: Connection, new: NewUser) -> Json:
    """Raises psycopg's `UniqueViolation` when there is one of this address."""
    metadata = (Jsonb(new.app_metadata), Jsonb(new.user_metadata))
    parameters = (new.email, new.password_hash, new.is_confirmed, *metadata)
    row = await (await connection.execute(_ADD, parameters)).fetchone()
    assert row is not None  # noqa: S101 -- an insert returns its row
    user: Json = row[0]
    return user


async def find_credentials(connection: Connection, email: str) -> Credentials | None:
    """Of the user with this address."""
    query = """
      select id, encrypted_password, email_confirmed_at is not null from auth.users where email = %s
    """
    row = await (await connection.execute(query, (email,))).fetchone()
    return Credentials(*row) if row else None


async def find_user(connection: Connection, user_id: UUID) -> Json | None:
    """As Auth publishes it."""
    query = f"select {_PUBLISHED} from auth.users u where id = %s"  # noqa: S608 -- a constant
    row = await (await connection.execute(query, (user_id,))).fetchone()
    return row[0] if row else None


async def mark_signed_in(connection: Connection, user_id: UUID) -> Json | None:
    """The user, who cannot go before the transaction ends; None when gone already."""
    statement = f"""
      update auth.users u set last_sign_in_at = now(), updated_at = now() where id = %s returning {_PUBLISHED}
    """  # noqa: S608 -- a constant
    row = await (await connection.execute(statement, (user_id,))).fetchone()
    return row[0] if row else None


async def list_users(connection: Connection, page: int, per_page: int) -> Page:
    """The latest first; pages count from 1."""
    query = f"""
      select {_PUBLISHED} from auth.users u order by created_at desc, id limit %s offset %s
    """  # noqa: S608 -- a constant
    rows = await (await connection.execute(query, (per_page, (page - 1) * per_page))).fetchall()
    counted = await (await connection.execute("select count(*) from auth.users")).fetchone()
    return Page([user for (user,) in rows], counted[0] if counted else 0)


async def remove_user(connection: Connection, user_id: UUID) -> bool:
    """Whether there was one. The sessions go too."""
    return (await connection.execute("delete from auth.users where id = %s", (user_id,))).rowcount == 1
