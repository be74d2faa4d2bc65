"""Builds the adapters that the settings name: once a process, on first use, so that nothing is built before
a server forks its workers."""

import threading
from dataclasses import dataclass
from functools import cache

from shared.database import Database
from shared.embedding.offline import OfflineEmbedder
from shared.ports import Embedder, ObjectStore
from shared.settings import load_settings
from shared.storage.supabase import SupabaseStorage


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the use-cases work with."""

    embedder: Embedder
    store: ObjectStore
    database: Database
    """Both the index and the search."""


_building = threading.Lock()


def load_adapters() -> Adapters:
    """The adapters of this process. Raises `SettingsError`."""
    with _building:
        return _build()


@cache
def _build() -> Adapters:
    settings = load_settings()
    service_key = settings.supabase_service_role_key.get_secret_value()
    anon_key = settings.supabase_anon_key.get_secret_value()
    database = Database(
        settings.supabase_url,
        service_key=service_key,
        anon_key=anon_key,
        timeout_s=settings.supabase_timeout_s,
    )
    store = SupabaseStorage(
        settings.supabase_url,
        service_key=service_key,
        anon_key=anon_key,
        head=database.stored_object,
        link_expires_s=settings.link_expires_s,
        timeout_s=settings.supabase_timeout_s,
    )
    return Adapters(OfflineEmbedder(), store, database)
