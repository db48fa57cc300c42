"""What Prometheus is told: counters in memory that all processes share, so that any of them can tell the sum.

Each process writes a row of its own, so nothing is locked; a row outlives its process, as counters have to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from mmap import mmap

from socksify import _originals
from socksify.server.config.plan import is_loopback
from socksify.server.core.loop import Loop
from socksify.server.operation.responder import Answers
from socksify.server.session.report import OUTCOMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from socksify.server.session.report import Report

# "" is for who left before a command was heard.
COMMANDS = ("connect", "bind", "associate", "")
# Upper bounds of the histogram, in seconds.
BUCKETS = (0.01, 0.1, 1, 10, 60, 600, 3600)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PLAIN = ("up", "down", "microseconds", "accepted", "live", "lost", "reloads", "refused_reloads", "restarts", "serving")
_ENDED = {pair: at for at, pair in enumerate((command, outcome) for command in COMMANDS for outcome in OUTCOMES)}
_BUCKET = len(_ENDED)
# With one more bucket, for what took longer than all bounds.
_CELL = {name: at for at, name in enumerate(_PLAIN, _BUCKET + len(BUCKETS) + 1)}
_UP, _DOWN, _MICROSECONDS = (_CELL[name] for name in ("up", "down", "microseconds"))
_WIDTH = _BUCKET + len(BUCKETS) + 1 + len(_PLAIN)


class Table:
    """A row for each of `processes`, in memory that children made by fork(2) share."""

    def __init__(self, processes: int) -> None:
        # mmap(2) MAP_ANONYMOUS: "initialized to zero".
        self._cells = memoryview(mmap(-1, 8 * _WIDTH * processes)).cast("q")
        self.rows = [Row(self._cells[at * _WIDTH : (at + 1) * _WIDTH]) for at in range(processes)]

    def text(self) -> str:
        """Prometheus' text format, of all rows together."""
        totals = [sum(column) for column in zip(*(row.cells for row in self.rows), strict=True)]
        return "".join(f"{text}\n" for text in _exposition(totals))


class Row:
    """What one process has counted."""

    def __init__(self, cells: memoryview[int]) -> None:
        self.cells = cells

    def ended(self, report: Report) -> None:
        """A session is over."""
        cells = self.cells
        cells[_ENDED[report.command, report.outcome]] += 1
        cells[_BUCKET + bisect_left(BUCKETS, report.seconds)] += 1
        cells[_UP] += report.up
        cells[_DOWN] += report.down
        cells[_MICROSECONDS] += int(report.seconds * 1e6)

    def add(self, name: str, number: int = 1) -> None:
        """Counts one of the plain ones."""
        self.cells[_CELL[name]] += number

    def put(self, name: str, number: int) -> None:
        """Sets one of the plain ones that goes up and down."""
        self.cells[_CELL[name]] = number


def _exposition(totals: list[int]) -> Iterator[str]:
    def plain(name: str, kind: str, meaning: str, cell: str) -> Iterable[str]:
        return *_head(name, kind, meaning), f"{name} {totals[_CELL[cell]]}"

    yield from _head("sockd_sessions_total", "counter", "Sessions that are over, by command and outcome.")
    for (command, outcome), at in _ENDED.items():
        if totals[at]:
            yield f'sockd_sessions_total{{command="{command or "none"}",outcome="{outcome}"}} {totals[at]}'
    yield from _head("sockd_bytes_total", "counter", "Bytes relayed by sessions that are over.")
    for direction in ("up", "down"):
        yield f'sockd_bytes_total{{direction="{direction}"}} {totals[_CELL[direction]]}'
    yield from _histogram(totals)
    yield from plain("sockd_accepted_total", "counter", "Connections of clients that were accepted.", "accepted")
    yield from plain("sockd_sessions", "gauge", "Sessions that are live.", "live")
    yield from plain("sockd_log_lines_lost_total", "counter", "Lines that the log could not take.", "lost")
    yield from _head("sockd_reloads_total", "counter", "Reloads of the configuration.")
    yield f'sockd_reloads_total{{result="ok"}} {totals[_CELL["reloads"]]}'
    yield f'sockd_reloads_total{{result="refused"}} {totals[_CELL["refused_reloads"]]}'
    yield from plain("sockd_worker_restarts_total", "counter", "Workers that ended unasked.", "restarts")
    yield from plain("sockd_serving_processes", "gauge", "Processes that serve.", "serving")


def _histogram(totals: list[int]) -> Iterator[str]:
    name = "sockd_session_seconds"
    *within, count = accumulate(totals[_BUCKET : _BUCKET + len(BUCKETS) + 1])
    yield from _head(name, "histogram", "How long sessions that are over have lasted.")
    for bound, number in zip(BUCKETS, within, strict=True):
        yield f'{name}_bucket{{le="{bound}"}} {number}'
    yield f'{name}_bucket{{le="+Inf"}} {count}'
    yield f"{name}_sum {totals[_CELL['microseconds']] / 1e6}"
    yield f"{name}_count {count}"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


# The metrics by HTTP, which is how Prometheus asks: `GET /metrics`, one request a connection.
#
# A web page may have its own name resolve to loopback ("DNS rebinding"), and then read what is told here, in the
# browser of somebody who uses this machine. Its requests have its name in their Host field, so only this machine's
# own names are answered.


_END = b"\r\n\r\n"


def scraping(loop: Loop, listener: _originals.Socket, text: Callable[[], str]) -> Answers:
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
