"""The embedded stack: Postgres, the gateway and the real functions, up and down in order."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import fasteners
import httpx
from postgrest import APIError
from supabase import create_client

from infra.local.gateway.webhook import AT_ONCE as WEBHOOKS_AT_ONCE
from infra.local.home import ROOT, Connection, Home, Keys, Ports, bypass_proxies, default_home
from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from infra.local.processes import Servers, StackError
from shared.embedding.local import cores
from shared.errors import SettingsError
from shared.permits import Unlimited
from shared.settings import Settings, parse_settings
from shared.wiring import build_embedder

DEFAULT_PORT = 54321
_LAST_PORT = 65_535 - 11  # the functions listen above it
_READY_S = 60.0
_SEARCHES_AT_ONCE = 64
_NOT_COVERED = "55000"
_SETTINGS = {
    "AUTH",
    "CORS_ORIGINS",
    "EMBEDDER",
    "FUNCTION_TIMEOUT_S",
    "LINK_EXPIRES_S",
    "PREVIEWS",
    "REQUESTS_PER_MINUTE",
    "TRUSTED_HOPS",
}


class Stack:
    """A running embedded stack, as a context manager. Raises `StackError` with what to do."""

    def __init__(
        self,
        home: Path | None = None,
        base_port: int | None = None,
        *,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """What `environment` says of embedders, and of who may search, goes to the functions."""
        bypass_proxies()
        self._settings = {
            # The functions run in another folder.
            name: str(Path(value).expanduser().absolute()) if value and name.endswith("_DIR") else value
            for name, value in environment.items()
            if _is_of_functions(name)
        }
        self._home = Home(home or default_home())
        self._ports = Ports.from_base(base_port or _port_of_environment())
        self._servers = Servers(self._home.path, self._home.logs)
        self._closing = ExitStack()
        self.connection: Connection

    def __enter__(self) -> "Stack":
        with ExitStack() as starting:
            self._start(starting)
            self._closing = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def index_url(self) -> str:
        """Where storage events go."""
        return f"http://127.0.0.1:{self._ports.index}/"

    def dsn(self, role: str) -> str:
        """How a driver connects to the stack's Postgres under a role."""
        return self._postgres.dsn(role)

    def check(self) -> None:
        """Raises `StackError` when any part of the stack has ended."""
        self._servers.check()
        self._postgres.check()

    def _start(self, closing: ExitStack) -> None:
        self._home.prepare()
        self._lock(closing)
        self._servers.reap()
        for port in (self._ports.gateway, self._ports.search, self._ports.index):
            _check_port(port)
        keys = self._home.keys()
        self._postgres = closing.enter_context(Postgres(self._home.pgdata))
        migrate(self._postgres.dsn("postgres"), ROOT / "supabase" / "migrations")
        closing.callback(self._servers.stop)
        self._start_gateway(keys)
        closing.callback(self._home.withdraw)
        self.connection = self._home.announce(self._ports, self._public_settings())
        environment = self._function_environment(keys)
        try:
            self._use_model(parse_settings(environment))
        except SettingsError as exc:
            raise StackError(str(exc)) from exc
        self._start_functions(keys, environment)

    def _use_model(self, settings: Settings) -> None:
        """Refused when the stack's pictures are indexed with another than the functions have an embedder for:
        every search would find nothing.
        """
        model = build_embedder(settings, Unlimited()).model
        coming = settings.next_embedding()
        served = {model.name} | ({build_embedder(coming, Unlimited()).model.name} if coming else set())
        arguments = {
            "model_name": model.name,
            "model_dimensions": model.dimensions,
            "model_similarity_floor": model.similarity_floor,
            "model_languages": list(model.languages),
        }
        client = create_client(self.connection.supabase_url, self.connection.service_role_key)
        try:
            client.rpc("create_model_v1", arguments).execute()
            if client.rpc("active_model_v1", {}).execute().data not in served:
                client.rpc("activate_model_v1", {"model_name": model.name}).execute()
        except APIError as exc:
            if exc.code != _NOT_COVERED:
                raise StackError(f"the model cannot be registered: {exc.message}") from exc
            raise StackError(
                f"the pictures of this stack are indexed with another model: {exc.message}. Start it with "
                "the EMBEDDER and CLIP_MODEL of before, this one as NEXT_EMBEDDER and NEXT_CLIP_MODEL, and "
                "run `pixseek reembed`; or give this model a stack of its own: PIXSEEK_HOME=<folder>."
            ) from exc
        except httpx.HTTPError as exc:
            raise StackError(f"the model cannot be registered: {exc}") from exc

    def _lock(self, closing: ExitStack) -> None:
        """The operating system frees the lock when its holder dies, however it dies."""
        lock = fasteners.InterProcessLock(self._home.lock)
        if not lock.acquire(blocking=False):
            raise StackError(
                f"a stack is already running in {self._home.path}. Stop it with Ctrl-C where it runs, "
                "or start another: PIXSEEK_HOME=<folder> PIXSEEK_PORT=<port>."
            )
        closing.callback(lock.release)

    def _start_gateway(self, keys: Keys) -> None:
        self._servers.start(
            "gateway",
            ["infra.local.gateway"],
            {
                "GATEWAY_PORT": str(self._ports.gateway),
                "GATEWAY_DSN_AUTHENTICATOR": self._postgres.dsn("authenticator"),
                "GATEWAY_DSN_STORAGE": self._postgres.dsn("supabase_storage_admin"),
                "GATEWAY_DSN_AUTH": self._postgres.dsn("supabase_auth_admin"),
                "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{self._ports.gateway}",
                "GATEWAY_JWT_SECRET": keys.jwt_secret,
                "GATEWAY_SIGNING_KEYS_FILE": str(self._home.signing_keys),
                "GATEWAY_FILES_DIR": str(self._home.files),
                "GATEWAY_WEBHOOK_URL": self.index_url,
                "GATEWAY_WEBHOOK_SECRET": keys.webhook_secret,
            },
        )
        self._wait_until_answers(f"http://127.0.0.1:{self._ports.gateway}/health")

    def _function_environment(self, keys: Keys) -> dict[str, str]:
        return {
            # A server inherits what this process has; an empty variable counts as absent.
            **{name: "" for name in os.environ if _is_of_functions(name)},
            "EMBEDDER": "offline",
            "AUTH": "public",
            **self._settings,
            "SUPABASE_URL": self.connection.supabase_url,
            "SUPABASE_ANON_KEY": keys.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_key,
            "SUPABASE_JWT_SECRET": keys.jwt_secret,
            "WEBHOOK_SECRET": keys.webhook_secret,
        }

    def _public_settings(self) -> dict[str, str]:
        return {
            "EMBEDDER": "offline",
            "AUTH": "public",
            **{name: value for name, value in self._settings.items() if not name.endswith("_KEY")},
        }

    def _serving(self, environment: Mapping[str, str], threads: int) -> dict[str, str]:
        """A process a core when the model runs elsewhere, or each would load it."""
        workers = cores() if environment["EMBEDDER"] == "roboflow" else 1
        return {"THREADS": str(threads), "WORKERS": str(workers)}

    def _start_functions(self, keys: Keys, environment: Mapping[str, str]) -> None:
        for name, target, port, threads in (
            ("search_images", "search_images", self._ports.search, _SEARCHES_AT_ONCE),
            ("index_image", "index_supabase_webhook", self._ports.index, WEBHOOKS_AT_ONCE),
        ):
            source = f"functions/{name}/gcp.py"
            arguments = ["functions_framework", f"--source={source}", f"--target={target}"]
            self._servers.start(
                name,
                [*arguments, "--host=127.0.0.1", f"--port={port}"],
                {**environment, **self._serving(environment, threads)},
            )
        self._wait_until_answers(self.index_url)
        # A real search: it loads the text model, so that the first caller need not wait for it.
        self._wait_until_answers(
            f"{self.connection.search_url}/search?q=ready",
            {"Authorization": f"Bearer {keys.service_role_key}"},
        )

    def _wait_until_answers(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Any answer will do: a refusal is an answer."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            self._servers.check()
            try:
                httpx.get(url, headers=headers, timeout=_READY_S)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise StackError(f"{url} did not answer within {_READY_S:.0f} s; the logs are in {self._home.logs}")


def _is_of_functions(name: str) -> bool:
    return name in _SETTINGS or name.startswith(("CLIP_", "NEXT_", "ROBOFLOW_"))


def _port_of_environment() -> int:
    port = os.environ.get("PIXSEEK_PORT") or str(DEFAULT_PORT)
    if not port.isdecimal() or not 1 <= int(port) <= _LAST_PORT:
        raise StackError(f"PIXSEEK_PORT={port} is not a port: a number from 1 to {_LAST_PORT}")
    return int(port)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise StackError(
                f"port {port} of 127.0.0.1 is taken (by another stack, or by `supabase start`?). "
                "Choose another: PIXSEEK_PORT=55321."
            ) from exc
