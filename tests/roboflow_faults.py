"""What may befall a request to the stand-in for Roboflow's CLIP API, instead of its proper reply."""

import gzip
import socket
import struct
from collections.abc import Sequence
from typing import Final

from tests.roboflow_api import Exchange, Fault
from tests.roboflow_replies import Reply, as_json, of_embeddings

HANGS_S: Final = 15.0
"""How long what hangs does so: not for ever, so that a test of what waits for it fails instead of hanging."""
_BETWEEN_BYTES_S: Final = 0.02


def status(code: int, *, retry_after: str | None = None) -> Fault:
    """That status, with a body that repeats the whole request, as that of a 422 may."""

    def fault(exchange: Exchange, _: Reply) -> None:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        body = {"message": "as it was told to", "input": exchange.content.decode()}
        exchange.send(as_json(code, body, **headers))

    return fault


def embeddings(rows: Sequence[Sequence[float]]) -> Fault:
    """These, whatever was asked."""
    return lambda exchange, _: exchange.send(of_embeddings(rows))


def page(code: int) -> Fault:
    """What a gateway shows to people, which repeats the request."""

    def fault(exchange: Exchange, _: Reply) -> None:
        html = b"<html><h1>Bad gateway</h1>" + exchange.content + b"</html>"
        exchange.send(Reply(code, html, {"Content-Type": "text/html"}))

    return fault


def redirect(code: int, url: str) -> Fault:
    """To the same route elsewhere."""
    return lambda exchange, _: exchange.send(Reply(code, b"", {"Location": url + exchange.path}))


def flood(exchange: Exchange, reply: Reply) -> None:
    """The proper reply, blown up to more than any can have."""
    exchange.send(Reply(reply.status, reply.content + b" " * 5_000_000, reply.headers))


def packed(exchange: Exchange, reply: Reply) -> None:
    """The proper reply, compressed."""
    headers = {**reply.headers, "Content-Encoding": "gzip"}
    exchange.send(Reply(reply.status, gzip.compress(reply.content), headers))


def in_chunks(exchange: Exchange, reply: Reply) -> None:
    """The proper reply, its length not told."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(reply.content), 1000):
        chunk = reply.content[start : start + 1000]
        exchange.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    exchange.wfile.write(b"0\r\n\r\n")


def no_answer(exchange: Exchange, _: Reply) -> None:
    """The connection stays open, and nothing comes."""
    exchange.api.closing.wait(HANGS_S)
    exchange.close_connection = True


def reset(exchange: Exchange, _: Reply) -> None:
    """The connection breaks before anything came."""
    linger_not = struct.pack("ii", 1, 0)
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    exchange.close_connection = True
    exchange.rfile.close()
    exchange.connection.close()


def reset_after_headers(exchange: Exchange, reply: Reply) -> None:
    """The connection breaks when the headers are there."""
    exchange.send(reply, length=0)
    exchange.api.closing.wait(0.05)  # a reset may overtake what was sent
    reset(exchange, reply)


def truncated(exchange: Exchange, reply: Reply) -> None:
    """Half of the body comes, then the connection ends in order."""
    exchange.send(reply, length=len(reply.content) // 2)
    exchange.close_connection = True


def dribbled(exchange: Exchange, reply: Reply) -> None:
    """The body comes one byte at a time, and never all of it."""
    exchange.send(reply, length=0)
    _dribble(exchange, reply.content)


def dribbled_headers(exchange: Exchange, _: Reply) -> None:
    """A header comes one byte at a time, and never ends."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _dribble(exchange, b"x" * 1000)


def _dribble(exchange: Exchange, content: bytes) -> None:
    for number in range(int(HANGS_S / _BETWEEN_BYTES_S)):
        exchange.wfile.write(content[number : number + 1])
        exchange.api.closing.wait(_BETWEEN_BYTES_S)
    exchange.close_connection = True
