"""The adapter's part for models: which there are, what they cover, and the work that is handed out."""

from collections.abc import Collection, Sequence

from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared.database.answers import NOTHING
from shared.database.search import SearchDatabase
from shared.models import EmbeddingModel, ObjectRef, Provider
from shared.registered import Claim, Coverage, Estimate, ModelState, RegisteredModel


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _ModelRow(_Row):
    name: str
    dimensions: int
    state: ModelState
    is_target: bool
    is_guides: bool
    vectors: int
    retired_for_s: float | None


class _CoverageRow(_Row):
    coverage: float
    vectors: int
    missing: int
    failed: int


class _ClaimRow(_Row):
    image_id: int
    bucket: str
    name: str
    ordering_key: str
    content_hash: str | None


_STATE: TypeAdapter[ModelState] = TypeAdapter(ModelState)
_MODELS = TypeAdapter(list[_ModelRow])
_COVERAGE = TypeAdapter(list[_CoverageRow])
_ESTIMATE = TypeAdapter(list[Estimate])
_CLAIMS = TypeAdapter(list[_ClaimRow])
_TEXTS = TypeAdapter(list[str])


class Registry:
    """A `ModelRegistry` over one Supabase project."""

    def __init__(self, database: SearchDatabase, *, provider: Provider) -> None:
        """`provider`: whose pictures are handed out."""
        self._database = database
        self._provider = provider

    def aim(self, model: EmbeddingModel) -> ModelState:
        """Register a model, and make it the one that pictures are brought to if it is being built."""
        arguments = {
            "model_name": model.name,
            "model_dimensions": model.dimensions,
            "model_similarity_floor": model.similarity_floor,
            "model_languages": list(model.languages),
        }
        return self._database.write("aim_at_model_v1", arguments, _STATE)

    def models(self) -> Sequence[RegisteredModel]:
        """All, the oldest first."""
        rows = self._database.write("list_models_v2", {}, _MODELS)
        return [RegisteredModel(**row.model_dump()) for row in rows]

    def coverage(self, model: str) -> Coverage:
        """How much of the index a model covers."""
        [row] = self._database.write("model_coverage_v1", {"model_name": model}, _COVERAGE)
        return Coverage(row.coverage, row.vectors, row.missing, row.failed)

    def estimate(self, model: str | None) -> Estimate:
        """What it takes to bring a model to all pictures; None is one that the index does not know yet."""
        [estimate] = self._database.write("reembed_estimate_v1", {"model_name": model}, _ESTIMATE)
        return estimate

    def activate(self, model: str, *, least_coverage: float) -> None:
        """Make a model the one that searches use."""
        arguments = {"model_name": model, "min_coverage": least_coverage}
        self._database.write("activate_model_v1", arguments, NOTHING)

    def drop(self, model: str) -> None:
        """Remove a model's vectors."""
        self._database.write("drop_model_v1", {"model_name": model}, NOTHING)

    def claim(
        self, model: str, count: int, *, lease_s: int, buckets: Collection[str] = ()
    ) -> Sequence[Claim]:
        """Up to so many pictures without a vector of a model, leased to the caller."""
        arguments = {
            "model": model,
            "n": count,
            "lease_s": lease_s,
            "provider": self._provider,
            "bucket_names": sorted(buckets) or None,
        }
        rows = self._database.write("claim_images_v2", arguments, _CLAIMS)
        return [
            Claim(row.image_id, ObjectRef(row.bucket, row.name), row.ordering_key, row.content_hash)
            for row in rows
        ]

    def give_back(self, claims: Sequence[Claim], *, model: str) -> None:
        """Leave claims to whoever comes next, with the tries that they had before."""
        arguments = {"image_ids": [claim.image_id for claim in claims], "model_name": model}
        self._database.write("return_images_v1", arguments, NOTHING)

    def asked_most(self, model: str, count: int) -> Sequence[str]:
        """The texts that are asked most among those that a model does not remember."""
        arguments = {"model_name": model, "match_count": count}
        return self._database.write("asked_most_v1", arguments, _TEXTS)
