"""Weights for an image: from their folder, or fetched as `pixseek weights pull` does."""

import shutil
from pathlib import Path

from infra.aws.image.choice import Weights
from infra.bundle.errors import BundleError
from infra.weights import WeightsError, pull
from shared.embedding.manifest import FILE_NAME, default_folder, manifest_of
from shared.errors import SettingsError


def copy_weights(weights: Weights, to: Path) -> None:
    """Into the folder of that name below `to`, where the functions look for them. Raises `BundleError`."""
    folder = weights.folder or default_folder(weights.model_id)
    try:
        manifest = manifest_of(folder, weights.model_id)
        names = manifest.file_names()
        if weights.folder is None:
            pull(manifest, folder)
    except (SettingsError, WeightsError) as exc:
        raise BundleError(f"the image lacks the weights of {weights.model_id}: {exc}") from exc
    text = manifest.text
    needed = names - ({text.tokenizer} if text and text.has_clips_tokens else set())
    missing = sorted(name for name in needed if not (folder / name).is_file())
    if missing:
        raise BundleError(
            f"the image lacks weights of {weights.model_id}: {', '.join(missing)} is not in {folder}. Bring "
            "it there, or leave CLIP_MODEL_DIR (of a second text tower CLIP_TEXT_MODEL_DIR) empty and "
            f"`pixseek weights pull {weights.model_id}`."
        )
    target = to / default_folder(weights.model_id).name
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted({*names, FILE_NAME}):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
