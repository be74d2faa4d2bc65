"""What is known of a model's weights: its space, its files, and what goes in and comes out of them."""

from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import SettingsError
from shared.images import Resample
from shared.models import EmbeddingModel

FILE_NAME: Final = "manifest.json"
"""In a folder of weights, before what is built in."""
_BUILT_IN: Final = Path(__file__).with_name("manifests")
_CLIP_END: Final = 49407
"""CLIP's end mark, with which it also pads: only its own vocabulary has it there."""

Name = Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
FileName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
Channels = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Space(_Part):
    """The vector space, named after the weights that made it."""

    name: Name
    dimensions: Literal[384, 512, 640, 768, 1024]
    similarity_floor: Annotated[float, Field(ge=-1, le=1)]


class Vision(_Part):
    """The picture tower: `pixel_values` (n, 3, size, size) to vectors."""

    file: FileName
    size_px: Annotated[int, Field(ge=16, le=1024)]
    view: Literal["shorter_side", "stretched"]
    """Shorter side to the size, then the middle; or the whole picture, out of shape."""
    resample: Resample = "bicubic"
    mean: Channels
    std: Channels
    output: str = "image_embeds"


class Text(_Part):
    """The text tower: token ids to vectors."""

    file: FileName
    languages: tuple[str, ...]
    """BCP 47."""
    context_tokens: Annotated[int, Field(ge=3, le=8192)]
    pad_id: int
    pads_to_context: bool = False
    """Whether it was trained on texts padded to the whole context."""
    is_lower_case: bool = False
    """Whether it was trained on lower-cased texts, and its tokenizer does not do that itself."""
    tokenizer: FileName = "tokenizer.json"
    output: str = "text_embeds"
    pooling: Literal["mean"] | None = None
    """How states of tokens become one vector, when the file gives those."""
    projection: FileName | None = None
    """A safetensors file whose `linear.weight` brings the pooled vector into the space."""

    @property
    def has_clips_tokens(self) -> bool:
        """Whether its tokenizer is CLIP's own, which a package carries: the file need not be there."""
        return self.pad_id == _CLIP_END


class SourceFile(_Part):
    """One file of a repository."""

    path: str
    name: FileName
    size_bytes: Annotated[int, Field(gt=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Source(_Part):
    """Where `pixseek weights pull` finds the files: a repository at Hugging Face, at one revision."""

    repository: Name
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    licence: str
    files: tuple[SourceFile, ...]


class Manifest(_Part):
    """One set of weights. `id` names it; a text tower of its own has the space of the model it serves."""

    id: Name
    precision: Literal["fp32", "int8"]
    space: Space
    vision: Vision | None = None
    text: Text | None = None
    roboflow_version: str | None = None
    """What Roboflow calls the same weights."""
    source: Source | None = None
    """None for weights that only a provider runs, or that somebody exported."""

    def file_names(self) -> set[str]:
        """The files that its towers are read from."""
        names = {self.vision.file} if self.vision else set()
        if self.text:
            names |= {self.text.file, self.text.tokenizer, *filter(None, [self.text.projection])}
        return names

    def model(self) -> EmbeddingModel:
        """As the index registers it."""
        text = self.text
        return EmbeddingModel(
            self.space.name,
            self.space.dimensions,
            self.space.similarity_floor,
            text.languages if text else (),
            text.context_tokens if text else None,
        )


@cache
def built_in() -> dict[str, Manifest]:
    """The manifests that come with pixseek, by id."""
    found = [read_manifest(path) for path in sorted(_BUILT_IN.glob("*.json"))]
    return {manifest.id: manifest for manifest in found}


def manifest_named(model_id: str) -> Manifest:
    """A manifest that comes with pixseek. Raises `SettingsError` that lists them."""
    try:
        return built_in()[model_id]
    except KeyError:
        raise SettingsError(
            f"unknown weights: {model_id}. Known are {', '.join(built_in())}; for others put a {FILE_NAME} "
            "into their folder."
        ) from None


def default_folder(model_id: str) -> Path:
    """Where `pixseek weights pull` puts weights."""
    return Path.home() / ".cache" / "pixseek" / model_id.replace("/", "--")


def manifest_of(folder: Path, model_id: str) -> Manifest:
    """The folder's own manifest, else the one of this id. Raises `SettingsError`."""
    own = folder / FILE_NAME
    return read_manifest(own) if own.exists() else manifest_named(model_id)


def read_manifest(path: Path) -> Manifest:
    """Raises `SettingsError` that says what is wrong."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise SettingsError(f"cannot read {path}: {exc.strerror}") from exc
    except ValidationError as exc:
        wrong = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'as a whole'}: {error['msg']}" for error in exc.errors()
        )
        raise SettingsError(f"{path} is no manifest of weights: {wrong}") from exc
