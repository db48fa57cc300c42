"""select, poll and epoll as the client sees them: they report the state of the tunnel, not that of the proxy's socket.

While no tunnel is unsettled, each call costs the stdlib's call and one test of an empty dict. `select.epoll` is a type
whose methods can be set, so existing objects and names are covered, too. An object of `select.poll` does not reveal
which fds it watches. Therefore select.poll() returns an object of a thin class, which has such a poll object inside.
"""

from __future__ import annotations

import select as _module
from select import POLLIN, POLLOUT, POLLPRI

from socksify import _originals
from socksify._originals import monotonic
from socksify.patches.journal import Replacement
from socksify.tunnel import readiness
from socksify.tunnel.readiness import Clock
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping
    from select import epoll as Epoll
    from typing import Any

    from socksify.tunnel.readiness import Events

    Lists = tuple[list[Any], list[Any], list[Any]]
    FileDescriptorLike = Any  # an int or an object with fileno(), as select takes them

# Every wait reads this dict. The registry never replaces it by another dict.
unsettled = registry.unsettled
# select(2) takes only fds below this number.
_FD_SETSIZE = 1024
_DEFAULT = POLLIN | POLLPRI | POLLOUT


def _fd_of(file: FileDescriptorLike) -> int | None:
    """Return the fd of a file object; None for an argument that select itself will refuse."""
    if isinstance(file, int):
        return file
    fileno = getattr(file, "fileno", None)
    try:
        fd = fileno() if fileno is not None else None
    except Exception:  # select asks again, and raises the exception itself
        return None
    return fd if isinstance(fd, int) else None


# --- epoll ---


def _register(self: Epoll, /, fd: FileDescriptorLike, eventmask: int = _DEFAULT) -> None:
    # The client's own mask comes first, so that the kernel can refuse it. A stand-in for the handshake follows.
    _originals.epoll_register(self, fd, eventmask)
    _note(self, fd, eventmask)


def _modify(self: Epoll, /, fd: FileDescriptorLike, eventmask: int) -> None:
    _originals.epoll_modify(self, fd, eventmask)
    _note(self, fd, eventmask)


def _note(epoll: Epoll, file: FileDescriptorLike, mask: int) -> None:
    fd = _fd_of(file)
    if fd is None:
        return
    registry.epoll_masks.note(epoll.fileno(), fd, mask)
    if unsettled and readiness.wanted(fd) is not None:
        registry.epoll_masks.join(unsettled.get(fd), epoll, fd)


def _unregister(self: Epoll, /, fd: FileDescriptorLike) -> None:
    _originals.epoll_unregister(self, fd)
    number = _fd_of(fd)
    if number is not None:
        registry.epoll_masks.leave(unsettled.get(number), self.fileno(), number)


def _epoll_poll(self: Epoll, /, timeout: float | None = None, maxevents: int = -1) -> Events:
    started = monotonic()
    if unsettled:
        return _epoll_wait(self, maxevents, Clock(timeout, started))
    events: Events = _originals.epoll_poll(self, timeout, maxevents)
    # Another thread may have begun a connect meanwhile.
    return events if not unsettled else _epoll_wait(self, maxevents, Clock(timeout, started), events)


def _epoll_wait(epoll: Epoll, maxevents: int, clock: Clock, seen: Events | None = None) -> Events:
    """Wait while tunnels are unsettled. `seen` are the events of a wait that began before they were."""

    def masks(fd: int) -> int:
        return registry.epoll_masks.mask_of(epoll.fileno(), fd, -1)

    def look(clock: Clock) -> Events:
        epoll_fd = epoll.fileno()
        others = registry.unattended.beside(epoll_fd)
        registry.unattended.polls(epoll_fd)
        seconds = clock.timeout()
        if others:
            poller = _originals.poll()
            poller.register(epoll_fd, POLLIN)
            readiness.poll_beside(others, poller, clock)
            seconds = 0
        events: Events = _originals.epoll_poll(epoll, seconds, maxevents)
        registry.unattended.polls(epoll_fd)
        return events

    if seen is not None:
        ready, moved = readiness.sift(seen, masks)
        if ready or not (seen or moved):
            return ready
    return readiness.wait(look, clock, masks)


