"""Storage of a project, as it answers to its keys."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import httpx
from storage3 import SyncStorageClient

from infra.hosted.errors import HostedError
from shared.errors import AccessDenied, Unavailable
from shared.settings import Settings
from shared.storage.supabase_faults import answered

_DASHBOARD: Final = "take it from the dashboard (Project Settings, API Keys)"


@contextmanager
def storage(settings: Settings, key: str, caller: str | None = None) -> Iterator[SyncStorageClient]:
    """What speaks to it under a key. Raises what its answers mean, `AccessDenied` for a refused `caller`."""
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    with httpx.Client(timeout=settings.storage_timeout_s) as http, answered(caller):
        yield SyncStorageClient(f"{settings.supabase_url}/storage/v1/", headers, http_client=http)


def check_keys(settings: Settings) -> Mapping[str, bool]:
    """Both keys are the project's. Returns its buckets, and whether each is public.

    Neither is sent before it is known where to. Raises `HostedError`; `SettingsError` for a service key that
    is refused.
    """
    from infra.doctor.key_forms import form_findings

    service_key = settings.supabase_service_role_key.get_secret_value()
    anon_key = settings.supabase_anon_key.get_secret_value()
    _check_sendable(settings, anon_key, service_key)
    for finding in form_findings(settings.supabase_url, anon_key, service_key):
        raise HostedError(f"{finding.what}: {finding.mend}")
    try:
        _listed(settings, anon_key, caller=anon_key)  # which sees none
        return _listed(settings, service_key)
    except AccessDenied as exc:
        raise HostedError(f"SUPABASE_ANON_KEY is refused by the project: {_DASHBOARD}") from exc
    except Unavailable as exc:
        raise HostedError(
            f"{exc}: is SUPABASE_URL ({settings.supabase_url}) right, and the project not paused?"
        ) from exc


def _check_sendable(settings: Settings, anon_key: str, service_key: str) -> None:
    """Keys that can be sent, to what answers as a project does, encrypted or on this machine."""
    from infra.doctor.addresses import checked_address
    from infra.doctor.answers import SERVICE_KEY, ask_for_keys
    from infra.doctor.findings import CannotTell
    from infra.doctor.key_forms import ANON_KEY
    from infra.doctor.secrets import checked_secret

    try:
        checked_secret(ANON_KEY, anon_key)
        checked_secret(SERVICE_KEY, service_key)
        url = checked_address("SUPABASE_URL", settings.supabase_url)
        with httpx.Client(timeout=settings.storage_timeout_s) as http:
            ask_for_keys(http, url)
    except CannotTell as exc:
        raise HostedError(f"{exc.why}: {exc.mend}") from exc


def _listed(settings: Settings, key: str, caller: str | None = None) -> Mapping[str, bool]:
    with storage(settings, key, caller) as client:
        return {bucket.id: bucket.public for bucket in client.list_buckets()}
