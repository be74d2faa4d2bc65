"""Secrets: fit to be sent, and never shown."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from infra.doctor.findings import CannotTell

_NAMES: Final = ("_KEY", "_SECRET", "_SECRET_BEFORE", "_TOKEN", "_PASSWORD", "_DB_URL")
_LEAST: Final = 8


def checked_secret(name: str, value: str) -> str:
    """One that can be sent as it is. Raises `CannotTell`."""
    if "\r" in value or "\n" in value:
        what = f"{name} has a line end in it: is the file saved with CRLF?"
        raise CannotTell(what, "save the file with plain line ends (LF), and deploy again", "form")
    if value != value.strip() or not all(" " <= sign <= "~" for sign in value):
        what = f"{name} has spaces around it, or signs in it that cannot be printed or are not ASCII"
        raise CannotTell(what, "copy it anew, and deploy again", "form")
    if value.strip("\"'") != value:
        raise CannotTell(f"{name} has quotes around it", "take them away, and deploy again", "form")
    return value


def without_secrets(text: str, variables: Mapping[str, str]) -> str:
    """Whatever an error has quoted, in whichever way."""
    kept = {value for name, value in variables.items() if name.endswith(_NAMES)}
    forms = {form for value in kept for form in _forms(value)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "…")
    return text


def _forms(secret: str) -> set[str]:
    """The ways in which Python, JSON and addresses write it."""
    bare = secret.strip().strip("\"'").strip()
    forms = {form for one in (secret, bare) for form in (one, repr(one)[1:-1], ascii(one)[1:-1])}
    forms |= {form for one in (secret, bare) for form in (json.dumps(one)[1:-1], quote(one, safe=""))}
    forms |= {repr(one.encode(errors="surrogateescape"))[2:-1] for one in (secret, bare)}
    return {form for form in forms if len(form) >= _LEAST}
