"""select, poll and epoll as the client sees them: they tell of a tunnel where the kernel knows only the proxy.

With nothing unsettled each is the stdlib's call and one look at an empty dict. `select.epoll` is a type whose
methods can be set, which covers objects and names that exist already; objects of `select.poll` keep no trace of
what they watch, so those that the function makes are of a thin class around them.
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
    from collections.abc import Callable, Iterable
    from select import epoll as Epoll
    from typing import Any

    from socksify.tunnel.readiness import Events

    Lists = tuple[list[Any], list[Any], list[Any]]
    FileDescriptorLike = Any  # an int or an object with fileno(), as select takes them

# Looked at by every wait. The dict stays the same.
unsettled = registry.unsettled
# select(2) takes no larger ones.
_FD_SETSIZE = 1024
_DEFAULT = POLLIN | POLLPRI | POLLOUT


def _fd_of(file: FileDescriptorLike) -> int | None:
    """The fd of a file object; None for what select itself will refuse."""
    if isinstance(file, int):
        return file
    fileno = getattr(file, "fileno", None)
    try:
        fd = fileno() if fileno is not None else None
    except Exception:  # select asks again, and raises whatever this was
        return None
    return fd if isinstance(fd, int) else None


# --- epoll ---


def _register(self: Epoll, /, fd: FileDescriptorLike, eventmask: int = _DEFAULT) -> None:
    # The client's own mask first, and a stand-in after: what the kernel refuses is to be refused.
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
    """Wait while tunnels are unsettled; `seen` is what a wait that began before has brought."""

    def masks(fd: int) -> int:
        return registry.epoll_masks.mask_of(epoll.fileno(), fd, -1)

    def look(clock: Clock) -> Events:
        epoll_fd = epoll.fileno()
        others = registry.unattended.beside(epoll_fd)
        registry.unattended.polls(epoll_fd)
        seconds = clock.slice()
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
    # The fds for which the poll object was told something else than the client's mask.
    _stand_ins: set[int]

    def __new__(cls, *_: object) -> _Poll:
        raise TypeError("cannot create 'select.poll' instances")

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

        timeout is in milliseconds, None or negative for ever.
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
    """A polling object as select.poll() returns it."""
    return poll_around(_originals.poll())


def _make_poll(_: object, /) -> _Poll:
    return poll_around(_originals.poll())


def poll_around(poll: Any) -> _Poll:
    """A polling object around one that has its methods, and waits as it does."""
    made = object.__new__(_Poll)
    made._poll, made._masks, made._stand_ins = poll, {}, set()
    return made


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
        # Iterators can be gone through only once.
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
    """select() while tunnels are unsettled, by a function that has its arguments and waits in its own way."""
    return _Selection(select, list(rlist), list(wlist), list(xlist)).wait(clock)


def _sequence(files: Iterable[FileDescriptorLike]) -> Iterable[FileDescriptorLike]:
    return files if isinstance(files, (list, tuple, set)) or not hasattr(files, "__next__") else list(files)


class _Selection:
    """One select() call while tunnels are unsettled: the three lists, each file with its fd."""

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
        """Select on what is left of the lists and the handshakes' stand-ins; push these on."""
        stand_ins = {fd: events for fd in self._unsettled() if (events := readiness.wanted(fd)) is not None}
        # A listening socket needs none for reading, and is never writable.
        pending = {fd: events for fd, events in stand_ins.items() if events}
        rlist, wlist, xlist = (
            [file for file, fd in zip(files, fds, strict=True) if fd not in without]
            for files, fds, without in zip(self._lists, self._fds, (pending, stand_ins, pending), strict=True)
        )
        others = registry.unattended.beside(fds=self._own)
        beside = {fd: events for fd, events in others.fds.items() if fd < _FD_SETSIZE}
        reading = [fd for fd, events in (pending | beside).items() if events & POLLIN]
        writing = [fd for fd, events in (pending | beside).items() if events & POLLOUT]
        seconds = clock.glance() if pending or others else clock.slice()
        try:
            readable, writable, exceptional = self._select(rlist + reading, wlist + writing, xlist, seconds)
        except OSError:
            if not beside:
                raise
            # Another thread has closed one of the others; if it is one of the client's own, it raises again.
            readable, writable, exceptional = self._select(rlist, wlist, xlist, 0)
        found = {fd for fd in (*readable, *writable) if type(fd) is int}
        ready = found & pending.keys()
        readiness.go_on(others, (found & beside.keys()) | (others.fds.keys() - beside.keys()))
        _, moved = readiness.sift([(fd, pending[fd]) for fd in ready], lambda _: 0)
        return (_without(readable, reading), _without(writable, writing), exceptional), moved

    def _unsettled(self) -> set[int]:
        return {fd for fd in self._own if fd in unsettled}


def _without(files: list[FileDescriptorLike], stand_ins: list[int]) -> list[FileDescriptorLike]:
    """The client's own files: an fd that stands in for a handshake is never one of them at the same time."""
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
    """Without those of functions in whose place gevent or eventlet has put its own, which are an adapter's business."""
    # It stores both functions in its classes, so that undoing has to know them. socket imports it up to Python 3.13. An
    # import inside of a function is never a lazy one (PEP 810).
    import selectors  # noqa: F401

    functions: list[tuple[str, Callable[..., Any]]] = [("select", _select), ("poll", _make_poll)]
    own = [(name, new) for name, new in functions if getattr(_module, name, None) is getattr(_originals, name)]
    return [*EPOLL, *(Replacement(_module, name, new) for name, new in own)]
