"""Where an embedded stack keeps its data: one folder, with its keys, its lock and what is running."""

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jwt

ROOT = Path(__file__).resolve().parents[2]
_TEN_YEARS_S = 10 * 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Keys:
    """A project's secrets, in Supabase's legacy form: JWTs signed with one secret."""

    jwt_secret: str
    webhook_secret: str
    anon_key: str
    service_role_key: str


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the stack listens, on 127.0.0.1."""

    gateway: int
    search: int
    index: int

    @classmethod
    def from_base(cls, base: int) -> "Ports":
        """The functions lie 10 above the gateway: Supabase's own tools use the ports between."""
        return cls(gateway=base, search=base + 10, index=base + 11)


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client needs to use a stack or a project."""

    supabase_url: str
    search_url: str
    anon_key: str
    service_role_key: str
    function_settings: Mapping[str, str] = field(default_factory=dict)
    """What the functions of a stack were told beside: which model, and so on; no secret."""


class Home:
    """One stack's folder. Everything in it survives a restart; deleting it forgets the stack."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.pgdata = self.path / "pgdata"
        self.files = self.path / "files"
        self.logs = self.path / "logs"
        self.lock = self.path / "lock"
        self.signing_keys = self.path / "signing_keys.json"
        self._keys = self.path / "keys.json"
        self._connection = self.path / "connection.json"

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self.path, self.files, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self.files.chmod(0o700)

    def keys(self) -> Keys:
        """The keys, made at first start and kept."""
        if not self._keys.exists():
            write_private(self._keys, json.dumps(asdict(_new_keys())))
        return Keys(**json.loads(self._keys.read_text()))

    def announce(self, ports: Ports, function_settings: Mapping[str, str]) -> Connection:
        """Tell other processes where the stack can be reached, and how its functions are set; no secret."""
        keys = self.keys()
        connection = Connection(
            supabase_url=f"http://127.0.0.1:{ports.gateway}",
            search_url=f"http://127.0.0.1:{ports.search}",
            anon_key=keys.anon_key,
            service_role_key=keys.service_role_key,
            function_settings=function_settings,
        )
        write_private(self._connection, json.dumps(asdict(connection)))
        return connection

    def withdraw(self) -> None:
        """The stack is down."""
        self._connection.unlink(missing_ok=True)

    def connection(self) -> Connection | None:
        """Where the stack was announced; None when it is down."""
        try:
            return Connection(**json.loads(self._connection.read_text()))
        except FileNotFoundError:
            return None


def default_home() -> Path:
    """`PIXSEEK_HOME`, or a folder in the working copy that git ignores."""
    return Path(os.environ.get("PIXSEEK_HOME") or ROOT / ".pixseek" / "local")


def bypass_proxies() -> None:
    """Talk to this machine directly, in this process and those it starts, whatever proxy is set."""
    for name in ("NO_PROXY", "no_proxy"):
        others = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*others, "127.0.0.1"]))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _new_keys() -> Keys:
    jwt_secret = secrets.token_hex(32)
    now = int(time.time())

    def key(role: str) -> str:
        claims = {"iss": "supabase", "role": role, "iat": now, "exp": now + _TEN_YEARS_S}
        return jwt.encode(claims, jwt_secret, algorithm="HS256")

    return Keys(
        jwt_secret=jwt_secret,
        webhook_secret=secrets.token_hex(32),
        anon_key=key("anon"),
        service_role_key=key("service_role"),
    )
