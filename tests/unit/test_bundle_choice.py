"""What a deployment chooses decides what a bundle holds; what does not fit is refused with a way out."""

import pytest

from infra.bundle.choice import Choice
from infra.bundle.errors import BundleError
from infra.bundle.extras import may_be_absent


@pytest.mark.parametrize(
    ("function", "choice", "extras"),
    [
        ("search_images", Choice(), ("pictures", "roboflow", "search", "supabase-storage")),
        ("search_images", Choice(picture_queries=False), ("roboflow", "search", "supabase-storage")),
        ("index_image", Choice(picture_queries=False), ("pictures", "roboflow", "supabase-storage")),
        ("reembed_images", Choice(storage="s3"), ("buckets", "pictures", "roboflow")),
        ("audit_index", Choice(tracing=True), ("pictures", "roboflow", "supabase-storage", "tracing")),
        ("audit_index", Choice(next_embedder="roboflow"), ("pictures", "roboflow", "supabase-storage")),
    ],
)
def test_a_function_needs_the_extras_of_its_work_and_of_the_choice(
    function: str, choice: Choice, extras: tuple[str, ...]
) -> None:
    assert choice.extras(function) == extras


def test_what_a_choice_does_not_take_and_what_lambda_has_may_be_absent() -> None:
    absent = may_be_absent(Choice(picture_queries=False).extras("search_images"))

    assert {"boto3", "botocore", "PIL", "obstore", "aws_xray_sdk", "numpy"} <= set(absent)
    assert not {"jwt", "requests", "storage3", "httpx", "pydantic"} & set(absent)


def test_what_two_extras_bring_is_not_absent_with_one_of_them() -> None:
    assert "onnxruntime" not in may_be_absent(("clip",))
    assert "onnx" in may_be_absent(("clip",))


def test_an_unknown_function_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BundleError, match="no function 'search': choose from search_images, index_image"):
        Choice().extras("search")


def test_a_choice_is_read_from_the_variables_of_a_deployment() -> None:
    variables = {
        "ARCHITECTURE": "x86_64",
        "EMBEDDER": "roboflow",
        "STORAGE": "s3",
        "PICTURE_QUERIES": "false",
        "TRACING": "true",
        "NEXT_EMBEDDER": "roboflow",
        "AUTH": "public",
    }

    choice = Choice.of(variables)

    assert choice == Choice(
        "x86_64", "roboflow", "s3", picture_queries=False, tracing=True, next_embedder="roboflow"
    )


def test_an_empty_variable_is_as_good_as_none() -> None:
    variables = {
        "ARCHITECTURE": "",
        "EMBEDDER": "roboflow",
        "STORAGE": "",
        "TRACING": "",
        "CLIP_TEXT_MODEL": "",
    }

    assert Choice.of(variables) == Choice()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"EMBEDDER": "clip"},
        {"EMBEDDER": "offline"},
        {"EMBEDDER": "roboflow", "NEXT_EMBEDDER": "clip"},
        {"EMBEDDER": "roboflow", "CLIP_TEXT_MODEL": "a/text-tower"},
        {"EMBEDDER": "roboflow", "NEXT_CLIP_TEXT_MODEL": "a/text-tower"},
    ],
)
def test_a_model_that_runs_in_the_function_is_sent_to_the_image(variables: dict[str, str]) -> None:
    with pytest.raises(BundleError, match=r"container image instead: infra/aws/image/Dockerfile"):
        Choice.of(variables)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ARCHITECTURE": "arm"}, "choose arm64 or x86_64"),
        ({"EMBEDDER": "clop"}, "no embedder 'clop': choose roboflow"),
        ({"STORAGE": "gcs"}, "STORAGE=gcs .* choose supabase or s3"),
        ({"PICTURE_QUERIES": "maybe"}, "PICTURE_QUERIES=maybe is neither true nor false"),
        ({"TRACING": "1"}, "TRACING=1 is neither true nor false"),
        ({"TRACING": "True"}, "TRACING=True is neither true nor false"),
    ],
)
def test_what_lambda_or_the_project_has_not_is_refused_with_what_they_have(
    variables: dict[str, str], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        Choice.of({"EMBEDDER": "roboflow", **variables})
