"""What a database says of itself: the answers of doctor_v1 and of the lists of models and buckets."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Told(BaseModel):
    """A row or a part of an answer; what else it holds does not matter here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RegisteredModel(Told):
    """As the index has it."""

    name: str
    dimensions: int
    similarity_floor: float
    languages: list[str]
    state: str


class RegisteredBucket(Told):
    """As the index knows it."""

    name: str
    provider: str
    is_public: bool


class Function(Told):
    """One of schema public or pixseek."""

    callers: list[str]
    """The API's roles that may call it."""
    is_plain_read: bool
    """It can be called without arguments, and changes nothing."""


class Table(Told):
    """A table or view."""

    row_security: bool
    policies: list[str]
    grants: list[str]
    """Such as `anon: select`."""
    triggers: list[str]
    indexes: dict[str, str]
    """Definitions by names."""


class Schema(Told):
    """All that the migrations make."""

    functions: dict[str, Function]
    """By signatures, such as `public.doctor_v1(text)`."""
    tables: dict[str, Table]


class Recorded(Told):
    """Which migrations are on record."""

    versions: list[str] | None = None
    """None where they were applied by hand."""
    fault: str | None = None
    """Postgres' code, when the record cannot be read."""


class Partition(Told):
    """The vectors of one model."""

    table: str
    model: str
    dimensions: int
    row_security: bool
    readers: list[str]
    has_index: bool
    has_scan: bool
    """The function that scans it, for all callers."""


class Target(Told):
    """The model that pictures are brought to."""

    name: str
    age_s: float
    is_worked_on: bool


class Trigger(Told):
    """The one that posts changes."""

    is_enabled: bool
    function: str
    """What it runs, with its schema."""


class Vault(Told):
    """Digests of its secrets that are the webhook's, by names."""

    secrets: dict[str, str | None] | None = None
    """None without Vault."""
    fault: str | None = None
    """Postgres' code, when they cannot be read."""


class Posts(Told):
    """What pg_net's last posts were answered with; its own and those of other triggers."""

    by_status: dict[int, int] | None = None
    """How many of each; -1: no answer. None without pg_net."""
    fault: str | None = None


class Webhook(Told):
    """What a hosted project posts its changes with."""

    trigger: Trigger | None
    has_pg_net: bool
    vault: Vault
    posts: Posts


class Policy(Told):
    """Of Storage's objects."""

    name: str
    roles: list[str]
    lets_all_through: bool


class StorageGuards(Told):
    """Who may do what with Storage's objects."""

    row_security: bool | None
    """None without Storage."""
    needs_policies: bool
    """Some bucket is under pixseek's own."""
    policies: list[Policy]


class Facts(Told):
    """The answer of doctor_v1."""

    now: datetime
    pgvector: str | None
    migrations: Recorded
    db_schema: Schema
    partitions: list[Partition]
    broken_indexes: list[str]
    timeouts: dict[str, str | None]
    """Of statements, by role, as Postgres writes them."""
    target: Target | None
    webhook: Webhook
    storage: StorageGuards
