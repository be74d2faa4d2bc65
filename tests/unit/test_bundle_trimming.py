"""What no function reads stays out of a bundle; what one reads stays in."""

from pathlib import Path

import pytest

from infra.bundle.trimming import UNREAD, is_unread, trim
from tests.shared_objects import ARM64, shared_object


@pytest.mark.parametrize(
    "path",
    [
        "bin/httpx",
        "pydantic/v1/main.py",
        "pydantic_core/_pydantic_core.pyi",
        "certifi/tests/test_certify.py",
        "certifi/py.typed",
        "clip/clip.py",
        "clip/__init__.py",
        "httpx-0.28.1.dist-info/RECORD",
        "PIL/_imagingft.cpython-313-aarch64-linux-gnu.so",
        "aws_lambda_powertools/event_handler/openapi/swagger_ui/swagger-ui-bundle.min.js",
        "aws_lambda_powertools/utilities/parameters/ssm.py",
    ],
)
def test_what_no_function_reads_goes(path: str) -> None:
    assert is_unread(path)


@pytest.mark.parametrize(
    "path",
    [
        "pydantic/main.py",
        "clip/bpe_simple_vocab_16e6.txt.gz",
        "certifi/cacert.pem",
        "_cffi_backend.cpython-313-aarch64-linux-gnu.so",
        "httpx-0.28.1.dist-info/METADATA",
        "PIL/_imagingcms.cpython-313-aarch64-linux-gnu.so",
        "aws_lambda_powertools/event_handler/openapi/swagger_ui/oauth2.py",
        "aws_lambda_powertools/utilities/batch/types.py",
    ],
)
def test_what_one_reads_stays(path: str) -> None:
    assert not is_unread(path)


def test_each_row_of_the_table_has_a_reason() -> None:
    assert all(UNREAD.values())


def test_folders_that_held_nothing_else_go_too(tmp_path: Path) -> None:
    (tmp_path / "certifi" / "tests" / "deep").mkdir(parents=True)
    (tmp_path / "certifi" / "tests" / "deep" / "test.py").touch()
    (tmp_path / "certifi" / "core.py").touch()

    trim(tmp_path)

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["certifi", "core.py"]


def test_libraries_stay_that_a_module_leads_to_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "PIL").mkdir()
    (tmp_path / "pillow.libs").mkdir()
    libraries = tmp_path / "pillow.libs"
    (tmp_path / "PIL" / "_imaging.so").write_bytes(shared_object(ARM64, "libtiff.so.6", "libc.so.6"))
    (tmp_path / "PIL" / "_imagingft.so").write_bytes(shared_object(ARM64, "libfreetype.so.6", "libzstd.so.1"))
    (libraries / "libtiff.so.6").write_bytes(shared_object(ARM64, "libzstd.so.1"))
    (libraries / "libzstd.so.1").write_bytes(shared_object(ARM64))
    (libraries / "libfreetype.so.6").write_bytes(shared_object(ARM64, "libharfbuzz.so.0"))
    (libraries / "libharfbuzz.so.0").write_bytes(shared_object(ARM64, "libfreetype.so.6"))

    trim(tmp_path)

    assert sorted(path.name for path in libraries.iterdir()) == ["libtiff.so.6", "libzstd.so.1"]
