"""Builds the adapters that the settings name: once a process, on first use, so that nothing is built before
a server forks its workers."""

import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared.callers import Callers
from shared.database import Database
from shared.embedding.joining import JoiningEmbedder
from shared.models import Lane
from shared.permits import Permits
from shared.ports import Embedder, ObjectStore, SpendGuard
from shared.settings import EmbeddingSettings, Settings, load_settings

# Whoever signs in waits for it.
_KEYS_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the use-cases work with."""

    embedder: Embedder
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
    database = Database(
        settings.supabase_url,
        service_key=service_key,
        anon_key=anon_key,
        timeout_s=settings.supabase_timeout_s,
        lane=lane,
        provider=settings.storage,
        keep_permits=permits.add if settings.embedder == "roboflow" else None,
    )
    jwt_secret = settings.supabase_jwt_secret
    callers = Callers(
        settings.supabase_url,
        jwt_secret=jwt_secret.get_secret_value() if jwt_secret else None,
        service_key=service_key,
        timeout_s=min(_KEYS_TIMEOUT_S, settings.supabase_timeout_s),
    )
    embedder = JoiningEmbedder(build_embedder(settings, permits))
    return Adapters(embedder, _store(settings, database), database, callers)


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
