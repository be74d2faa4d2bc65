"""The commands that the doctor's mends name: they are there, and take what is given to them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from infra import doctor
from infra.cli import app

_COMMAND = re.compile(r"(?<!\ba )(?<!\bof )(?<!\bschema )\bpixseek ([a-z][^,;:.()]*)")


def _texts(module: Path) -> Iterator[str]:
    """Those that a finding is made of, with a word for what is filled in."""
    nodes = list(ast.walk(ast.parse(module.read_text())))
    joined = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
    left_out = {id(node) for node in [*docstrings, *(piece for one in joined for piece in one.values)]}
    yield from ("".join(_text(piece) or "some" for piece in one.values) for one in joined)
    yield from (_text(node) for node in nodes if id(node) not in left_out)


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


_COMMANDS = sorted(
    {
        found.group(1).strip()
        for module in Path(doctor.__file__).parent.glob("*.py")
        for text in _texts(module)
        for found in _COMMAND.finditer(text)
    }
)


def _read(words: list[str]) -> None:
    """As typer reads them, and without running it."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("pixseek", words)


def test_the_mends_name_commands() -> None:
    assert {"failures", "failures --retry", "audit some --repair --allow-removals"} <= {*_COMMANDS}


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_that_a_mend_names_can_be_typed(command: str) -> None:
    _read(command.split())
