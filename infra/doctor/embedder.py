"""Whether the configured embedders embed."""

import time
from collections.abc import Iterator
from typing import Final

from infra.doctor.deployment import Deployment
from infra.doctor.findings import DoesNotApply, Finding, ok, warning, wrong
from shared.errors import PixseekError, SettingsError
from shared.images import Picture
from shared.permits import Unlimited
from shared.ports import Embedder
from shared.settings import EmbeddingSettings
from shared.wiring import build_embedder

_DEADLINE_S: Final = 60.0


def look(deployment: Deployment) -> Iterator[Finding]:
    """A text and a small picture each: with Roboflow two calls, which the spend guard does not see."""
    if not deployment.calls_model:
        raise DoesNotApply("it would call the model (--no-model)")
    settings = deployment.settings
    for name in deployment.variables:
        if name.endswith("ROBOFLOW_API_KEY") and deployment.variables[name]:
            deployment.secret(name)
    for prefix, configured in (("", settings), ("NEXT_", settings.next_embedding())):
        if configured is not None:
            yield from _embeds(prefix, configured, deployment)


def _embeds(prefix: str, settings: EmbeddingSettings, deployment: Deployment) -> Iterator[Finding]:
    named = f"{prefix}EMBEDDER={settings.embedder}"
    try:
        embedder = build_embedder(settings, Unlimited())
        took_s = _try(embedder)
    except PixseekError as exc:
        yield _fault(named, settings, exc)
        return
    model = embedder.model
    what = f"{named} embeds a text and a picture with {model.name} ({model.dimensions}), in {took_s:.1f} s"
    yield ok("embedder.embeds", what)
    known = {row.name: row for row in deployment.models}
    if model.name in known and known[model.name].dimensions != model.dimensions:
        what = (
            f"{model.name} has {model.dimensions} dimensions, and {known[model.name].dimensions} in the index"
        )
        mend = "name the weights otherwise: they are another model, and come in by pixseek reembed"
        yield wrong("embedder.dimensions", what, mend)


def _fault(named: str, settings: EmbeddingSettings, error: PixseekError) -> Finding:
    if settings.embedder == "clip":
        mend = f"pixseek weights pull {settings.clip_model}; the deployed function has its own"
        return warning("embedder.embeds", f"{named} does not embed on this machine: {error}", mend)
    mend = "correct the settings of the embedder (.env.example), and deploy again"
    if not isinstance(error, SettingsError):
        mend = f"look at {settings.roboflow_api_url} (ROBOFLOW_API_URL), and try again"
    return wrong("embedder.embeds", f"{named}: {error}", mend)


def _try(embedder: Embedder) -> float:
    """In so many seconds."""
    from PIL import Image

    began = time.monotonic()
    deadline = began + _DEADLINE_S
    embedder.embed_texts(["a picture"], deadline=deadline)
    picture = Picture(Image.new("RGB", (64, 64), (200, 80, 40)), content_type="image/png")
    embedder.embed_pictures([picture], deadline=deadline)
    return time.monotonic() - began
