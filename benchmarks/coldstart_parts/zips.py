"""The zips that are measured: ours as they are deployed, the plain handlers' as pip lays them."""

import hashlib
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from infra.bundle import Choice, build, lambda_python
from infra.bundle.locked import run_uv
from infra.debian import CACHE, filled_once
from infra.local.home import ROOT

_PLAIN_NEEDS: Final = ROOT / "benchmarks" / "peers" / "plain_lambda.txt"
_HANDLERS: Final = Path(__file__).parent
_EXPORT: Final = ("export", "--quiet", "--frozen", "--all-extras", "--all-groups", "--no-emit-project")
_NO_NOTES: Final = ("--no-hashes", "--no-annotate", "--no-header")


@dataclass(frozen=True, slots=True)
class Zip:
    """A function's code, and how large it is."""

    path: Path
    zip_mb: float
    unzipped_mb: float


@dataclass(frozen=True, slots=True)
class Zips:
    """Of one run, all for this machine's architecture."""

    search: Zip
    search_text_only: Zip
    index: Zip
    index_s3: Zip
    reembed: Zip
    audit: Zip
    plain_search: Zip
    plain_index: Zip
    empty: Zip


def made(folder: Path) -> Zips:
    """Built anew. Raises `BundleError`."""
    choice = Choice(arch="x86_64", embedder="roboflow", storage="supabase")
    text_only = Choice(arch="x86_64", embedder="roboflow", storage="supabase", picture_queries=False)
    on_s3 = Choice(arch="x86_64", embedder="roboflow", storage="s3")
    packages = _plain_packages()
    return Zips(
        search=_sized(build("search_images", choice, folder)),
        search_text_only=_sized(build("search_images", text_only, folder / "text-only")),
        index=_sized(build("index_image", choice, folder)),
        index_s3=_sized(build("index_image", on_s3, folder / "s3")),
        reembed=_sized(build("reembed_images", choice, folder)),
        audit=_sized(build("audit_index", choice, folder)),
        plain_search=_sized(_zipped(folder / "plain_search.zip", packages, "plain_search.py")),
        plain_index=_sized(_zipped(folder / "plain_index.zip", packages, "plain_index.py")),
        empty=_sized(_zipped(folder / "empty.zip", None, "empty.py")),
    )


def _plain_packages() -> Path:
    """In our own versions, so that no contender has older or newer ones."""
    versions = run_uv(*_EXPORT, *_NO_NOTES)
    wanted = f"{lambda_python()}\n{_PLAIN_NEEDS.read_text()}\n{versions}"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    return filled_once(CACHE / f"plain-lambda-{digest[:12]}", partial(_install, versions=versions))


def _install(folder: Path, versions: str) -> None:
    constraints = folder.parent / "versions.txt"
    constraints.write_text(versions)
    where = ("--target", str(folder), "--python", str(lambda_python()))
    what = ("--requirement", str(_PLAIN_NEEDS), "--constraint", str(constraints))
    run_uv("pip", "install", "--quiet", "--only-binary", ":all:", *where, *what)


def _zipped(path: Path, packages: Path | None, handler: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.write(_HANDLERS / handler, handler)
        for file in sorted(packages.rglob("*")) if packages else ():
            if file.is_file() and file.suffix != ".pyc":
                archive.write(file, file.relative_to(packages or file))
    return path


def _sized(path: Path) -> Zip:
    with zipfile.ZipFile(path) as archive:
        unzipped = sum(entry.file_size for entry in archive.infolist())
    return Zip(path, path.stat().st_size / 1e6, unzipped / 1e6)