class _Poll:
    """A polling object as select.poll() returns it, around the stdlib's."""

    __slots__ = ("_masks", "_poll", "_stand_ins")

    _poll: _module.poll
    _masks: dict[int, int]
    # The fds that are registered with the inner object, but with another mask than the client's.
    _stand_ins: set[int]

    def __new__(cls, *_: object) -> _Poll:
        raise TypeError("cannot create 'select.poll' instances")

    @classmethod
    def _around(cls, poll: Any) -> _Poll:
        """Return an object around `poll`, which has the methods of a polling object and its own way of waiting."""
        self = object.__new__(cls)
        self._poll, self._masks, self._stand_ins = poll, {}, set()
        return self

    def register(self, fd: FileDescriptorLike, eventmask: int = _DEFAULT, /) -> None:
        """Register a file descriptor with the polling object."""
        self._poll.register(fd, eventmask)
        self._masks[_number(fd)] = eventmask

    def modify(self, fd: FileDescriptorLike, eventmask: int, /) -> None:
        """Modify an already registered file descriptor."""
        self._poll.modify(fd, eventmask)
        self._masks[_number(fd)] = eventmask

    def unregister(self, fd: FileDescriptorLike, /) -> None:
        """Remove a file descriptor being tracked by the polling object."""
        self._poll.unregister(fd)
        del self._masks[_number(fd)]
        self._stand_ins.discard(_number(fd))

    def poll(self, timeout: float | None = None, /) -> Events:
        """Polls the set of registered file descriptors.

        timeout is in milliseconds; None or a negative number waits without a limit.
        """
        started = monotonic()
        if not unsettled and not self._stand_ins:
            events: Events = self._poll.poll(timeout)
            # Another thread may have begun a connect meanwhile.
            if not unsettled:
                return events
        seconds = None if timeout is None else timeout / 1000
        return readiness.wait(self._look, Clock(seconds, started), self._masks.__getitem__)

    def _look(self, clock: Clock) -> Events:
        for fd in self._stand_ins.union(self._masks.keys() & unsettled.keys()):
            self._substitute(fd)
        return readiness.poll_beside(
            registry.unattended.beside(fds=self._masks), self._poll, clock, bool(self._stand_ins)
        )

    def _substitute(self, fd: int) -> None:
        stand_in = readiness.wanted(fd, self._masks[fd])
        if stand_in is not None:
            self._stand_ins.add(fd)
            self._poll.modify(fd, stand_in)
        else:
            self._stand_ins.discard(fd)
            self._poll.modify(fd, self._masks[fd])


def make_poll() -> _Poll:
    """Return a polling object as select.poll() does."""
    return _Poll._around(_originals.poll())


def poll_around(poll: Any) -> _Poll:
    """Return a polling object around that of another library, which has the same methods and its own way of waiting."""
    return _Poll._around(poll)


def _new_poll(_: object, /) -> _Poll:
    return _Poll._around(_originals.poll())


def _number(file: FileDescriptorLike) -> int:
    return file if isinstance(file, int) else file.fileno()


def _select(
    _: object,
    rlist: Iterable[FileDescriptorLike],
    wlist: Iterable[FileDescriptorLike],
    xlist: Iterable[FileDescriptorLike],
    timeout: float | None = None,
    /,
) -> Lists:
    started = monotonic()
    if not unsettled:
        # An iterator can be read only once.
        rlist, wlist, xlist = _sequence(rlist), _sequence(wlist), _sequence(xlist)
        found: Lists = _originals.select(rlist, wlist, xlist, timeout)
        # Another thread may have begun a connect meanwhile.
        if not unsettled:
            return found
    return select_by(_originals.select, rlist, wlist, xlist, Clock(timeout, started))


def select_by(
    select: Callable[..., Lists],
    rlist: Iterable[FileDescriptorLike],
    wlist: Iterable[FileDescriptorLike],
    xlist: Iterable[FileDescriptorLike],
    clock: Clock,
) -> Lists:
    """Do as select() does while tunnels are unsettled. `select` has its signature, and waits in its own way."""
    return _Selection(select, list(rlist), list(wlist), list(xlist)).wait(clock)


def _sequence(files: Iterable[FileDescriptorLike]) -> Iterable[FileDescriptorLike]:
    return files if isinstance(files, (list, tuple, set)) or not hasattr(files, "__next__") else list(files)


