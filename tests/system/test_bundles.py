"""The zips that are deployed: what is in them, for both architectures, and that they hold together."""

import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from infra.bundle import BundleError, Choice, build
from infra.bundle.building import check_size, read_facts
from infra.bundle.choice import Architecture
from infra.bundle.elf import read_shared_object
from infra.bundle.interpreter import lambda_python
from infra.bundle.locked import LEFT_OUT, read_lock
from infra.bundle.smoke import runs_here, smoke
from infra.local.home import ROOT

_UNCHECKED: Final = 1
"""The flags of a compiled file whose source is never looked at. Source: PEP 552."""
_MAGIC_OF_3_13: Final = struct.pack("<H2s", 3571, b"\r\n")

Built = Callable[[str, Choice], Path]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Builds a zip once, for all tests that ask for the same."""

    @cache
    def once(function: str, choice: Choice) -> Path:
        return build(function, choice, tmp_path_factory.mktemp("bundles"))

    return once


@pytest.fixture(
    scope="module",
    params=[
        ("arm64", "search_images"),
        ("arm64", "index_image"),
        ("x86_64", "search_images"),
        ("x86_64", "index_image"),
        ("x86_64", "reembed_images"),
        ("x86_64", "audit_index"),
    ],
    ids="-".join,
)
def bundle(request: pytest.FixtureRequest, built: Built) -> Path:
    """The zip of a function, as it is by default."""
    arch, function = request.param
    return built(function, Choice(arch))


@pytest.fixture(scope="module", params=get_args(Architecture))
def text_search(request: pytest.FixtureRequest, built: Built) -> Path:
    """The search for which nobody brings pictures."""
    return built("search_images", Choice(request.param, picture_queries=False))


@pytest.fixture(scope="module")
def here() -> Architecture:
    """The architecture of this machine."""
    return next(each for each in get_args(Architecture) if runs_here(each))


def _arch(bundle: Path) -> Architecture:
    arch: Architecture = read_facts(bundle)["arch"]
    return arch


def _names(bundle: Path) -> list[str]:
    with zipfile.ZipFile(bundle) as archive:
        return archive.namelist()


def _files(bundle: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(bundle) as archive:
        yield from ((name, archive.read(name)) for name in archive.namelist() if name.endswith(suffix))


def _packages(bundle: Path) -> dict[str, str]:
    packages: dict[str, str] = read_facts(bundle)["packages"]
    return packages


def test_a_bundle_holds_its_function_shared_its_packages_and_nothing_else(bundle: Path) -> None:
    ours = {name for name in _names(bundle) if name.startswith("functions/")}

    assert {name.split("/")[1] for name in ours} == {"__init__.py", "__pycache__", bundle.stem}
    assert f"functions/{bundle.stem}/aws.py" in ours
    assert f"functions/{bundle.stem}/gcp.py" not in ours
    assert "shared/wiring.py" in _names(bundle)
    assert not [name for name in _names(bundle) if name.startswith(("infra/", "tests/", "benchmarks/"))]


def test_its_packages_are_those_of_the_lock(bundle: Path) -> None:
    arch = _arch(bundle)
    locked = read_lock(Choice(arch).extras(bundle.stem), arch)

    assert _packages(bundle) == dict(locked.versions)


def test_no_folder_belongs_to_no_package(bundle: Path) -> None:
    known = {name.replace("-", "_") for name in _packages(bundle)}
    known |= {"functions", "shared", "licences", "sbom.cdx.json"}
    known |= {"PIL", "clip", "jwt", "_cffi_backend", "_pi_heif"}  # named otherwise than their packages

    found = {name.split("/")[0].split(".")[0].split("-")[0] for name in _names(bundle)} - {"sbom"}

    assert found <= known


def test_search_has_what_reads_tokens_and_forms_and_the_others_have_not(bundle: Path) -> None:
    own = {"pyjwt", "cryptography", "python-multipart"}

    assert own & set(_packages(bundle)) == (own if bundle.stem == "search_images" else set())


def test_nothing_of_the_other_choices_is_inside(bundle: Path) -> None:
    others = {
        "obstore",
        "aws-xray-sdk",
        "numpy",
        "onnxruntime",
        "tokenizers",
        "functions-framework",
        "supabase",
    }

    assert not (others | set(LEFT_OUT)) & set(_packages(bundle))


def test_a_search_without_pictures_has_no_decoder(text_search: Path) -> None:
    assert not {"pillow", "pi-heif"} & set(_packages(text_search))
    assert not [name for name in _names(text_search) if name.startswith(("PIL/", "pi_heif", "pillow"))]


def test_compiled_files_are_for_lambdas_python_and_never_compared_with_sources(bundle: Path) -> None:
    heads = {content[:8] for _, content in _files(bundle, ".pyc")}

    assert heads == {_MAGIC_OF_3_13 + struct.pack("<I", _UNCHECKED)}


def test_every_own_source_has_its_compiled_file(bundle: Path) -> None:
    names = set(_names(bundle))
    sources = [Path(name) for name in names if name.endswith(".py")]

    missing = [
        str(path) for path in sources if f"{path.parent}/__pycache__/{path.stem}.cpython-313.pyc" not in names
    ]

    assert missing == []
    assert {path.parts[0] for path in sources} == {"functions", "shared"}


@pytest.mark.parametrize("suffix", [".pyc", ".json", ".txt"])
def test_no_path_of_this_machine_is_inside(bundle: Path, suffix: str) -> None:
    places = [str(ROOT).encode(), str(Path.home()).encode() + b"/", b"/tmp/", b"pixseek-bundle"]

    found = [name for name, content in _files(bundle, suffix) for place in places if place in content]

    assert found == []


def test_tracebacks_name_the_places_of_lambda(bundle: Path) -> None:
    compiled = dict(_files(bundle, ".pyc"))

    assert b"/var/task/shared/wiring.py" in compiled["shared/__pycache__/wiring.cpython-313.pyc"]
    assert b"/var/task/pydantic/main.py" in compiled["pydantic/main.pyc"]


def test_shared_objects_are_for_the_architecture(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path)
    objects = [path for path in tmp_path.rglob("*") if ".so" in path.name]

    machines = {found.machine for path in objects if (found := read_shared_object(path))}

    assert len(objects) > 10
    assert machines == {_arch(bundle)}


def test_every_bundled_library_that_is_needed_is_there(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path)
    objects = [
        found for path in tmp_path.rglob("*") if path.is_file() and (found := read_shared_object(path))
    ]
    needed = {name for each in objects for name in each.needed}

    # Wheels rename the libraries that they bring: libtiff-20b7e810.so.6. The others are the system's.
    brought = {name for name in needed if "-" in name.split(".so")[0] and not name.startswith("ld-linux")}

    assert brought == {path.name for path in tmp_path.glob("*.libs/*")}


def test_nothing_hidden_or_secret_is_inside(bundle: Path) -> None:
    names = [Path(name) for name in _names(bundle)]

    assert not [name for name in names if any(part.startswith(".") for part in name.parts)]
    assert not [name for name in names if name.suffix in {".env", ".key", ".log"}]
    assert [str(name) for name in names if name.suffix == ".pem"] == ["certifi/cacert.pem"]
    assert not [name for name, content in _files(bundle, ".json") if b"service_role" in content]


def test_each_package_has_its_licence_or_is_named_without(bundle: Path) -> None:
    names = _names(bundle)
    with zipfile.ZipFile(bundle) as archive:
        overview = archive.read("licences/README.txt").decode().splitlines()[3:]
    rows = dict(row.split(" ", 1) for row in overview if row)

    assert rows.keys() == _packages(bundle).keys()
    assert {name for name, row in rows.items() if row.endswith("(its wheel brings no text)")} == {
        name for name in rows if not any(file.startswith(f"licences/{name}/") for file in names)
    }
    assert "licences/pixseek/LICENSE" in names
    assert rows["httpx"] == f"{_packages(bundle)['httpx']}: BSD-3-Clause (httpx/)"


def test_the_bill_of_materials_lists_what_is_inside(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        document: dict[str, Any] = json.loads(archive.read("sbom.cdx.json"))

    listed = {each["name"]: each["version"] for each in document["components"]}
    refs = {each["bom-ref"] for each in document["components"]}

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert listed == _packages(bundle)
    assert all(each["licenses"] for each in document["components"])
    assert refs >= {other for each in document["dependencies"] for other in each["dependsOn"]}
    assert "timestamp" not in document["metadata"]
    assert "serialNumber" not in document


def test_metadata_of_packages_can_still_be_asked_for(bundle: Path) -> None:
    kept = {name.split("/")[0] for name in _names(bundle) if name.endswith(".dist-info/METADATA")}

    assert len(kept) == len(_packages(bundle))


def test_two_builds_have_the_same_bytes(
    text_search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.bundle.packages.CACHE", tmp_path / "cache")

    again = build("search_images", Choice(_arch(text_search), picture_queries=False), tmp_path)

    assert again.read_bytes() == text_search.read_bytes()


def test_times_and_rights_are_fixed_and_names_sorted(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        entries = archive.infolist()

    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644, 0o100755}
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)


def test_a_search_for_texts_alone_is_small(text_search: Path) -> None:
    assert text_search.stat().st_size <= 15e6


@pytest.mark.parametrize("arch", get_args(Architecture))
def test_a_search_with_pictures_is_small_too(arch: Architecture, built: Built) -> None:
    assert built("search_images", Choice(arch)).stat().st_size <= 22.4e6


def test_what_is_inside_is_told_beside_the_zip(bundle: Path) -> None:
    facts = read_facts(bundle)

    assert (facts["function"], facts["python"]) == (bundle.stem, "3.13")
    assert (facts["embedder"], facts["storage"]) == ("roboflow", "supabase")
    assert facts["zip_bytes"] == bundle.stat().st_size
    assert facts["unzipped_bytes"] > facts["zip_bytes"]


def test_buckets_and_traces_come_only_when_they_are_chosen(here: Architecture, built: Built) -> None:
    traced = set(_packages(built("audit_index", Choice(here, storage="s3", tracing=True))))

    assert {"obstore", "aws-xray-sdk"} <= traced
    assert not {"storage3", "botocore"} & traced


def test_what_belongs_to_another_choice_may_be_absent(
    here: Architecture, built: Built, tmp_path: Path
) -> None:
    whole = built("search_images", Choice(here))
    blind = _without(whole, "PIL/", tmp_path / "search_images.zip")

    smoke(blind, "search_images", Choice(here, picture_queries=False))
    with pytest.raises(BundleError, match="No module named 'PIL'"):
        smoke(blind, "search_images", Choice(here))


def test_a_traced_function_needs_nothing_that_patches_and_no_botocore(
    here: Architecture, built: Built, tmp_path: Path
) -> None:
    with zipfile.ZipFile(built("audit_index", Choice(here, storage="s3", tracing=True))) as archive:
        archive.extractall(tmp_path)
    on_lambda = {"LAMBDA_TASK_ROOT": "/var/task", "_X_AMZN_TRACE_ID": "Root=1-2-3;Parent=4;Sampled=1"}

    done = subprocess.run(
        [lambda_python(), "-S", "-B", "-c", _TRACED],
        cwd=tmp_path,
        env=on_lambda,
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["answered", "True", "False"], done.stderr


_TRACED: Final = """
import sys
from types import SimpleNamespace
from shared.telemetry import traced
answer = traced(lambda event, context: "answered")({}, SimpleNamespace(function_name="audit"))
print(answer, "aws_xray_sdk.core" in sys.modules, "botocore" in sys.modules)
"""


def _without(bundle: Path, prefix: str, target: Path) -> Path:
    with zipfile.ZipFile(bundle) as whole, zipfile.ZipFile(target, "w") as rest:
        for name in whole.namelist():
            if not name.startswith(prefix):
                rest.writestr(name, whole.read(name))
    return target


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("pydantic/", "No module named 'pydantic'"),
        ("PIL/ImageOps", "cannot import name 'ImageOps' from 'PIL'|PIL.*ImageOps"),
        ("PIL/_imaging.", "_imaging"),
        ("requests/adapters", "requests: No module named 'requests.adapters'"),
        ("requests/", "requests: No module named 'requests'"),
        ("certifi/", "requests: No module named 'certifi'"),
    ],
    ids=[
        "at import",
        "a module that is imported later",
        "a shared object",
        "inside a package",
        "a package that is imported later",
        "what such a package needs",
    ],
)
def test_a_bundle_that_lacks_something_is_not_let_through(
    left_out: str, message: str, here: Architecture, built: Built, tmp_path: Path
) -> None:
    broken = _without(built("search_images", Choice(here)), left_out, tmp_path / "search_images.zip")

    with pytest.raises(BundleError, match=message):
        smoke(broken, "search_images", Choice(here))


def test_more_than_lambda_unpacks_is_refused() -> None:
    with pytest.raises(BundleError, match=r"263 MB unpacked, and Lambda unpacks 250 MB.*container image"):
        check_size("search_images", 250 * 1024 * 1024 + 1_000_000)


def test_the_command_says_what_it_takes() -> None:
    done = _run("--help")

    assert done.returncode == 0
    assert {"--arch", "--storage", "--picture-queries", "--tracing", "--audit"} <= set(done.stdout.split())


def test_the_command_ends_with_one_message_for_what_does_not_fit_in_a_zip() -> None:
    done = _run("--embedder", "clip")

    assert done.returncode == 1
    assert done.stderr.startswith("error: EMBEDDER=clip does not fit in a zip")
    assert "infra/aws/image/Dockerfile" in done.stderr


def test_another_python_than_lambdas_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    done = _run("--function", "audit_index", "--out", str(tmp_path), LAMBDA_PYTHON="/usr/bin/env")

    assert done.returncode == 1
    assert "/usr/bin/env was not found, or does not run. Install Python 3.13" in done.stderr
    assert not list(tmp_path.rglob("*.zip"))


def test_the_audit_says_so_when_nobody_answers() -> None:
    done = _run("--audit", PIP_INDEX_URL="http://127.0.0.1:9/", HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="")

    assert done.returncode == 0
    assert "vulnerabilities: not checked, the advisory database does not answer" in done.stdout


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m infra.bundle`, in a wide terminal and without settings of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LAMBDA_PYTHON") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "infra.bundle", *arguments],
        cwd=ROOT,
        env={**kept, "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
