"""A stage's variables, from `.env.<stage>` in the project's root."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.local.home import ROOT

_LINE: Final = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
_STAGE: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")


class StageError(Exception):
    """The stage's file is missing or cannot be read; the message says what to do."""


def read_stage(name: str, root: Path = ROOT) -> Mapping[str, str]:
    """What the file says. Raises `StageError`."""
    if not _STAGE.fullmatch(name):
        raise StageError(
            f"{name!a} is no name of a stage (as in STAGE=prod): small letters, digits, hyphens, at most 20"
        )
    path = root / f".env.{name}"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise StageError(
            f"{path} cannot be read ({exc.strerror}): copy .env.example to .env.{name} and fill it in"
        ) from exc
    return dict(
        _variable(path, number, line) for number, line in enumerate(lines, 1) if _says_something(line)
    )


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _variable(path: Path, number: int, line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise StageError(f"{path}:{number}: a line is NAME=value, or begins with #")
    value = match[2].strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return match[1], value
