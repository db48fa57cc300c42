"""Opens connections through proxies on the supervisor's loop: to the first proxy, then the handshakes of the chain.

A dial uses a socket of the target, or sockets of its own. The addresses of the first proxy are tried one after another,
each for its share of the time. No step waits: the name of a proxy is looked up in a thread.
"""

from __future__ import annotations

import os
import struct
from errno import ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT
from socket import AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, IPPROTO_IPV6, IPV6_V6ONLY, SO_ERROR, SOL_SOCKET

from socksify._originals import monotonic
from socksify.protocol.errors import ProtocolError
from socksify.routing import log
from socksify.seal.kernel.libc import connect_raw
from socksify.seal.kernel.raw_sockaddr import is_mapped
from socksify.tunnel import errors
from socksify.tunnel.handshake import Handshake
from socksify.tunnel.proxy_addresses import ProxyAddresses, mapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.config.proxy_url import Proxy
    from socksify.config.settings import Settings
    from socksify.routing.route import Via
    from socksify.seal.notices import Notices
    from socksify.server.core.calls import Timer
    from socksify.server.core.loop import Loop
    from socksify.server.core.thread_pool import Threads
    from socksify.tunnel.proxy_addresses import Candidate

    # Called once: with None if the tunnel is open.
    Done = Callable[[OSError | None], object]

_NOWHERE = struct.pack("=H14x", AF_UNSPEC)
_ANYWHERE = struct.pack("=H14x", AF_INET)


class Dialer:
    """Begins dials. Each is bounded by the seconds of its call."""

    def __init__(self, loop: Loop, threads: Threads, notices: Notices) -> None:
        self.loop = loop
        self.notices = notices
        self.addresses = ProxyAddresses()
        self._threads = threads

    def look_up(self, settings: Settings) -> None:
        """Look up the names of all first proxies now. A name that is unknown is looked up again when it is needed."""
        for chain in (settings.proxy, *settings.proxies.values()):
            try:
                if chain:
                    self.addresses.candidates(chain[0], AF_INET)
            except OSError:
                pass

    def own(self, sock: _originals.Socket, route: Via, seconds: float, done: Done) -> Dial:
        """Return a dial on a socket of the target, which is non-blocking meanwhile. `fits` must have said yes."""
        return Dial(self, route, seconds, done, sock)

    def fresh(self, route: Via, seconds: float, done: Done) -> Dial:
        """Return a dial on a socket of our own, which it has as `sock` at the end."""
        return Dial(self, route, seconds, done)

    def look_up_then(self, proxy: Proxy, call: Callable[[OSError | None], object]) -> None:
        """Make the call when the addresses of a proxy are known; with an error if its name is unknown."""
        if not self.addresses.must_look_up(proxy):
            call(None)
            return

        def look_up() -> OSError | None:
            try:
                self.addresses.candidates(proxy, AF_INET)
            except OSError as error:
                return error
            return None

        self._threads.run(proxy.host, look_up, call)

    def fits(self, sock: _originals.Socket, proxy: Proxy) -> bool:
        """Return True if a socket of the target can be connected to a proxy.

        False if the proxy's name is not looked up yet, because the families of its addresses are not known.
        """
        if proxy.path is not None or self.addresses.must_look_up(proxy):
            return False
        takes = families_of(sock)
        return any(candidate[0] in takes for candidate in self.addresses.candidates(proxy, sock.family))


