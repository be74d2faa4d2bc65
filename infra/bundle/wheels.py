"""Whether installed packages are those of the lock, for the machine that they will run on."""

from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name

from infra.bundle.choice import Architecture
from infra.bundle.elf import read_shared_object
from infra.bundle.errors import BundleError

_GLIBC: Final = 34
"""Minor version: Amazon Linux 2023 has 2.34."""
_PYTHON: Final = 13
_OLD_NAMES: Final = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
_SUFFIXES: Final = {"arm64": "_aarch64", "x86_64": "_x86_64"}


def installed(tree: Path) -> dict[str, Distribution]:
    """What a folder of packages holds, by name, sorted."""
    found = {canonicalize_name(each.name): each for each in distributions(path=[str(tree)])}
    return dict(sorted(found.items()))


def check_versions(found: Mapping[str, str], locked: Mapping[str, str]) -> None:
    """Raises `BundleError` unless both name the same packages in the same versions."""
    wrong = [
        *(f"{name} is missing" for name in sorted(locked.keys() - found.keys())),
        *(f"{name} {found[name]} is not in the lock" for name in sorted(found.keys() - locked.keys())),
        *(
            f"{name} is {found[name]}, and {locked[name]} in the lock"
            for name in sorted(locked.keys() & found.keys())
            if found[name] != locked[name]
        ),
    ]
    if wrong:
        raise BundleError(
            f"the packages are not those of uv.lock: {'; '.join(wrong)}. Run `uv lock --check`, "
            "remove build/cache/bundle and build again."
        )


def check_machine(tree: Path, arch: Architecture) -> None:
    """Raises `BundleError` for a wheel or a shared object that Lambda cannot load on this architecture."""
    wrong = [*_wrong_wheels(tree, arch), *_wrong_objects(tree, arch)]
    if wrong:
        raise BundleError(f"not for Lambda's Python 3.{_PYTHON} on {arch}: {'; '.join(wrong)}")


def fits(tag: Tag, arch: Architecture) -> bool:
    """Whether Lambda's Python can load a wheel of this tag."""
    return _fits_python(tag) and _fits_platform(tag.platform, arch)


def _wrong_wheels(tree: Path, arch: Architecture) -> Iterator[str]:
    for name, distribution in installed(tree).items():
        lines = (distribution.read_text("WHEEL") or "").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]
        if not any(fits(tag, arch) for text in named for tag in parse_tag(text)):
            yield f"the wheel of {name} ({', '.join(named) or 'no tag'})"


def _wrong_objects(tree: Path, arch: Architecture) -> Iterator[str]:
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        found = read_shared_object(path)
        if found and found.machine != arch:
            yield f"{path.relative_to(tree)} (machine {found.machine})"


def _fits_python(tag: Tag) -> bool:
    if tag.abi == "abi3":
        return tag.interpreter.startswith("cp3") and int(tag.interpreter.removeprefix("cp3") or 0) <= _PYTHON
    own = f"cp3{_PYTHON}"
    pure = ("py3", f"py3{_PYTHON}", own)
    return tag.interpreter == own if tag.abi == own else tag.abi == "none" and tag.interpreter in pure


def _fits_platform(platform: str, arch: Architecture) -> bool:
    if platform == "any":
        return True
    kind = platform.removesuffix(_SUFFIXES[arch])
    if kind == platform:
        return False
    newest = kind.removeprefix("manylinux_2_")
    return _OLD_NAMES.get(kind, int(newest) if newest.isdecimal() else _GLIBC + 1) <= _GLIBC
