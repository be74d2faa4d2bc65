"""What the wheels carry and no function reads."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from infra.bundle.elf import read_shared_object, without_symbols

UNREAD: Final = {
    ".lock": "the installer's own",
    "bin/*": "commands, for a shell",
    "*.pyi": "types, for who writes code",
    "*/py.typed": "types, for who writes code",
    "*.pyx": "sources of what is compiled",
    "*.pxd": "sources of what is compiled",
    "*.h": "sources of what is compiled",
    "*.c": "sources of what is compiled",
    "*/tests/*": "the packages' own tests",
    "*/_testcapi.*": "the packages' own tests",
    "*.dist-info/RECORD": "for an installer: it lists what is trimmed here",
    "*.dist-info/INSTALLER": "for an installer",
    "*.dist-info/REQUESTED": "for an installer",
    "*.dist-info/WHEEL": "for an installer; read before it goes",
    "*.dist-info/direct_url.json": "for an installer",
    "*.dist-info/entry_points.txt": "commands, and plugins of test runners",
    "*.dist-info/top_level.txt": "for an installer",
    "*.dist-info/zip-safe": "for an installer",
    "clip/[!b]*": "of clip-anytorch only the vocabulary is read: its code needs torch",
    "cffi/*": "for building: at run time its users load _cffi_backend alone",
    "multipart/*": "python-multipart under its former name",
    "pydantic/v1/*": "pydantic 1, for models written for it",
    "pydantic/mypy.py": "for the type checker",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/swagger-ui*": "a page to try the API",
    "aws_lambda_powertools/utilities/auth_alpha/*": "callers are known by PyJWT",
    "aws_lambda_powertools/utilities/circuit_breaker/*": "shared.permits does that",
    "aws_lambda_powertools/utilities/data_masking/*": "nothing is masked",
    "aws_lambda_powertools/utilities/feature_flags/*": "no AppConfig",
    "aws_lambda_powertools/utilities/idempotency/*": "the index itself is idempotent",
    "aws_lambda_powertools/utilities/kafka/*": "no Kafka",
    "aws_lambda_powertools/utilities/parameters/*": "it would read them with boto3",
    "aws_lambda_powertools/utilities/streaming/*": "pictures are read through the stores",
    "aws_lambda_powertools/utilities/validation/*": "requests are validated by pydantic",
    "aws_lambda_powertools/metrics/provider/datadog/*": "metrics go to CloudWatch",
    "PIL/_imagingft.*": "draws text",
    "PIL/_imagingmath.*": "evaluates formulas of pictures",
    "PIL/_imagingmorph.*": "morphology",
    "PIL/_imagingtk.*": "shows pictures in a window",
    "PIL/ImageTk.py": "shows pictures in a window",
    "PIL/ImageQt.py": "shows pictures in a window",
    "urllib3/contrib/emscripten/*": "for Python in a browser",
}
"""Patterns of paths (`*` also matches a slash), each with its reason."""


def is_unread(path: str) -> bool:
    """Whether no function reads this path below a tree of packages."""
    return any(fnmatchcase(path, pattern) for pattern in UNREAD)


def trim(tree: Path) -> None:
    """Remove what no function reads, the libraries that nothing left needs, and the symbols of the others."""
    for path in _files(tree):
        if is_unread(path.relative_to(tree).as_posix()):
            path.unlink()
    _trim_libraries(tree)
    for path in _files(tree):
        if read_shared_object(path):
            path.write_bytes(without_symbols(path.read_bytes()))
    for folder in sorted((path for path in tree.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _trim_libraries(tree: Path) -> None:
    """Wheels bring libraries in folders `<package>.libs`; keep those that an extension module leads to."""
    objects = {path: found for path in _files(tree) if (found := read_shared_object(path))}
    libraries = {path.name: path for path in objects if path.parent.name.endswith(".libs")}
    wanted = [name for path, found in objects.items() if path.name not in libraries for name in found.needed]
    kept: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in libraries and name not in kept:
            kept.add(name)
            wanted += objects[libraries[name]].needed
    for name in libraries.keys() - kept:
        libraries[name].unlink()


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in list(tree.rglob("*")) if path.is_file())
