"""What docs/deploy-aws.md quotes is what the code says."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_FILLED_IN: Final = "…"
_IN_BACKTICKS: Final = re.compile(r"(`+)(?: (.+?) |(.+?))\1(?!`)")


def quoted() -> list[str]:
    """What is in backticks in the first column of the table of refusals."""
    page = (_ROOT / "docs" / "deploy-aws.md").read_text(encoding="utf-8")
    table = page.partition("\n## When it says no\n")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    return [spaced or plain for cell in first_cells for _, spaced, plain in _IN_BACKTICKS.findall(cell)]


@cache
def said() -> str:
    """Every text in the code, one a line; what is filled in is three dots."""
    paths = [path for folder in ("infra", "shared") for path in (_ROOT / folder).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    texts = [_text(node).replace("\n", " ") for tree in trees for node in ast.walk(tree)]
    return "\n".join(text for text in texts if text)


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or _FILLED_IN for part in parts)
        case _:
            return ""


@pytest.mark.parametrize("message", quoted())
def test_a_quoted_message_is_one_of_the_code(message: str) -> None:
    pattern = ".*".join(re.escape(part) for part in message.split(_FILLED_IN))

    assert re.search(pattern, said())


def test_many_messages_are_quoted() -> None:
    assert len(quoted()) > 25
