"""One TLS context a process: reading the authorities' certificates takes 20 ms, of each client anew."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """Trusts whom httpx trusts. Threads and clients share it."""
    return httpx.create_ssl_context()
