"""The packages of uv.lock that a function needs, by name and version."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.bundle.errors import BundleError
from infra.bundle.interpreter import VERSION
from infra.local.home import ROOT

LEFT_OUT: Final = {
    "anyio": "for asynchronous clients: httpcore does without, and ours wait",
    "boto3": "Lambda's runtime carries it",
    "botocore": "Lambda's runtime carries the one that its boto3 needs",
    "pycparser": "cffi parses C with it, when a package is built",
    "s3transfer": "Lambda's runtime carries it, for its boto3",
}
"""Of the lock, what no bundle takes, each with its reason."""

_TIMEOUT_S: Final = 600
_MACHINES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}
_EXPORT: Final = ("export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project")
_NO_NOTES: Final = ("--no-annotate", "--no-header")


@dataclass(frozen=True, slots=True)
class Locked:
    """What the lock says: a requirements file with hashes, and the version of each package in it."""

    requirements: str
    versions: Mapping[str, str]


def read_lock(extras: Iterable[str], arch: str) -> Locked:
    """What Lambda's Python needs for these extras. Raises `BundleError`."""
    environment = _marker_environment(arch)
    kept: dict[str, tuple[str, str]] = {}
    for entry in _entries(run_uv(*_EXPORT, *_NO_NOTES, *_flags(extras))):
        requirement = Requirement(entry.partition(" --hash")[0])
        name = canonicalize_name(requirement.name)
        if name in LEFT_OUT or (requirement.marker and not requirement.marker.evaluate(environment)):
            continue
        kept[name] = (_pinned(requirement), entry)
    return Locked(
        "".join(f"{entry}\n" for _, entry in kept.values()),
        {name: version for name, (version, _) in kept.items()},
    )


def read_sbom(extras: Iterable[str]) -> str:
    """The lock's own bill of materials for these extras, in CycloneDX. Raises `BundleError`."""
    return run_uv(*_EXPORT, "--format", "cyclonedx1.5", *_flags(extras))


def run_uv(*arguments: str) -> str:
    """What uv prints. Raises `BundleError` with what it complains of."""
    own = ROOT / ".uv" / "bin" / "uv"
    uv = str(own) if own.is_file() else shutil.which("uv")
    if uv is None:
        raise BundleError(
            "uv reads the lock and fetches the packages, and is missing: run `make package`, which sets it "
            "up, or install uv"
        )
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    try:
        done = subprocess.run(  # noqa: S603 -- ours, no shell
            [uv, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as exc:
        raise BundleError(f"`uv {arguments[0]}` took more than {_TIMEOUT_S} s: try again") from exc
    if done.returncode:
        raise BundleError(f"`uv {arguments[0]}` failed: {done.stderr.strip()}")
    return done.stdout


def platform_of(arch: str) -> str:
    """What uv calls Amazon Linux 2023, whose glibc is 2.34, on this architecture."""
    return f"{_MACHINES[arch]}-manylinux_2_34"


def _flags(extras: Iterable[str]) -> Iterator[str]:
    for extra in extras:
        yield from ("--extra", extra)


def _entries(exported: str) -> Iterator[str]:
    """Each requirement in one line, its hashes behind it."""
    lines = re.sub(r"\s*\\\n\s*", " ", exported).splitlines()
    return (line for line in lines if line and not line.startswith("#"))


def _pinned(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    return specifier.version


def _marker_environment(arch: str) -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{VERSION}.0",
        "os_name": "posix",
        "platform_machine": _MACHINES[arch],
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{VERSION}.0",
        "python_version": VERSION,
        "sys_platform": "linux",
    }
