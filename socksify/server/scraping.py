"""The metrics by HTTP, which is how Prometheus asks: `GET /metrics`, one request a connection."""

from __future__ import annotations

from collections.abc import Callable

from socksify import _real
from socksify.server.answering import Answers
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
    method, _, rest = asked.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in (b"GET", b"HEAD"):
        return _message("405 Method Not Allowed", "", "Allow: GET, HEAD\r\n")
    if path != b"/metrics":
        return _message("404 Not Found", "The metrics are at /metrics.\n")
    message = _message("200 OK", text())
    return message if method == b"GET" else message.partition(_END)[0] + _END


def _message(status: str, body: str, more: str = "") -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(content)}\r\n{more}"
    return f"{head}Connection: close\r\n\r\n".encode() + content
