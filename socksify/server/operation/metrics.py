"""The metrics, in the text format of Prometheus, by HTTP.

The counters are in memory that all processes share, so that any process can report the sums. Each process writes only
its own row, so no lock is needed. A row outlives its process, because counters must never decrease.

Prometheus asks by HTTP: `GET /metrics`, one request on each connection. Only the names of this machine itself are
accepted in the Host field. Otherwise a web page could have its own name resolve to a loopback address ("DNS
rebinding"), and read the metrics through the browser of a user of this machine.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from mmap import mmap

from socksify import _originals
from socksify.server.config.plan import is_loopback
from socksify.server.core.loop import Loop
from socksify.server.operation.responder import Responder
from socksify.server.session.report import OUTCOMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from socksify.server.session.report import Report

# "" stands for clients that left before they sent a command.
COMMANDS = ("connect", "bind", "associate", "")
# Upper bounds of the histogram, in seconds.
BUCKETS = (0.01, 0.1, 1, 10, 60, 600, 3600)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HEAD_END = b"\r\n\r\n"

_PLAIN = ("up", "down", "microseconds", "accepted", "live", "lost", "reloads", "refused_reloads", "restarts", "serving")
_ENDED = {pair: at for at, pair in enumerate((command, outcome) for command in COMMANDS for outcome in OUTCOMES)}
_BUCKET = len(_ENDED)
# One more bucket holds the sessions that are longer than every bound.
_CELL = {name: at for at, name in enumerate(_PLAIN, _BUCKET + len(BUCKETS) + 1)}
_UP, _DOWN, _MICROSECONDS = (_CELL[name] for name in ("up", "down", "microseconds"))
_WIDTH = _BUCKET + len(BUCKETS) + 1 + len(_PLAIN)


class Table:
    """One row for each of `processes` processes, in memory that forked children share."""

    def __init__(self, processes: int) -> None:
        # mmap(2) MAP_ANONYMOUS: "initialized to zero".
        self._cells = memoryview(mmap(-1, 8 * _WIDTH * processes)).cast("q")
        self.rows = [Row(self._cells[at * _WIDTH : (at + 1) * _WIDTH]) for at in range(processes)]

    def text(self) -> str:
        """Return the sums of all rows, in the text format of Prometheus."""
        totals = [sum(column) for column in zip(*(row.cells for row in self.rows), strict=True)]
        return "".join(f"{text}\n" for text in _exposition(totals))


class Row:
    """The counters of one process. The names of plain counters are those of _PLAIN."""

    def __init__(self, cells: memoryview[int]) -> None:
        self.cells = cells

    def ended(self, report: Report) -> None:
        """Count a session that is over."""
        cells = self.cells
        cells[_ENDED[report.command, report.outcome]] += 1
        cells[_BUCKET + bisect_left(BUCKETS, report.seconds)] += 1
        cells[_UP] += report.up
        cells[_DOWN] += report.down
        cells[_MICROSECONDS] += int(report.seconds * 1e6)

    def add(self, name: str, number: int = 1) -> None:
        """Add `number` to a plain counter."""
        self.cells[_CELL[name]] += number

    def put(self, name: str, number: int) -> None:
        """Set a plain counter whose value may decrease."""
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
    yield from plain("sockd_worker_restarts_total", "counter", "Workers that ended by themselves.", "restarts")
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


def serve_metrics(loop: Loop, listener: _originals.Socket, text: Callable[[], str]) -> Responder:
    """Answer HTTP requests on `listener`; `text` returns the metrics as they are at that moment."""

    def answer(request: bytes) -> bytes | None:
        return _response(request, text) if _HEAD_END in request else None

    return Responder(loop, listener, answer)


def _response(request: bytes, text: Callable[[], str]) -> bytes:
    # RFC 9112 section 3: method SP request-target SP HTTP-version.
    line, *fields = request.partition(_HEAD_END)[0].split(b"\r\n")
    method, _, rest = line.partition(b" ")
    target, _, version = rest.partition(b" ")
    path = target.partition(b"?")[0]
    hosts = [field[5:].strip() for field in fields if field[:5].lower() == b"host:"]
    # Section 3.2: several Host fields, and none in HTTP/1.1, must be answered with 400.
    if len(hosts) > 1 or (not hosts and version == b"HTTP/1.1"):
        return _message("400 Bad Request", "Expected one Host field.\n")
    if hosts and not _is_this_machine(hosts[0].decode("latin-1")):
        return _message("421 Misdirected Request", "The metrics are for this machine: ask for a loopback address.\n")
    if method not in (b"GET", b"HEAD"):
        return _message("405 Method Not Allowed", "", "Allow: GET, HEAD\r\n")
    if path != b"/metrics":
        return _message("404 Not Found", "The metrics are at /metrics.\n")
    message = _message("200 OK", text())
    return message if method == b"GET" else message.partition(_HEAD_END)[0] + _HEAD_END


def _is_this_machine(host: str) -> bool:
    """True if a Host field, `name` or `name:port`, names a loopback address."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return is_loopback(name) and rest[:1] in ("", ":")
    name = host.partition(":")[0].lower().removesuffix(".")
    return name == "localhost" or is_loopback(name)


def _message(status: str, body: str, fields: str = "") -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(content)}\r\n{fields}"
    return f"{head}Connection: close\r\n\r\n".encode() + content
