"""The metrics by HTTP, which is how Prometheus asks: `GET /metrics`, one request a connection.

A web page may have its own name resolve to loopback ("DNS rebinding"), and then read what is told here, in the browser
of somebody who uses this machine. Its requests have its name in their Host field, so only this machine's own names are
answered.
"""

from __future__ import annotations

from collections.abc import Callable

from socksify import _real
from socksify.server.answering import Answers
from socksify.server.configuring import is_loopback
from socksify.server.loop import Loop
from socksify.server.metrics import CONTENT_TYPE

_END = b"\r\n\r\n"


def scraping(loop: Loop, listener: _real.Socket, text: Callable[[], str]) -> Answers:
    """Answers whoever asks on `listener` with what `text` returns at that moment."""

    def answer(asked: bytes) -> bytes | None:
        return _response(asked, text) if _END in asked else None

    return Answers(loop, listener, answer)


def _response(asked: bytes, text: Callable[[], str]) -> bytes:
    # RFC 9112 section 3: method SP request-target SP HTTP-version.
    line, *fields = asked.partition(_END)[0].split(b"\r\n")
    method, _, rest = line.partition(b" ")
    target, _, version = rest.partition(b" ")
    path = target.partition(b"?")[0]
    hosts = [field[5:].strip() for field in fields if field[:5].lower() == b"host:"]
    # Section 3.2: more than one, or none in HTTP/1.1, is answered with 400.
    if len(hosts) > 1 or (not hosts and version == b"HTTP/1.1"):
        return _message("400 Bad Request", "Expected one Host field.\n")
    if hosts and not _is_here(hosts[0].decode("latin-1")):
        return _message("421 Misdirected Request", "The metrics are for this machine: ask for a loopback address.\n")
    if method not in (b"GET", b"HEAD"):
        return _message("405 Method Not Allowed", "", "Allow: GET, HEAD\r\n")
    if path != b"/metrics":
        return _message("404 Not Found", "The metrics are at /metrics.\n")
    message = _message("200 OK", text())
    return message if method == b"GET" else message.partition(_END)[0] + _END


def _is_here(host: str) -> bool:
    """Whether a Host field, `name` or `name:port`, is this machine's name for itself."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return is_loopback(name) and rest[:1] in ("", ":")
    name = host.partition(":")[0].lower().removesuffix(".")
    return name == "localhost" or is_loopback(name)


def _message(status: str, body: str, more: str = "") -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(content)}\r\n{more}"
    return f"{head}Connection: close\r\n\r\n".encode() + content
