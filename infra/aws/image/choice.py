"""What a deployment chose, and what its image holds for that: extras of the project, and weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.bundle.choice import Architecture, architecture_of, is_true, storage_of
from infra.bundle.errors import BundleError
from infra.bundle.extras import EXTRA_OF_STORAGE
from shared.errors import SettingsError
from shared.settings import EmbeddingSettings, parse_embedding_settings


@dataclass(frozen=True, slots=True)
class Weights:
    """Of one model: its id, and where they are if not at the usual place."""

    model_id: str
    folder: Path | None


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """The settings that decide what is inside."""

    arch: Architecture
    storage: str
    embedders: tuple[EmbeddingSettings, ...]
    """The active one, and that of the model to come."""
    is_traced: bool = False

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "ImageChoice":
        """From a deployment's variables. Raises `BundleError` for what no image is needed or made for."""
        choice = cls(
            architecture_of(variables),
            storage_of(variables),
            tuple(_embedders(variables)),
            is_true(variables, "TRACING", usually="false"),
        )
        if not choice.is_local:
            raise BundleError("Roboflow runs the model: no image is needed. `make package` makes the zips.")
        return choice

    @property
    def is_local(self) -> bool:
        """Whether a model runs inside."""
        return any(each.embedder != "roboflow" or each.clip_text_model for each in self.embedders)

    @property
    def is_offline(self) -> bool:
        """Whether the offline embedder is among them."""
        return any(each.embedder == "offline" for each in self.embedders)

    def extras(self) -> tuple[str, ...]:
        """The names of pyproject.toml's extras, sorted: one image serves all functions."""
        extras = {"search", "pictures", EXTRA_OF_STORAGE[self.storage]}
        extras |= {each.embedder for each in self.embedders}
        if self.weights():
            extras.add("clip")
        if self.is_traced:
            extras.add("tracing")
        return tuple(sorted(extras))

    def weights(self) -> tuple[Weights, ...]:
        """Those that come as files; the offline embedder's come with its packages."""
        found = []
        for each in self.embedders:
            if each.embedder == "clip":
                found.append(Weights(each.clip_model, each.clip_model_dir))
            if each.clip_text_model:
                found.append(Weights(each.clip_text_model, each.clip_text_model_dir))
        return tuple(dict.fromkeys(found))


def _embedders(variables: Mapping[str, str]) -> Iterator[EmbeddingSettings]:
    """As `Settings.next_embedding` has it, which would ask for a project, too."""
    # Whether there is a key is a matter for the functions.
    given = {**variables, "ROBOFLOW_API_KEY": variables.get("ROBOFLOW_API_KEY") or "not needed here"}
    own = {name: value for name, value in given.items() if not name.startswith("NEXT_")}
    coming = {
        name.removeprefix("NEXT_"): value
        for name, value in given.items()
        if name.startswith("NEXT_") and value
    }
    try:
        yield parse_embedding_settings(own)
        if coming:
            shared = {name: own[name] for name in ("EMBEDDER", "ROBOFLOW_API_KEY") if own.get(name)}
            yield parse_embedding_settings({**shared, **coming})
    except SettingsError as exc:
        raise BundleError(str(exc)) from exc
