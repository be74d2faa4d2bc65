"""Whether the settings make sense by themselves."""

from collections.abc import Iterator

from infra.doctor.deployment import Deployment
from infra.doctor.findings import Finding, ok, wrong
from shared.errors import SettingsError
from shared.settings import parse_settings


def look(deployment: Deployment) -> Iterator[Finding]:
    """All variables that the functions read."""
    try:
        settings = parse_settings(deployment.variables)
    except SettingsError as exc:
        what = str(exc).removesuffix(" See .env.example.")
        yield wrong("settings.parse", what, "correct them; .env.example explains each, then deploy again")
    else:
        said = f"AUTH={settings.auth}, STORAGE={settings.storage}, EMBEDDER={settings.embedder}"
        yield ok("settings.parse", said)
