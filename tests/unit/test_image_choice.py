"""What goes into a container image, by the variables of a stage."""

from pathlib import Path

import pytest

from infra.aws.image.choice import ImageChoice, Weights
from infra.bundle import BundleError

_B16 = "openai/clip-vit-base-patch16"
_B32 = "openai/clip-vit-base-patch32"
_MULTILINGUAL = "sentence-transformers/clip-ViT-B-32-multilingual-v1"


@pytest.mark.parametrize(
    ("variables", "extras"),
    [
        ({"EMBEDDER": "clip"}, ("clip", "pictures", "search", "supabase-storage")),
        ({"EMBEDDER": "clip", "STORAGE": "s3"}, ("buckets", "clip", "pictures", "search")),
        ({"EMBEDDER": "offline"}, ("offline", "pictures", "search", "supabase-storage")),
        ({"TRACING": "true"}, ("offline", "pictures", "search", "supabase-storage", "tracing")),
        (
            {"EMBEDDER": "roboflow", "NEXT_EMBEDDER": "clip"},
            ("clip", "pictures", "roboflow", "search", "supabase-storage"),
        ),
        (
            {"EMBEDDER": "roboflow", "CLIP_TEXT_MODEL": _MULTILINGUAL},
            ("clip", "pictures", "roboflow", "search", "supabase-storage"),
        ),
    ],
)
def test_an_image_holds_what_its_settings_need(variables: dict[str, str], extras: tuple[str, ...]) -> None:
    assert ImageChoice.of(variables).extras() == extras


@pytest.mark.parametrize(
    ("variables", "weights"),
    [
        ({"EMBEDDER": "offline"}, ()),
        ({"EMBEDDER": "clip"}, (Weights(_B16, None),)),
        ({"EMBEDDER": "clip", "CLIP_MODEL_DIR": "/weights"}, (Weights(_B16, Path("/weights")),)),
        (
            {"EMBEDDER": "clip", "CLIP_MODEL": _B32, "CLIP_TEXT_MODEL": _MULTILINGUAL},
            (Weights(_B32, None), Weights(_MULTILINGUAL, None)),
        ),
        ({"EMBEDDER": "clip", "NEXT_CLIP_MODEL": _B32}, (Weights(_B16, None), Weights(_B32, None))),
        ({"EMBEDDER": "clip", "NEXT_EMBEDDER": "clip"}, (Weights(_B16, None),)),
    ],
)
def test_an_image_holds_the_weights_of_each_model_once(
    variables: dict[str, str], weights: tuple[Weights, ...]
) -> None:
    assert ImageChoice.of(variables).weights() == weights


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"EMBEDDER": "roboflow"}, "no image is needed"),
        ({"ARCHITECTURE": "riscv"}, "choose arm64 or x86_64"),
        ({"STORAGE": "gcs"}, "choose supabase or s3"),
        ({"TRACING": "yes"}, "TRACING=yes is neither true nor false"),
        ({"EMBEDDER": "torch"}, "EMBEDDER"),
    ],
)
def test_what_no_image_can_be_made_for_is_told(variables: dict[str, str], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        ImageChoice.of(variables)
