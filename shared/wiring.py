"""Builds the adapters that the settings name: once a process, on first use, so that nothing is built before
a server forks its workers."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from shared.callers import Callers
from shared.database import Database
from shared.embedders import ConfiguredEmbedders
from shared.embedding.joining import JoiningEmbedder
from shared.models import Lane
from shared.permits import Permits
from shared.ports import Embedder, ObjectStore, SpendGuard
from shared.settings import EmbeddingSettings, Settings, load_settings

if TYPE_CHECKING:
    from shared.database.audits import Audits
    from shared.database.forgetting import Forgetting
    from shared.database.recalls import Recalls
    from shared.database.registry import Registry

# Whoever signs in waits for it.
_KEYS_TIMEOUT_S = 3.0
# As much as the database gives them, and the way.
_LONG_CALL_S = 65.0


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the use-cases work with."""

    embedders: ConfiguredEmbedders
    store: ObjectStore
    database: Database
    """The index, the search and the memory of queries."""
    callers: Callers


_building = threading.Lock()


def load_adapters(lane: Lane) -> Adapters:
    """The adapters of this process, which spends on one lane. Raises `SettingsError`."""
    with _building:
        return _build(lane)


@cache
def _build(lane: Lane) -> Adapters:
    return build_adapters(load_settings(), lane)


def build_adapters(settings: Settings, lane: Lane) -> Adapters:
    """Adapters of their own; nothing is connected or loaded yet. Raises `SettingsError`."""
    service_key = settings.supabase_service_role_key.get_secret_value()
    anon_key = settings.supabase_anon_key.get_secret_value()

    permits = Permits(lambda *wanted: database.take_permits(*wanted))
    configured = [settings, *filter(None, [settings.next_embedding()])]
    builders = [partial(_joining, embedding, permits) for embedding in configured]
    database = Database(
        settings.supabase_url,
        service_key=service_key,
        anon_key=anon_key,
        timeout_s=settings.supabase_timeout_s,
        lane=lane,
        provider=settings.storage,
        costs=partial(_costs, configured),
        keep_permits=permits.add,
        keeps_asked_texts=settings.keep_asked_texts,
    )
    embedders = ConfiguredEmbedders(builders, database.active_model)
    jwt_secret = settings.supabase_jwt_secret
    callers = Callers(
        settings.supabase_url,
        jwt_secret=jwt_secret.get_secret_value() if jwt_secret else None,
        service_key=service_key,
        timeout_s=min(_KEYS_TIMEOUT_S, settings.supabase_timeout_s),
    )
    return Adapters(embedders, _store(settings, database), database, callers)


def build_registry(settings: Settings, lane: Lane) -> "Registry":
    """The models of the index, and the work on them. Its calls may take long: they read the whole index."""
    from shared.database.registry import Registry

    return Registry(_patient_database(settings, lane), provider=settings.storage)


@dataclass(frozen=True, slots=True)
class AuditAdapters:
    """What audits, recall checks and forgetting work with, beside the store."""

    index: "Audits"
    recalls: "Recalls"
    forgetting: "Forgetting"


def build_audits(settings: Settings, lane: Lane) -> AuditAdapters:
    """Adapters whose calls may take long: they read much."""
    from shared.database.audits import Audits
    from shared.database.forgetting import Forgetting
    from shared.database.recalls import Recalls

    database = _patient_database(settings, lane)
    return AuditAdapters(Audits(database, provider=settings.storage), Recalls(database), Forgetting(database))


def _patient_database(settings: Settings, lane: Lane) -> Database:
    return Database(
        settings.supabase_url,
        service_key=settings.supabase_service_role_key.get_secret_value(),
        anon_key=settings.supabase_anon_key.get_secret_value(),
        timeout_s=max(_LONG_CALL_S, settings.supabase_timeout_s),
        lane=lane,
        provider=settings.storage,
    )


def _joining(settings: EmbeddingSettings, permits: Permits) -> Embedder:
    return JoiningEmbedder(build_embedder(settings, permits))


def _costs(configured: Sequence[EmbeddingSettings], model: str) -> bool:
    """A hosted model is named by its weights."""
    return any(one.embedder == "roboflow" and one.clip_model == model for one in configured)


def _store(settings: Settings, database: Database) -> ObjectStore:
    """Each is imported only when it serves, as embedders are."""
    expires_s, timeout_s = settings.link_expires_s, settings.storage_timeout_s
    if settings.storage == "s3":
        from shared.storage.s3 import S3Storage

        return S3Storage(link_expires_s=expires_s, timeout_s=timeout_s)
    if settings.storage == "gcs":
        from shared.storage.gcs import GcsStorage

        return GcsStorage(link_expires_s=expires_s, timeout_s=timeout_s)
    if settings.storage == "local":
        from shared.storage.local import LocalStorage

        return LocalStorage(settings.storage_dir or Path(), timeout_s=timeout_s)
    from shared.storage.supabase import SupabaseStorage

    return SupabaseStorage(
        settings.supabase_url,
        service_key=settings.supabase_service_role_key.get_secret_value(),
        anon_key=settings.supabase_anon_key.get_secret_value(),
        heads=database.stored_objects,
        list_page=database.list_objects,
        link_expires_s=expires_s,
        timeout_s=timeout_s,
    )


def build_embedder(settings: EmbeddingSettings, guard: SpendGuard) -> Embedder:
    """The embedder that the settings name; no weights are loaded yet. Raises `SettingsError`."""
    first = _first_embedder(settings, guard)
    if settings.clip_text_model is None:
        return first
    from shared.embedding.multilingual import MultilingualEmbedder

    return MultilingualEmbedder(first, _clip(settings.clip_text_model, settings.clip_text_model_dir))


def _first_embedder(settings: EmbeddingSettings, guard: SpendGuard) -> Embedder:
    """Each is imported only when it serves: a function holds the packages of its own embedder."""
    if settings.embedder == "clip":
        return _clip(settings.clip_model, settings.clip_model_dir)
    if settings.embedder == "roboflow":
        return _roboflow(settings, guard)
    from shared.embedding.offline import OfflineEmbedder

    return OfflineEmbedder()


def _clip(model_id: str, folder: Path | None) -> Embedder:
    from shared.embedding.clip import ClipEmbedder
    from shared.embedding.manifest import default_folder, manifest_of

    folder = folder or default_folder(model_id)
    return ClipEmbedder(manifest_of(folder, model_id), folder)


def _roboflow(settings: EmbeddingSettings, guard: SpendGuard) -> Embedder:
    from shared.embedding.manifest import manifest_named
    from shared.embedding.roboflow import RoboflowEmbedder

    key = settings.roboflow_api_key
    return RoboflowEmbedder(
        manifest_named(settings.clip_model),
        guard=guard,
        url=settings.roboflow_api_url,
        api_key=key.get_secret_value() if key else None,
        concurrency=settings.roboflow_concurrency,
    )
