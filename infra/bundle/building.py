"""A function's zip, from its own code and its packages."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from infra.bundle.archive import write_zip
from infra.bundle.choice import IMAGE_RECIPE, Choice
from infra.bundle.compiling import compile_beside
from infra.bundle.errors import BundleError
from infra.bundle.interpreter import VERSION
from infra.bundle.locked import read_sbom
from infra.bundle.own_code import copy_own_code
from infra.bundle.packages import packages_of
from infra.bundle.sbom import NAME, write_sbom
from infra.bundle.smoke import smoke
from infra.bundle.wheels import installed

_LARGEST_BYTES: Final = 250 * 1024 * 1024
"""What Lambda unpacks. Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


def build(function: str, choice: Choice, folder: Path) -> Path:
    """Write `<arch>/<function>.zip`, and what is inside as `.json` beside it. Raises `BundleError`.

    A zip that is there is replaced by one that passed all checks, and by no other.
    """
    extras = choice.extras(function)
    packages = packages_of(extras, choice.arch)
    target = folder / choice.arch / f"{function}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{function}-", dir=target.parent) as scratch:
        own, packed = Path(scratch, "own"), Path(scratch, target.name)
        copy_own_code(("functions/__init__.py", f"functions/{function}", "shared"), own)
        compile_beside(own)
        (own / NAME).write_text(write_sbom(read_sbom(extras), installed(packages)), encoding="utf-8")
        size_bytes = write_zip(packed, [packages, own])
        check_size(function, size_bytes)
        smoke(packed, function, choice)
        packed.replace(target)
    facts = _facts(function, choice, target, size_bytes, packages)
    target.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return target


def read_facts(bundle: Path) -> dict[str, Any]:
    """What is inside a zip that was built here, as the file beside it says."""
    facts: dict[str, Any] = json.loads(bundle.with_suffix(".json").read_text(encoding="utf-8"))
    return facts


def check_size(function: str, size_bytes: int) -> None:
    """Raises `BundleError` for more than Lambda unpacks."""
    if size_bytes > _LARGEST_BYTES:
        raise BundleError(
            f"{function} has {size_bytes / 1e6:.0f} MB unpacked, and Lambda unpacks 250 MB: leave something "
            f"out, or deploy a container image ({IMAGE_RECIPE}/Dockerfile)"
        )


def _facts(function: str, choice: Choice, target: Path, size_bytes: int, packages: Path) -> dict[str, Any]:
    return {
        "function": function,
        "python": VERSION,
        **asdict(choice),
        "zip_bytes": target.stat().st_size,
        "unzipped_bytes": size_bytes,
        "packages": {name: each.version for name, each in installed(packages).items()},
    }
