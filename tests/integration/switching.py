"""A stack whose pictures, in folders of this machine, can be brought from one model to the next, both of
Roboflow's stand-in.
"""

import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

import psycopg
import pytest
from PIL import Image

from functions.reembed_images import running
from functions.reembed_images.running import CallMore, Report
from infra.cli.connection import Project
from infra.local.stack import Stack
from shared import indexing, settings, wiring
from shared.database.registry import Registry
from shared.embedders import ConfiguredEmbedders
from shared.models import Change, Lane, ObjectEvent, ObjectRef
from shared.registered import RegisteredModel
from shared.settings import Settings, parse_settings
from shared.wiring import Adapters, build_adapters, build_embedder, build_registry
from tests.roboflow_api import Exchange, Fault, RoboflowApi, delayed
from tests.roboflow_replies import Reply
from tests.search_api import SearchApi

OLD: Final = "openai/clip-vit-base-patch16"
NEW: Final = "openai/clip-vit-large-patch14"
_VERSIONS: Final = {OLD: "ViT-B-16", NEW: "ViT-L-14"}
_FORGET: Final = b"""
truncate pixseek.images cascade;
truncate pixseek.vectors, pixseek.spare_vectors, pixseek.work, pixseek.leases, pixseek.asked_texts,
  pixseek.queries, pixseek.calls, pixseek.permits;
update pixseek.guide set model_id = null;
update pixseek.models set state = 'dropped', retired_at = null where state <> 'dropped';
update pixseek.models set state = 'active' where name = 'openai/clip-vit-base-patch16';
update pixseek.spending_limits set
  calls_per_s = null, search_calls_per_day = null, indexing_calls_per_day = null
"""


@dataclass
class Clock:
    """Of the search API: what it knows of the models it asks for anew after a while."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Switching:
    """The stack, the service that embeds, and deployments that share them."""

    home: Path
    stack: Stack
    project: Project
    api: RoboflowApi
    folder: Path = field(default_factory=Path)
    """Of the test's buckets."""

    def reset(self, folder: Path) -> None:
        """No pictures, no texts, no limits, the old model alone."""
        self.folder = folder
        self.api.arrivals.clear()
        self.api.next.clear()
        self.api.otherwise = delayed(0)
        self.sql(_FORGET)

    def sql(self, statement: bytes, *arguments: object) -> None:
        """By the owner of everything."""
        with psycopg.connect(self.stack.dsn("supabase_admin"), autocommit=True) as connection:
            connection.execute(statement, arguments or None)

    def variables(self, **more: str) -> dict[str, str]:
        """A function's environment."""
        connection = self.project.connection
        return {
            **connection.function_settings,
            "SUPABASE_URL": connection.supabase_url,
            "SUPABASE_ANON_KEY": connection.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
            "STORAGE": "local",
            "STORAGE_DIR": str(self.folder),
            **{name.upper(): value for name, value in more.items()},
        }

    def settings(self, **more: str) -> Settings:
        return parse_settings(self.variables(**more))

    def adapters(self, **more: str) -> Adapters:
        return build_adapters(self.settings(**more), Lane.INDEXING)

    @cached_property
    def registry(self) -> Registry:
        return build_registry(self.settings(), Lane.INDEXING)

    @contextmanager
    def deployed(self, **more: str) -> Iterator[None]:
        """This process is a function with such an environment."""
        with pytest.MonkeyPatch.context() as process:
            for name in [name for name in os.environ if name.startswith(("NEXT_", "ROBOFLOW_"))]:
                process.delenv(name)
            for name, value in self.variables(**more).items():
                process.setenv(name, value)
            _forget_deployment()
            yield
        _forget_deployment()

    def run(self, *, call_more: CallMore | None = None, left_s: float = 120, **more: str) -> Report:
        """What the scheduled function does and reports."""
        with self.deployed(**more):
            return running.run(settings.load_settings().times(left_s), call_more=call_more)

    def index(self, *names: str, bucket: str = "photos", model: str = OLD) -> list[ObjectRef]:
        """Pictures, each of its own colour, in a bucket and in the index."""
        refs = [self.put(name, bucket=bucket) for name in names]
        self.follow(refs, model=model)
        self.api.arrivals.clear()
        return refs

    def put(self, name: str, *, bucket: str = "photos", looks_like: str | None = None) -> ObjectRef:
        """A picture in a bucket, of which nobody is told; two look alike if they are told to."""
        path = self.folder / bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_of(looks_like or name))
        return ObjectRef(bucket, name)

    def follow(self, refs: Sequence[ObjectRef], *, model: str = OLD) -> None:
        """The index learns of them."""
        adapters = self.adapters()
        indexing.apply(
            [ObjectEvent(ref, Change.WRITTEN, "0") for ref in refs],
            store=adapters.store,
            embedder=adapters.embedders.named(model),
            index=adapters.database,
            with_previews=False,
        )

    def models(self) -> dict[str, RegisteredModel]:
        return {model.name: model for model in self.registry.models()}

    def states(self) -> dict[str, str]:
        """Of the models, but for the dropped ones."""
        return {name: model.state for name, model in self.models().items() if model.state != "dropped"}

    def vectors(self, model: str) -> int:
        return self.models()[model].vectors

    def calls(self, model: str, what: str = "image") -> int:
        """How often the service was asked."""
        bodies = [arrival.body for arrival in list(self.api.arrivals) if arrival.route.endswith(what)]
        return sum(body["clip_version_id"] == _VERSIONS[model] for body in bodies)

    def search_api(self, clock: Clock) -> SearchApi:
        """The search in this process, which tells the time by that clock."""
        adapters = build_adapters(self.settings(), Lane.SEARCH)
        guard = _Free()
        coming = self.settings().next_embedding()
        assert coming is not None
        embedders = [build_embedder(one, guard) for one in (self.settings(), coming)]
        configured = ConfiguredEmbedders(
            [lambda: embedders[0], lambda: embedders[1]], adapters.database.active_model, clock=clock
        )
        followed = Adapters(configured, adapters.store, adapters.database, adapters.callers)
        return SearchApi(
            self.project.connection,
            lambda: followed,
            storage="local",
            storage_dir=str(self.folder),
            requests_per_minute="100000",
        )


class _Free:
    def acquire(self, *, deadline: float) -> None:
        pass


def picture_of(name: str) -> bytes:
    """A picture of one colour, which the name tells."""
    red, green, blue = sha256(name.encode()).digest()[:3]
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (red, green, blue)).save(buffer, "PNG")
    return buffer.getvalue()


def to_the_new_model(fault: Fault) -> Fault:
    """What befalls requests to it alone."""

    def chosen(exchange: Exchange, reply: Reply) -> None:
        is_new = json.loads(exchange.content)["clip_version_id"] == _VERSIONS[NEW]
        (fault if is_new else delayed(0))(exchange, reply)

    return chosen


def _forget_deployment() -> None:
    settings.load_settings.cache_clear()
    wiring._build.cache_clear()
