"""The question to a client's identd, whose user a connection is (RFC 1413), where a rule wants to know.

What it answers is worth as much as the client's machine is trusted: it tells on the users of that machine, not of whom
that machine belongs to.
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
    from socksify.server.core.timers import Timer
    from socksify.server.net.resolver import Candidate
    from socksify.server.policy.policy import Demand

PORT = 113
# All of it. RFC 1413 section 4 lets a server wait 60 to 180 seconds; clients of ours wait for this.
SECONDS = 10.0
# "Clients should feel free to abort the connection if they receive 1000 characters without receiving an <EOL>."
LONGEST = 1000


class Ident:
    """Calls `told` once, with the user that the client's identd names, or None if it names nobody.

    `client` is where its connection comes from, `own` where it goes.
    """

    name = "negotiating"
    up = down = 0

    def __init__(
        self, loop: Loop, client: tuple[str, int], own: tuple[str, int], told: Callable[[bytes | None], object]
    ) -> None:
        self._loop = loop
        self._client = client
        self._own = own
        self._told = told
        self._answer = b""
        self._dial: Dial | None = None
        self._stream: _originals.Socket | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        host = self._client[0]
        candidates: list[Candidate] = [(socket.AF_INET6 if ":" in host else socket.AF_INET, to_sockaddr(host, PORT))]
        # Nobody knows whose a connection by a Unix socket is.
        self._dial = Dial(self._loop, candidates if host else [], self._ask, self._prepare, 0)
        self._timer = self._loop.after(SECONDS, lambda: self._tell(None))
        self._dial.start()

    def close(self) -> None:
        """Gives up, without a call of `told`."""
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

    def _ask(self, stream: _originals.Socket | None, _failure: int) -> None:
        if stream is None:
            self._tell(None)
            return
        self._stream = stream
        try:
            stream.send(f"{self._client[1]}, {self._own[1]}\r\n".encode(), socket.MSG_NOSIGNAL)
        except OSError:
            self._tell(None)
        else:
            self._loop.watch(stream.fileno(), READABLE, self._hear)

    def _hear(self, _fd: int, _events: int) -> None:
        assert self._stream is not None
        try:
            piece = self._stream.recv(LONGEST - len(self._answer))
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._answer += piece
        if b"\n" in self._answer or not piece or len(self._answer) == LONGEST:
            self._tell(parse(self._answer, (self._client[1], self._own[1])))

    def _tell(self, user: bytes | None) -> None:
        self.close()
        self._told(user)


def parse(answer: bytes, ports: tuple[int, int]) -> bytes | None:
    """The user of `6193, 23 : USERID : UNIX : stjohns`; None for any other answer than one about these two ports."""
    line, end, _ = answer.partition(b"\n")
    pair, _, rest = line.partition(b":")
    kind, _, rest = rest.partition(b":")
    _system, colon, user = rest.partition(b":")
    asked = [b"%d" % port for port in ports]
    if not (end and colon) or kind.strip() != b"USERID" or [port.strip() for port in pair.split(b",")] != asked:
        return None
    return user.strip() or None


def vouched(
    verdict: Permitted | Denied | None, demand: Demand, port: int, named: bytes | None
) -> Permitted | Denied | None:
    """The verdict, or a denial if the rule wanted to know what identd says, and that speaks against it.

    `port` is the client's. Who claims to be nobody is contradicted by no name.
    """
    if not isinstance(verdict, Permitted) or not verdict.ident:
        return verdict
    if named is None:
        return verdict if verdict.ident == "i" else Denied("the client's identd does not vouch for it")
    claimed = demand.user if demand.user is not None else demand.userid
    # rcmd(3)'s clients run as root for everybody: the original believed that of a port which only root can have.
    if claimed in (b"", named) or (claimed == b"root" and port in RESERVED):
        return verdict
    return Denied("the client's identd names another user")
