"""Run by Lambda's Python inside a bundle: import its entries, then all that its code may import later."""

import ast
import importlib
import json
import sys
from collections.abc import Container, Iterator
from pathlib import Path


def main(root: Path, absent: Container[str], entries: list[str]) -> list[str]:
    """What cannot be imported, and why; but for packages that may be absent."""
    sys.path.insert(0, str(root))
    for entry in entries:
        module, _, name = entry.rpartition(".")
        if not callable(getattr(importlib.import_module(module), name)):
            raise TypeError(f"{entry} is no function")
    imports = {
        found
        for folder in ("functions", "shared")
        for source in (root / folder).rglob("*.py")
        for found in _imports(ast.parse(source.read_text(encoding="utf-8")))
    }
    return [failure for module, name in sorted(imports) for failure in _failures(module, name, absent)]


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name, without what only type checkers import."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from ((node.module, alias.name) for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def _failures(module: str, name: str, absent: Container[str]) -> Iterator[str]:
    """Whoever lacks it: our code, or a package of what it needs itself."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return
    try:
        imported = importlib.import_module(module)
        if name and not hasattr(imported, name):
            importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in absent:
            yield f"{module}: {exc}"
    except ImportError as exc:
        yield f"{module}: {exc}"


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:])))  # noqa: T201 -- this is its answer
