"""Addresses that are given, looked at before anything is sent there."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx

from infra.doctor.findings import CannotTell

_ALSO_IN_VAULT: Final = ", and Vault's pixseek_index_url with it (make deploy-supabase)"


def checked_address(name: str, value: str) -> str:
    """Without a slash at its end. Raises `CannotTell` for one that secrets must not be sent to."""
    host = _host(name, value)
    if urlsplit(value).scheme != "https" and not _is_here(host):
        mend = f"set {name} to the address that begins with https://"
        mend += _ALSO_IN_VAULT if name == "WEBHOOK_URL" else ""
        raise CannotTell(f"{name} is not encrypted: what is sent there can be read on its way", mend, "tls")
    return value.rstrip("/")


def shown_address(value: str) -> str:
    """What may be printed of one that nobody has looked at: it may be a database's, with its password."""
    try:
        _host("", value)
    except CannotTell:
        return "(no address)"
    parts = urlsplit(value)
    return f"{parts.scheme}://{parts.netloc}"


def _host(name: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        host = httpx.URL(value).host
        host.encode("idna")
        is_sound = parts.scheme in {"http", "https"} and bool(host) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        is_sound = False
    if not is_sound or parts.username is not None or parts.password is not None:
        mend = f"set {name} to an address such as https://name.example, without a user"
        raise CannotTell(f"{name} is no address", mend, "url")
    return host


def _is_here(host: str) -> bool:
    """What never leaves this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
