"""What a database says of itself: the answer of doctor_v1."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Function(_Fact):
    """One of schema public or pixseek."""

    callers: list[str]
    """The API's roles that may call it."""
    digest: str
    is_plain_read: bool
    """It can be called without arguments, and changes nothing."""


class Table(_Fact):
    """A table or view."""

    row_security: bool
    policies: list[str]
    grants: list[str]
    """Such as `anon: select`."""
    triggers: list[str]
    indexes: dict[str, str]
    """Definitions by names."""


class Schema(_Fact):
    """All that the migrations make."""

    functions: dict[str, Function]
    """By signatures, such as `public.doctor_v1()`."""
    tables: dict[str, Table]


class Partition(_Fact):
    """The vectors of one model."""

    table: str
    model: str
    dimensions: int
    row_security: bool
    readers: list[str]
    has_index: bool
    has_scan: bool
    """The function that scans it, for all callers."""


class Target(_Fact):
    """The model that pictures are brought to."""

    name: str
    age_s: float
    is_worked_on: bool


class Webhook(_Fact):
    """What a hosted project posts its changes with."""

    is_enabled: bool | None
    """None when there is no trigger."""
    has_pg_net: bool
    secrets: list[str] | None
    """The names of those that Vault has; None without Vault."""


class Facts(_Fact):
    """The answer."""

    now: datetime
    pgvector: str | None
    migrations: list[str] | None
    """Versions on record; None where they were applied by hand."""
    db_schema: Schema
    partitions: list[Partition]
    broken_indexes: list[str]
    timeouts: dict[str, str | None]
    """Of statements, by role, as Postgres writes them."""
    target: Target | None
    webhook: Webhook | None
