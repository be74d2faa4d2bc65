"""Files of weights from packages: found without importing, believed only when their hash is right."""

import hashlib
import importlib.util
from pathlib import Path

from shared.errors import SettingsError


def package_file(package: str, name: str) -> Path:
    """Where an installed package keeps a file. Raises `SettingsError` when the package is missing."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            f"the embedder needs the package {package}, which is not installed: install pixseek with the "
            "embedder's extra (offline, clip or roboflow)"
        )
    return Path(spec.submodule_search_locations[0]) / name


def read_checked(path: Path, sha256: str) -> bytes:
    """The bytes of a file. Raises `SettingsError` when they are not those that were measured."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise SettingsError(
            f"cannot read the weights in {path}: {exc.strerror}. Install its package again."
        ) from exc
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise SettingsError(
            f"{path} is not the file of weights that was expected (sha256 {found}, not {sha256}). "
            "Install its package again, from a registry that you trust."
        )
    return data
