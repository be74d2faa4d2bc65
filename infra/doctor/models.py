"""Whether the models of the index cover it, and are those that the functions embed with."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import TypeAdapter

from infra.doctor.answers import LOOK_AT_PROJECT
from infra.doctor.deployment import Deployment
from infra.doctor.facts import RegisteredModel, Target, Told
from infra.doctor.findings import CannotTell, Finding, ok, warning, wrong
from shared.errors import SettingsError
from shared.models import EmbeddingModel
from shared.permits import Unlimited
from shared.reembedding import LEAST_COVERAGE
from shared.settings import Settings
from shared.wiring import build_embedder

_HANGS_S: Final = 86_400.0
"""Schedules begin more often."""
_REEMBED: Final = "pixseek reembed, or look at the log of the function reembed"


class _Coverage(Told):
    coverage: float
    vectors: int
    missing: int
    failed: int


_COVERAGE: Final = TypeAdapter(list[_Coverage])


def look(deployment: Deployment) -> Iterator[Finding]:
    """The one that searches use, and the one to come."""
    models = deployment.models
    if deployment.is_empty:
        mend = "upload one into a bucket that is followed; what was there before: pixseek backfill <bucket>"
        yield warning("models.empty", "the index is empty: upload a picture", mend)
        return
    active = next((model for model in models if model.state == "active"), None)
    if active is None:
        mend = "upload a picture: the function registers the model of EMBEDDER; or pixseek reembed"
        yield wrong("models.active", "no model is active: nothing can be searched", mend)
        return
    configured, fault = configured_models(deployment.settings)
    yield from fault
    if not fault:
        yield served_finding(active, configured)
    yield from _same(models, configured)
    yield _covers(active.name, _coverage(deployment, active.name))
    if (target := deployment.facts.target) is not None:
        yield target_finding(target, _coverage(deployment, target.name).missing)


def configured_models(settings: Settings) -> tuple[Mapping[str, EmbeddingModel], Sequence[Finding]]:
    """Those of EMBEDDER and NEXT_EMBEDDER, or what keeps them from being told."""
    try:
        built = [build_embedder(one, Unlimited()) for one in (settings, settings.next_embedding()) if one]
        return {embedder.model.name: embedder.model for embedder in built}, []
    except SettingsError as exc:
        mend = "correct the settings of the embedder (.env.example)"
        return {}, [warning("models.served", f"which model EMBEDDER has cannot be told here: {exc}", mend)]


def served_finding(active: RegisteredModel, configured: Mapping[str, EmbeddingModel]) -> Finding:
    """Or else every search fails."""
    if active.name in configured:
        return ok("models.served", f"searches use {active.name}, and its embedder is configured")
    what = f"searches use {active.name}, and the embedders are for {', '.join(configured)}"
    mend = (
        "set EMBEDDER and CLIP_MODEL to those of the active model, and the new ones as NEXT_EMBEDDER and "
        "NEXT_CLIP_MODEL; then bring the pictures over: pixseek reembed (docs/reembedding.md)"
    )
    return wrong("models.served", what, mend)


def _same(models: Sequence[RegisteredModel], configured: Mapping[str, EmbeddingModel]) -> Iterator[Finding]:
    for model in models:
        if (known := configured.get(model.name)) is not None and model.state != "dropped":
            yield from registration_findings(model, known)


def registration_findings(model: RegisteredModel, known: EmbeddingModel) -> Iterator[Finding]:
    """What a model was registered with is what its manifest says: registering again changes nothing."""
    mend = "update pixseek.models set {} where name = '{}';"
    if model.similarity_floor != known.similarity_floor:
        floor = known.similarity_floor
        what = f"{model.name} has the floor {model.similarity_floor} in the index, and {floor} here"
        yield warning("models.floor", what, mend.format(f"similarity_floor = {floor}", model.name))
    if sorted(model.languages) != sorted(known.languages):
        languages = ",".join(known.languages)
        what = f"{model.name} reads other languages in the index than here: {languages or 'none are named'}"
        yield warning("models.languages", what, mend.format(f"languages = '{{{languages}}}'", model.name))


def _coverage(deployment: Deployment, model: str) -> _Coverage:
    found = deployment.call(_COVERAGE, "model_coverage_v1", model_name=model)
    if not found:
        raise CannotTell(f"nothing is told of what {model} covers", LOOK_AT_PROJECT)
    return found[0]


def _covers(model: str, found: _Coverage) -> Finding:
    lacking = f"{found.missing} pictures have no vector of {model}, which covers {found.coverage:.1%}"
    if found.coverage < LEAST_COVERAGE:
        return wrong("models.coverage", f"{lacking}: no search finds them", _REEMBED)
    if found.missing:
        return warning("models.coverage", lacking, f"they may be on their way; else {_REEMBED}")
    if found.failed:
        what = f"{found.failed} pictures have failed for good under {model}"
        mend = "see why: pixseek failures; try them again: pixseek failures --retry"
        return warning("models.coverage", what, mend)
    return ok("models.coverage", f"{model} covers all {found.vectors} pictures")


def target_finding(target: Target, missing: int) -> Finding:
    """A build that nobody works on."""
    said = f"pictures are being brought to {target.name}, {missing} are left"
    if target.is_worked_on or target.age_s < _HANGS_S:
        return ok("models.target", said)
    days = target.age_s / 86_400
    what = f"{said}; it began {days:.0f} days ago, and nobody works on it"
    if not missing:
        return warning("models.target", what, f"pixseek models activate {target.name}, or {_REEMBED}")
    mend = f"{_REEMBED}; to give it up: take NEXT_CLIP_MODEL back, then pixseek models drop {target.name}"
    return wrong("models.target", what, mend)
