"""UDP sockets from which nothing can leave, for a sealed tree: they belong to an empty network namespace.

A socket belongs to the network namespace in which it was made, whoever uses it. So a process in an empty namespace
makes the UDP sockets of a tree, and the tree itself stays where it is. Whatever the tree sends, by whatever call and to
whatever address, arrives in the namespace. The responder answers there on port 53 of each address, from that address.

Limits: the tree has no UDP to other hosts, and other programs cannot send UDP to the tree. Multicast has no interface.
ioctl(2) on such a socket shows the interfaces of the namespace. A user without privilege can bind ports below 1024.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from errno import EAGAIN, ECHILD, EMFILE, ENETDOWN
from socket import MSG_NOSIGNAL

from socksify import _originals
from socksify.routing import log
from socksify.seal.datagrams import pool_process
from socksify.server.core.loop import READABLE, Loop

# The number of sockets of each family that wait for a call.
STOCK = 16
# In seconds: making a namespace takes some milliseconds.
_START = 30.0

Receive = Callable[[_originals.Socket | OSError], object]


class _Stock:
    """The sockets of one family that wait for a call, and the calls that wait for one."""

    def __init__(self) -> None:
        self._sockets: deque[_originals.Socket] = deque()
        self._waiting: deque[Receive] = deque()
        self._ordered = 0

    def take(self, receive: Receive) -> None:
        """Call `receive` with a socket, now or later."""
        if self._sockets:
            receive(self._sockets.popleft())
        else:
            self._waiting.append(receive)

    @property
    def is_awaited(self) -> bool:
        """True if a call waits for a socket."""
        return bool(self._waiting)

    @property
    def missing(self) -> int:
        """The number of sockets to order."""
        return STOCK + len(self._waiting) - len(self._sockets) - self._ordered

    def note_order(self, count: int) -> None:
        """Note that so many were ordered."""
        self._ordered += count

    def put(self, made: _originals.Socket | OSError) -> None:
        """Take in what was ordered: a socket, or the error instead."""
        self._ordered -= 1
        if self._waiting:
            self._waiting.popleft()(made)
        elif not isinstance(made, OSError):
            self._sockets.append(made)

    def fail(self, error: OSError) -> None:
        """Let the waiting calls fail: no more sockets will come."""
        while self._waiting:
            self._waiting.popleft()(error)

    def close(self) -> None:
        while self._sockets:
            self._sockets.popleft().close()


class SocketPool:
    """The pool of a supervisor: a process in an empty namespace, and a stock of its sockets.

    `process` is the number of the process. `responder` is a UDP socket on port 53 of all addresses of the namespace. It
    reports the address that was asked (IPV6_PKTINFO; IP_PKTINFO on a machine without IPv6), and answers from any
    address.

    SocketPool() forks the process, which ends with the supervisor. It raises OSError, whose message names the call that
    failed, if no namespace can be had. A process that is forked later has to close the pool, otherwise it keeps the
    pool's process alive.
    """

    def __init__(self) -> None:
        self.process, self._supply = pool_process.start()
        self._stocks: dict[int, _Stock] = {family: _Stock() for family in pool_process.LETTERS}
        try:
            self.responder = self._first_answer()
        except OSError:
            self._end()
            raise
        self._supply.setblocking(False)
        self.responder.setblocking(False)
        self._is_over = False

    def serve(self, loop: Loop) -> None:
        """Let this event loop refill the stock from now on. Until then no socket can be taken."""
        loop.watch(self._supply.fileno(), READABLE, lambda *_: self._arrived(loop))
        self._order()

    def take(self, family: int, receive: Receive) -> None:
        """Call `receive` with a new blocking UDP socket of AF_INET or AF_INET6: now, or later from the loop.

        Instead, it is called with an OSError if there is none: ENETDOWN if the process has ended.
        """
        stock = self._stocks[family]
        stock.take(receive)
        if self._is_over:
            stock.fail(_is_down())
        else:
            self._order()

    def close(self) -> None:
        """Close the sockets, and let the process end. In a forked child, only its own copies are closed."""
        for stock in self._stocks.values():
            stock.close()
        self.responder.close()
        self._end()

    def _first_answer(self) -> _originals.Socket:
        self._supply.settimeout(_START)
        answer, responder = pool_process.receive(self._supply, pool_process.LONGEST_ANSWER)
        if responder is not None:
            return responder
        if not answer:
            raise OSError(ECHILD, "the process that was to make UDP sockets has ended")
        raise OSError(answer[0], answer[1:].decode())

    def _order(self) -> None:
        for family, stock in self._stocks.items():
            try:
                requests = pool_process.LETTERS[family] * stock.missing
                stock.note_order(self._supply.send(requests, MSG_NOSIGNAL) if requests else 0)
            except OSError:
                # The process reads slowly (EAGAIN): the rest is ordered later. Or it has ended, as the loop will see.
                pass

    def _arrived(self, loop: Loop) -> None:
        try:
            answer, made = pool_process.receive(self._supply, 2)
        except OSError as error:
            if error.errno == EAGAIN:
                return
            answer = b""
        if not answer:
            self._ended(loop)
            return
        number = answer[1] or EMFILE
        stock = self._stocks[pool_process.FAMILIES[answer[:1]]]
        stock.put(made or OSError(number, os.strerror(number)))
        # At the limit of open files, orders for the stock alone would fail without end. The next call orders again.
        if made is not None or stock.is_awaited:
            self._order()

    def _ended(self, loop: Loop) -> None:
        loop.watch(self._supply.fileno(), 0, lambda *_: None)
        self._is_over = True
        log.warn("the process that makes the program's UDP sockets has ended: there will be no more of them")
        for stock in self._stocks.values():
            stock.fail(_is_down())

    def _end(self) -> None:
        self._supply.close()
        try:
            os.waitpid(self.process, 0)
        except ChildProcessError:  # it belongs to another process, or was waited for already
            pass


def _is_down() -> OSError:
    return OSError(ENETDOWN, os.strerror(ENETDOWN))