class Dial:
    """One tunnel that is being opened. `sock` is the socket in use, or None between two addresses."""

    def __init__(
        self, dialer: Dialer, route: Via, seconds: float, done: Done, sock: _originals.Socket | None = None
    ) -> None:
        self.route = route
        self.sock = sock
        self._dialer, self._loop = dialer, dialer.loop
        self._is_own = sock is not None
        # True if the target's socket was connected to an address already.
        self._is_spent = False
        self._seconds = seconds
        self._done: Done | None = done
        self._started = monotonic()
        self._handshake: Handshake | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin. `done` may be called before this returns."""
        self._dialer.look_up_then(self.route.chain[0], self._begin)

    def cancel(self) -> None:
        """Give the dial up: nobody waits for it."""
        self._done = None
        self._stop()
        if self.sock is not None and not self._is_own:
            self._loop.discard(self.sock)

    def _begin(self, error: OSError | None) -> None:
        """Connect to the first address; `error` tells that the proxy has none. A cancelled dial does nothing."""
        if self._done is None:
            return
        try:
            if error is not None:
                raise error
            handshake = self._handshake = _handshake(self.route, self._started, self._seconds)
            handshake.try_addresses(self._candidates(self.route.chain[0]))
        except OSError as failure:
            known = isinstance(failure, errors.ProxyError)
            self._finish(failure if known else errors.unreachable(failure, self.route))
        else:
            self._try_next(handshake, OSError(EHOSTUNREACH, os.strerror(EHOSTUNREACH)))

    def _candidates(self, proxy: Proxy) -> list[Candidate]:
        family = self.sock.family if self.sock is not None else AF_INET
        candidates = self._dialer.addresses.candidates(proxy, family)
        if self.sock is None:
            return candidates
        takes = families_of(self.sock)
        return [candidate for candidate in candidates if candidate[0] in takes]

    def _try_next(self, handshake: Handshake, error: OSError) -> None:
        """Connect to the next address. If there is none, the dial has failed with `error`."""
        self._unwatch()
        while handshake.candidates:
            candidate = handshake.attempt()
            try:
                self._connect(candidate)
            except BlockingIOError:
                if candidate[0] == AF_UNIX:
                    # connect(2), EAGAIN: the socket of the proxy has no room for another connection.
                    error = ConnectionRefusedError(ECONNREFUSED, os.strerror(ECONNREFUSED))
                    continue
            except OSError as failure:
                error = failure
                continue
            handshake.has_reached()
            self._limit(handshake)
            # The proxy may be on this machine, and the connection there at once.
            self._advance()
            return
        self._dialer.addresses.forget(self.route.chain[0])
        self._finish(errors.unreachable(error, self.route))

    def _connect(self, candidate: Candidate) -> None:
        family, address, _ = candidate
        sock = self.sock
        if sock is None or not self._is_own:
            if sock is not None:
                self._loop.discard(sock)
            sock = self.sock = self._loop.stream(family)
            sock.connect(address)
            return
        if self._is_spent:
            # The socket may still be connecting to the address before.
            disconnect(sock)
        self._is_spent = True
        sock.connect(address if family == sock.family else mapped(address))

    def _handle(self, _fd: int, _events: int) -> None:
        self._advance()

    def _advance(self) -> None:
        handshake, sock = self._handshake, self.sock
        if handshake is None or sock is None:
            return
        try:
            events = handshake.advance(sock)  # type: ignore[arg-type]  # the events of poll(2) are those of epoll
        except ProtocolError as error:
            self._finish(errors.refused(error, self.route, handshake.hop_number))
        except OSError as error:
            if handshake.begun:
                self._finish(errors.broken(error, self.route, handshake.hop_number))
            else:
                self._try_next(handshake, error)
        else:
            if events:
                self._watch(events)
            else:
                self._finish(None)

    def _limit(self, handshake: Handshake) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # All timers of one length share a queue, so the usual length is always the same number.
        is_last = handshake.deadline == handshake.until
        seconds = self._seconds if is_last else handshake.share
        self._timer = self._loop.after(seconds, self._expire)

    def _expire(self) -> None:
        handshake = self._handshake
        if handshake is None:
            return
        left = handshake.until - monotonic()
        if left <= 0 or not handshake.candidates:
            self._finish(_silence(self.route, handshake))
        elif handshake.may_begin_again():
            if handshake.attempted is not None:
                self._dialer.addresses.demote(self.route.chain[0], handshake.attempted)
            handshake.begin_again()
            self._try_next(handshake, OSError(ETIMEDOUT, os.strerror(ETIMEDOUT)))
        else:
            handshake.keep_to_address()
            self._timer = self._loop.after(left, self._expire)

    def _finish(self, error: OSError | None) -> None:
        self._stop()
        done, self._done = self._done, None
        if error is not None and self.sock is not None and not self._is_own:
            self._loop.discard(self.sock)
            self.sock = None
        if log.is_open():
            log.connected(self.route, self._started, error)
        elif error is not None:
            self._dialer.notices.tell(str(error.strerror))
        if done is not None:
            done(error)

    def _stop(self) -> None:
        self._handshake = None
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, events: int) -> None:
        if self.sock is not None:
            self._loop.watch(self.sock.fileno(), events, self._handle)

    def _unwatch(self) -> None:
        if self.sock is not None and self.sock.fileno() >= 0:
            self._loop.watch(self.sock.fileno(), 0, self._handle)


def families_of(sock: _originals.Socket) -> tuple[int, ...]:
    """Return the families of addresses that a socket of the target can connect to."""
    if sock.family != AF_INET6:
        return (sock.family,)
    host = sock.getsockname()[0]
    if is_mapped(host):
        return (AF_INET,)
    is_bound = host not in ("::", "")
    # RFC 3493 section 5.3: with IPV6_V6ONLY a socket takes no mapped addresses.
    return (AF_INET6,) if is_bound or sock.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY) else (AF_INET6, AF_INET)


def disconnect(sock: _originals.Socket) -> None:
    """Bring a socket back into the state before connect(2), and forget its error. It keeps the options and the port.

    connect(2): "TCP sockets may dissolve the association by connecting to an address with AF_UNSPEC".
    """
    connect_raw(sock.fileno(), _NOWHERE)
    clear_error(sock)


def clear_error(sock: _originals.Socket) -> None:
    """Take the error of a disconnected or shut down socket out of it: the true error is reported instead."""
    sock.getsockopt(SOL_SOCKET, SO_ERROR)


def settle(sock: _originals.Socket) -> None:
    """Let the kernel take note that a connect(2) has returned, so that the next one fails with EISCONN.

    After a non-blocking connect(2), which was ours, the next one succeeds once, whatever its address is.
    """
    connect_raw(sock.fileno(), _ANYWHERE)


def _handshake(route: Via, started: float, seconds: float) -> Handshake:
    try:
        return Handshake(route, started, seconds)
    except ProtocolError as error:
        raise errors.unsayable(error, route) from None
    except ValueError:  # a name that the protocol cannot carry
        raise OSError(EHOSTUNREACH, os.strerror(EHOSTUNREACH)) from None


def _silence(route: Via, handshake: Handshake) -> OSError:
    stage = "the connection to it" if not handshake.begun else "its answer"
    return errors.silent(route, handshake.hop_number, handshake.limit, stage)
