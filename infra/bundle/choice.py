"""What a deployment chose, and which of the project's extras its functions need for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast, get_args

from infra.bundle.errors import BundleError
from infra.bundle.extras import EXTRA_OF_STORAGE

Architecture: TypeAlias = Literal["arm64", "x86_64"]

ENTRIES: Final[Mapping[str, tuple[str, ...]]] = {
    "search_images": ("aws.handler",),
    "index_image": ("aws.index_queued_events", "aws.index_storage_events", "aws.index_supabase_webhook"),
    "reembed_images": ("aws.handler",),
    "audit_index": ("aws.handler",),
}
"""The functions, and what Lambda may call in each."""

IMAGE_RECIPE: Final = "infra/aws/image"

_EXTRA_OF_EMBEDDER: Final = {"roboflow": "roboflow"}
_TOO_LARGE: Final = {"clip", "offline"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings of a deployment that decide which packages its functions need."""

    arch: Architecture = "arm64"
    embedder: str = "roboflow"
    storage: str = "supabase"
    picture_queries: bool = True
    tracing: bool = False
    next_embedder: str | None = None
    clip_text_model: str | None = None

    def __post_init__(self) -> None:
        """Raises `BundleError` for what cannot be bundled."""
        for name in self._embedders():
            _check_embedder(name)
        if self.clip_text_model:
            raise BundleError(f"CLIP_TEXT_MODEL runs on this machine, as EMBEDDER=clip does. {_use_image()}")

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Choice":
        """From a deployment's variables, with the functions' own defaults. Raises `BundleError`."""
        return cls(
            arch=architecture_of(variables),
            embedder=variables.get("EMBEDDER") or "offline",
            storage=storage_of(variables),
            picture_queries=is_true(variables, "PICTURE_QUERIES", usually="true"),
            tracing=is_true(variables, "TRACING", usually="false"),
            next_embedder=variables.get("NEXT_EMBEDDER") or None,
            clip_text_model=variables.get("CLIP_TEXT_MODEL") or variables.get("NEXT_CLIP_TEXT_MODEL") or None,
        )

    def extras(self, function: str) -> tuple[str, ...]:
        """The names of pyproject.toml's extras, sorted. Raises `BundleError` for an unknown function."""
        if function not in ENTRIES:
            raise BundleError(f"there is no function {function!r}: choose from {', '.join(ENTRIES)}")
        extras = {EXTRA_OF_STORAGE[self.storage], *(_EXTRA_OF_EMBEDDER[name] for name in self._embedders())}
        if function == "search_images":
            extras.add("search")
        if function != "search_images" or self.picture_queries:
            extras.add("pictures")
        if self.tracing:
            extras.add("tracing")
        return tuple(sorted(extras))

    def _embedders(self) -> tuple[str, ...]:
        return (self.embedder, self.next_embedder) if self.next_embedder else (self.embedder,)


def architecture_of(variables: Mapping[str, str]) -> Architecture:
    """Raises `BundleError`."""
    arch = variables.get("ARCHITECTURE") or "arm64"
    if arch not in get_args(Architecture):
        raise BundleError(f"Lambda has no architecture {arch!r}: choose arm64 or x86_64")
    return cast(Architecture, arch)


def storage_of(variables: Mapping[str, str]) -> str:
    """Raises `BundleError`."""
    storage = variables.get("STORAGE") or "supabase"
    if storage not in EXTRA_OF_STORAGE:
        raise BundleError(f"STORAGE={storage} is none of AWS's functions: choose supabase or s3")
    return storage


def is_true(variables: Mapping[str, str], name: str, *, usually: str) -> bool:
    """Raises `BundleError`."""
    value = variables.get(name) or usually
    if value not in ("true", "false"):
        raise BundleError(f"{name}={value} is neither true nor false")
    return value == "true"


def _check_embedder(name: str) -> None:
    if name in _TOO_LARGE:
        raise BundleError(
            f"EMBEDDER={name} does not fit in a zip: its packages and weights are larger than the 250 MB "
            f"that Lambda unpacks. {_use_image()}"
        )
    if name not in _EXTRA_OF_EMBEDDER:
        raise BundleError(f"there is no embedder {name!r}: choose roboflow, or clip in a container image")


def _use_image() -> str:
    return f"Deploy a container image instead: {IMAGE_RECIPE}/Dockerfile. Or choose EMBEDDER=roboflow."
