"""Names that a client can send as they are: what it would tidy up leads to another object."""

import re

from shared.errors import InputError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_name(name: str) -> str:
    """A name with nothing that a client would drop or resolve. Raises `InputError`."""
    if "" in name.split("/"):
        raise unaddressable(name, "it begins or ends with a slash, or has two in a row")
    return check_path(name)


def check_path(name: str) -> str:
    """A name without dots that lead elsewhere and without characters that no URL has. Raises `InputError`."""
    if not {".", ".."}.isdisjoint(name.split("/")):
        raise unaddressable(name, "between its slashes is nothing but dots")
    if _CONTROL.search(name) or not _is_unicode(name):
        raise unaddressable(name, "it holds a control character or broken Unicode")
    return name


def unaddressable(name: str, why: str) -> InputError:
    """Whoever stored it has to rename it."""
    return InputError(f"pixseek cannot address {name!a}: {why}; rename the object")


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
