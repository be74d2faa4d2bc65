"""Servers that stand for stores of objects: S3, Google's, and some that are of no help."""

import hashlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import S3Backend, s3_backends
from moto.server import ThreadedMotoServer

from tests.http_servers import Handler, serving

_GOOGLE_HOST = "storage.googleapis.com"  # what obstore signs, wherever the server is
_GOOGLE_PAGE = 1000
_CHUNK = b"x" * 65536


@contextmanager
def s3_server() -> Iterator[tuple[str, S3Backend]]:
    """moto's S3 on a free port, and what it keeps, for tests to fill without a request."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}", s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    finally:
        server.stop()


def google_key(url: str) -> str:
    """A service account's key as its JSON file has it."""
    pem = _private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "gcs_base_url": url,
            "client_email": "tests@pixseek",
            "private_key": pem.decode(),
            "private_key_id": "1",
        }
    )


@cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _is_signed(method: str, url: str) -> bool:
    """Whether a link is one that Google takes: its V4 signature covers method, path and query."""
    path, _, query = url.partition("?")
    signed, _, signature = query.rpartition("&X-Goog-Signature=")
    values = parse_qs(signed)
    canonical = "\n".join(
        [
            method,
            path,
            "&".join(sorted(signed.split("&"))),
            f"host:{_GOOGLE_HOST}",
            "",
            "host",
            "UNSIGNED-PAYLOAD",
        ]
    )
    scope = values["X-Goog-Credential"][0].partition("/")[2]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["GOOG4-RSA-SHA256", values["X-Goog-Date"][0], scope, digest])
    try:
        _private_key().public_key().verify(
            bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True)
class _Kept:
    data: bytes
    generation: int
    written_at: datetime
    metadata: dict[str, str]

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


@dataclass
class GoogleBuckets:
    """What Google's XML API has, as far as obstore asks for it: its requests were recorded."""

    buckets: dict[str, dict[str, _Kept]] = field(default_factory=dict)
    _generation: int = 1_700_000_000_000_000

    def write(self, bucket: str, name: str, data: bytes, metadata: dict[str, str] | None = None) -> _Kept:
        """Each write is a new generation."""
        self._generation += 1
        kept = _Kept(data, self._generation, datetime.now(UTC), metadata or {})
        self.buckets[bucket][name] = kept
        return kept

    def page(self, bucket: str, after: str) -> str:
        """An answer to a list, in XML. The order is that of UTF-8."""
        names = sorted(name for name in self.buckets[bucket] if name > after)
        more = len(names) > _GOOGLE_PAGE
        last = names[:_GOOGLE_PAGE][-1:]
        token = f"<NextContinuationToken>{escape(last[0])}</NextContinuationToken>" if more else ""
        contents = "".join(self._entry(name, self.buckets[bucket][name]) for name in names[:_GOOGLE_PAGE])
        return (
            f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>{bucket}</Name>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
        )

    def _entry(self, name: str, kept: _Kept) -> str:
        return (
            f"<Contents><Key>{escape(name)}</Key><Generation>{kept.generation}</Generation>"
            f"<MetaGeneration>1</MetaGeneration><LastModified>{kept.written_at:%Y-%m-%dT%H:%M:%S.%fZ}"
            f"</LastModified><ETag>{escape(kept.etag)}</ETag><Size>{len(kept.data)}</Size></Contents>"
        )


class _GoogleHandler(Handler):
    protocol_version = "HTTP/1.1"
    google: GoogleBuckets

    def do_GET(self) -> None:
        bucket, name, query = self._asked()
        if bucket not in self.google.buckets:
            self.answer(404)
        elif name:
            self._give(self.google.buckets[bucket].get(name))
        else:
            after = query.get("continuation-token") or query.get("start-after") or [""]
            self.answer(200, self.google.page(bucket, after[0]).encode())

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        bucket, name, _ = self._asked()
        data = self.content()
        if bucket not in self.google.buckets:
            self.answer(404)
            return
        kept = self.google.write(bucket, name, data)
        self.answer(200, headers={"ETag": kept.etag, "x-goog-generation": str(kept.generation)})

    def do_DELETE(self) -> None:
        bucket, name, _ = self._asked()
        gone = self.google.buckets.get(bucket, {}).pop(name, None)
        self.answer(404 if gone is None else 204)

    def _asked(self) -> tuple[str, str, dict[str, list[str]]]:
        """What is asked for; nothing that is there, for a link with a wrong signature."""
        if "X-Goog-Signature" in self.path and not _is_signed(self.command, self.path):
            return "", "", {}
        url = urlsplit(self.path)
        bucket, _, name = url.path.removeprefix("/").partition("/")
        return unquote(bucket), unquote(name), parse_qs(url.query)

    def _give(self, kept: _Kept | None) -> None:
        if kept is None:
            self.answer(404)
            return
        headers = {
            "ETag": kept.etag,
            "Last-Modified": format_datetime(kept.written_at, usegmt=True),
            "x-goog-generation": str(kept.generation),
            **{f"x-goog-meta-{key}": value for key, value in kept.metadata.items()},
        }
        self.answer(200, kept.data, headers)


@contextmanager
def google_server() -> Iterator[tuple[str, GoogleBuckets]]:
    """A stand-in for Google's XML API, and what it keeps."""
    google = GoogleBuckets()
    handler = type("Handler", (_GoogleHandler,), {"google": google})
    with serving(handler) as url:
        yield url, google


@contextmanager
def refusing_server(status: int) -> Iterator[str]:
    """Answers everything with one status, in the words of Supabase Storage, which S3 and Google ignore."""

    class Refusing(_GoogleHandler):
        def do_GET(self) -> None:
            self.content()
            body = {"statusCode": str(status), "error": "Error", "message": "no"}
            self.answer(status, json.dumps(body).encode())

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    with serving(Refusing) as url:
        yield url


@dataclass
class Flood:
    """An object without end, as far as a reader can tell."""

    size_bytes: int
    gave_up: threading.Event = field(default_factory=threading.Event)
    """The reader has closed the connection."""


@contextmanager
def flooding_server() -> Iterator[tuple[str, Flood]]:
    """Every object is a terabyte."""
    flood = Flood(1 << 40)

    class Flooding(_GoogleHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
            self.send_header("x-goog-generation", "1")
            self.send_header("content-length", str(flood.size_bytes))
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(_CHUNK)
            except OSError:
                flood.gave_up.set()

    with serving(Flooding) as url:
        yield url, flood


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def closed_port() -> Iterator[str]:
    """Nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
