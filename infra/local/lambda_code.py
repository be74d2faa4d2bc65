"""The code of a function, as Lambda unpacks it."""

import shutil
import zipfile
from pathlib import Path
from typing import Final

_READ_ONLY: Final = 0o555


def unpack(zip_path: Path, folder: Path) -> None:
    """Into a new folder, in which nothing can be written."""
    with zipfile.ZipFile(zip_path) as archive:
        archive.extractall(folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(_READ_ONLY)


def remove(folder: Path) -> None:
    """A folder that holds such code."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(folder)