class _Selection:
    """One select() call while tunnels are unsettled: the three lists, and the fd of each file in them."""

    def __init__(self, select: Callable[..., Lists], *lists: list[FileDescriptorLike]) -> None:
        self._select = select
        self._lists = lists
        self._fds = [[_fd_of(file) for file in files] for files in lists]
        self._own = {fd for fds in self._fds for fd in fds if fd is not None}

    def wait(self, clock: Clock) -> Lists:
        while True:
            found, moved = self._look(clock)
            if any(found):
                return found
            if not moved and clock.is_over():
                return found

    def _look(self, clock: Clock) -> tuple[Lists, bool]:
        """Select on the rest of the lists and on the stand-ins of handshakes, and advance those that are ready."""
        stand_ins = {fd: events for fd in self._unsettled() if (events := readiness.wanted(fd)) is not None}
        # A listening socket needs no stand-in for reading, and is never writable.
        pending = {fd: events for fd, events in stand_ins.items() if events}
        own = self._lists_without(pending, stand_ins, pending)
        others = registry.unattended.beside(fds=self._own)
        beside = {fd: events for fd, events in others.fds.items() if fd < _FD_SETSIZE}
        seconds = clock.short_timeout() if pending or others else clock.timeout()
        try:
            lists, found = self._select_with(own, pending | beside, seconds)
        except OSError:
            if not beside:
                raise
            # Another thread has closed one of these fds. If the closed fd is the client's, this call raises, too.
            lists, found = self._select_with(own, {}, 0)
        readiness.drive_ready(others, (found & beside.keys()) | (others.fds.keys() - beside.keys()))
        _, moved = readiness.sift([(fd, pending[fd]) for fd in found & pending.keys()], lambda _: 0)
        return lists, moved

    def _lists_without(self, *fds: Container[int | None]) -> Lists:
        """Return the client's three lists, each without the files whose fds are in the container for that list."""
        rlist, wlist, xlist = (
            [file for file, fd in zip(files, own, strict=True) if fd not in without]
            for files, own, without in zip(self._lists, self._fds, fds, strict=True)
        )
        return rlist, wlist, xlist

    def _select_with(self, own: Lists, more: Mapping[int, int], seconds: float | None) -> tuple[Lists, set[int]]:
        """Select on the client's lists and on `more` fds. Return what is ready of the lists, and all ready fds."""
        rlist, wlist, xlist = own
        reading = [fd for fd, events in more.items() if events & POLLIN]
        writing = [fd for fd, events in more.items() if events & POLLOUT]
        readable, writable, exceptional = self._select(rlist + reading, wlist + writing, xlist, seconds)
        found = {fd for fd in (*readable, *writable) if type(fd) is int}
        return (_without(readable, reading), _without(writable, writing), exceptional), found

    def _unsettled(self) -> set[int]:
        return {fd for fd in self._own if fd in unsettled}


def _without(files: list[FileDescriptorLike], stand_ins: list[int]) -> list[FileDescriptorLike]:
    """Return the client's own files. The fd of a stand-in is never in the client's list at the same time."""
    return [file for file in files if not (type(file) is int and file in stand_ins)]


_Poll.__module__, _Poll.__name__, _Poll.__qualname__ = "select", "poll", "poll"

EPOLL = (
    ()
    if not hasattr(_module, "epoll")
    else (
        Replacement(_module.epoll, "register", _register),
        Replacement(_module.epoll, "modify", _modify),
        Replacement(_module.epoll, "unregister", _unregister),
        Replacement(_module.epoll, "poll", _epoll_poll),
    )
)


def replacements() -> list[Replacement]:
    """Return the replacements. If gevent or eventlet has replaced a function, an adapter covers it, not this list.

    The module `selectors` stores both functions in its classes, so it is imported before they are replaced. Up to
    Python 3.13 `socket` imports it. An import inside of a function is never lazy (PEP 810).
    """
    import selectors  # noqa: F401

    functions: list[tuple[str, Callable[..., Any]]] = [("select", _select), ("poll", _new_poll)]
    own = [(name, new) for name, new in functions if getattr(_module, name, None) is getattr(_originals, name)]
    return [*EPOLL, *(Replacement(_module, name, new) for name, new in own)]
