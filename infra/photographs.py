"""The sample photographs: those in packages that are installed anyway, and those of a Debian package."""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.debian import CACHE, NotAtHandError, filled_once, unpack
from infra.qt_resources import QtResourceError, read_files

__all__ = ["NotAtHandError", "Photograph", "debian", "packaged"]

# What else lies there are drawings, test patterns and the twin of a stereo pair.
_PACKAGED: Final = {
    ("skimage", "data"): (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "chelsea.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "page.png",
        "retina.jpg",
        "rocket.jpg",
        "text.png",
    ),
    ("sklearn", "datasets/images"): ("china.jpg", "flower.jpg"),
}

_PACKAGE: Final = "gcompris-qt-data"
_RESOURCES: Final = "usr/share/gcompris-qt/rcc"
# An activity's resource file → which of its files are photographs (and paintings), and their folder here.
_ACTIVITIES: Final = {
    "categorization": (r"/images/(?P<folder>(?!alphabets|numbers)\w+)/(?P<name>\w+)\.webp", "{folder}"),
    "details": (r"/image/(?P<name>[\w-]+)_background\.webp", "sights"),
    "explore_farm_animals": (r"/resource/animals/(?P<name>\w+)\.webp", "animals"),
    "explore_monuments": (r"/resource/(?P<folder>\w+)/(?P<name>\w+)\.webp", "monuments/{folder}"),
    "explore_world_animals": (r"/resource/animals/(?P<name>\w+)\.webp", "animals"),
    "explore_world_music": (r"/resource/music/(?P<name>\w+)\.webp", "music"),
}


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture file and what it is called in a bucket: `<folder>/<subject>.<suffix>`."""

    name: str
    path: Path


def packaged() -> list[Photograph]:
    """Photographs in the wheels of scikit-image and scikit-learn, which are not imported."""
    found = []
    for (package, folder), names in _PACKAGED.items():
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            files = [Path(place, folder, name) for name in names]
            found += [Photograph(f"packaged/{file.name}", file) for file in files if file.is_file()]
    return found


def debian(cache: Path = CACHE) -> list[Photograph]:
    """Photographs, and some paintings, of the Debian package gcompris-qt-data (a game for children).

    Fetched and unpacked on first use: 44 MB over the network, 12 MB in `cache`; needs apt-get and dpkg, no
    root. Raises `NotAtHandError` with the reason.
    """
    folder = filled_once(cache / "photographs", _extract)
    files = sorted(folder.rglob("*.webp"))
    return [Photograph(file.relative_to(folder).as_posix(), file) for file in files]


def _extract(folder: Path) -> None:
    package = folder.with_name("package")
    unpack(_PACKAGE, package)
    for activity in _ACTIVITIES:
        for name, content in _read(package / _RESOURCES / f"{activity}.rcc", activity):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _read(resources: Path, activity: str) -> Iterator[tuple[str, bytes]]:
    pattern, folder = _ACTIVITIES[activity]
    try:
        for path, content in read_files(resources.read_bytes()):
            if found := re.search(f"{pattern}$", path):
                yield f"{folder.format_map(found.groupdict())}/{found['name']}.webp", content
    except (OSError, QtResourceError) as exc:
        raise NotAtHandError(f"{_PACKAGE} is not laid out as expected: {resources.name}: {exc}") from exc
