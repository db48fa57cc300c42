"""The ident query (RFC 1413): if a rule wants it, the client's identd is asked which user a connection belongs to.

The answer can be trusted only as far as the client's machine: identd distinguishes the users of that machine, but says
nothing about the machine.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from socksify import _originals
from socksify.server.core.loop import READABLE, Loop
from socksify.server.net.addresses import RESERVED, bind_source, to_sockaddr
from socksify.server.net.dialer import Dial
from socksify.server.policy.policy import Denied, Permitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.calls import Timer
    from socksify.server.net.resolver import Candidate
    from socksify.server.policy.policy import Demand

PORT = 113
# The time for the whole query, in seconds. RFC 1413 section 4 lets a server wait 60 to 180 seconds, but the client
# waits meanwhile.
SECONDS = 10.0
# "Clients should feel free to abort the connection if they receive 1000 characters without receiving an <EOL>."
MAX_ANSWER = 1000


class Ident:
    """Calls `answered` once, with the user that the client's identd names, or None if it names nobody.

    `client` is the host and the port that the connection comes from. `own` is the host and the port of this server that
    it goes to.
    """

    name = "negotiating"
    up = down = 0

    def __init__(
        self, loop: Loop, client: tuple[str, int], own: tuple[str, int], answered: Callable[[bytes | None], object]
    ) -> None:
        self._loop = loop
        self._client = client
        self._own = own
        self._answered = answered
        self._answer = b""
        self._dial: Dial | None = None
        self._stream: _originals.Socket | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        host = self._client[0]
        candidates: list[Candidate] = [(socket.AF_INET6 if ":" in host else socket.AF_INET, to_sockaddr(host, PORT))]
        # A client on a Unix socket has no host, so there is nobody to ask.
        self._dial = Dial(self._loop, candidates if host else [], self._send_query, self._prepare, 0)
        self._timer = self._loop.after(SECONDS, lambda: self._finish(None))
        self._dial.start()

    def close(self) -> None:
        """Give up. `answered` is not called."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dial is not None:
            self._dial.close()
            self._dial = None
        if self._stream is not None:
            self._loop.discard(self._stream)
            self._stream = None

    def _prepare(self, stream: _originals.Socket, _candidate: Candidate) -> None:
        # "The local and foreign addresses of the query connection" are those of the connection that is asked about.
        bind_source(stream, self._own[0], 0)

    def _send_query(self, stream: _originals.Socket | None, _failure: int) -> None:
        if stream is None:
            self._finish(None)
            return
        self._stream = stream
        try:
            stream.send(f"{self._client[1]}, {self._own[1]}\r\n".encode(), socket.MSG_NOSIGNAL)
        except OSError:
            self._finish(None)
        else:
            self._loop.watch(stream.fileno(), READABLE, self._receive)

    def _receive(self, _fd: int, _events: int) -> None:
        assert self._stream is not None
        try:
            piece = self._stream.recv(MAX_ANSWER - len(self._answer))
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._answer += piece
        if b"\n" in self._answer or not piece or len(self._answer) == MAX_ANSWER:
            self._finish(parse(self._answer, (self._client[1], self._own[1])))

    def _finish(self, user: bytes | None) -> None:
        self.close()
        self._answered(user)


def parse(answer: bytes, ports: tuple[int, int]) -> bytes | None:
    """Return the user of an answer such as `6193, 23 : USERID : UNIX : stjohns`.

    Return None for an error, for an answer about other ports, and for anything else.
    """
    line, end, _ = answer.partition(b"\n")
    pair, _, rest = line.partition(b":")
    kind, _, rest = rest.partition(b":")
    _system, colon, user = rest.partition(b":")
    asked = [b"%d" % port for port in ports]
    if not (end and colon) or kind.strip() != b"USERID" or [port.strip() for port in pair.split(b",")] != asked:
        return None
    return user.strip() or None


def apply_ident(
    verdict: Permitted | Denied | None, demand: Demand, port: int, named: bytes | None
) -> Permitted | Denied | None:
    """Return the verdict, or Denied if its rule wants identd's answer and the answer contradicts the client.

    Without an answer, the verdict is Denied if the rule requires the answer. `port` is the client's port, `named` is
    the user that identd names, None if it names nobody. A client that claims no user is never contradicted.
    """
    if not isinstance(verdict, Permitted) or not verdict.ident:
        return verdict
    if named is None:
        return verdict if verdict.ident == "i" else Denied("the client's identd does not vouch for it")
    claimed = demand.user if demand.user is not None else demand.userid
    # rcmd(3)'s clients run as root for every user. The original server accepted that from a reserved port, which only
    # root can have.
    if claimed in (b"", named) or (claimed == b"root" and port in RESERVED):
        return verdict
    return Denied("the client's identd names another user")
