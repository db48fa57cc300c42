"""The masks that the client has set for the fds in its epoll objects.

While a handshake is pending, the kernel's mask is a stand-in: the level-triggered event that the handshake waits for.
When the handshake is settled, the client's own mask is restored. This re-arms EPOLLET and EPOLLONESHOT too.

All epoll objects share one inode, and they accept no weak references. So registrations are stored by fd numbers. If a
number refers to another file by now, the kernel refuses to change the registration (ENOENT, EBADF). fds are small
numbers that are used again, so the table never has more entries than there were open fds at one time.
"""

from __future__ import annotations

import os
import select
from errno import EINVAL

from socksify import _originals
from socksify._signal_safety import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from select import epoll as Epoll

    from socksify.tunnel.state import Tunnel
    from socksify.tunnel.unattended import Unattended

    Mask = int


class EpollMasks:
    """The registrations of the client's epoll objects. `unattended` is told which pending tunnels they watch."""

    __slots__ = ("_unattended", "registrations")

    def __init__(self, unattended: Unattended) -> None:
        self._unattended = unattended
        # fd -> {fd of the epoll object: the client's mask}
        self.registrations: dict[int, dict[int, Mask]] = {}

    def note(self, epoll_fd: int, fd: int, mask: Mask) -> None:
        """Note that the client registered an fd with an epoll object, or changed its mask."""
        watchers = self.registrations.get(fd)
        if watchers is None:
            self.registrations[fd] = {epoll_fd: mask}
        else:
            watchers[epoll_fd] = mask

    def join(self, tunnel: Tunnel | None, epoll: Epoll, fd: int) -> None:
        """Set the stand-in, because the client has registered the fd of a pending tunnel, or changed its mask.

        If `tunnel` is None, the client's own mask is set.
        """
        if tunnel is not None:
            self._unattended.discard(tunnel)
            tunnel.watchers[fd, epoll.fileno()] = epoll
            self._unattended.add(tunnel)
        # Another thread may have settled or advanced the handshake in between.
        mask = self.mask_of(epoll.fileno(), fd)
        _set(epoll, fd, tunnel.awaited(mask) if tunnel is not None else mask)

    def leave(self, tunnel: Tunnel | None, epoll_fd: int, fd: int) -> None:
        """Note that the client took an fd out of an epoll object."""
        self.forget(epoll_fd, fd)
        if tunnel is not None and (fd, epoll_fd) in tunnel.watchers:
            self._unattended.discard(tunnel)
            tunnel.watchers.pop((fd, epoll_fd), None)
            self._unattended.add(tunnel)

    def mask_of(self, epoll_fd: int, fd: int, default: Mask = 0) -> Mask:
        """Return the client's mask for an fd, `default` if the mask is not known."""
        return self.registrations.get(fd, {}).get(epoll_fd, default)

    def forget(self, epoll_fd: int, fd: int) -> None:
        """Forget a registration: an epoll object does not watch an fd any longer."""
        watchers = self.registrations.get(fd)
        if watchers is not None:
            watchers.pop(epoll_fd, None)

    def closed(self, fd: int) -> None:
        """Forget an fd that was closed, because the kernel has taken it out of every epoll object."""
        self.registrations.pop(fd, None)

    def stand_in(self, tunnel: Tunnel, fd: int) -> None:
        """Make every epoll object that watches an fd wait for the events that the fd's tunnel waits for."""
        for epoll_fd in list(self.registrations.get(fd, ())):
            known = tunnel.watchers.get((fd, epoll_fd))
            epoll = known or _reopened(epoll_fd)
            if epoll is not None and _set(epoll, fd, tunnel.awaited(self.mask_of(epoll_fd, fd))):
                # The reopened object is not stored: when it is freed, it would close any file that has its number then.
                tunnel.watchers[fd, epoll_fd] = known
            else:
                self.forget(epoll_fd, fd)

    def change(self, tunnel: Tunnel, events: int) -> None:
        """Set a new stand-in: from now on the handshake waits for `events`."""
        for (fd, epoll_fd), known in tunnel.watchers.copy().items():
            epoll = known or _reopened(epoll_fd)
            if epoll is not None:
                _set(epoll, fd, events)

    def clear(self) -> None:
        """Forget all registrations."""
        self.registrations.clear()

    def restore(self, tunnel: Tunnel) -> None:
        """Give the kernel the client's masks again. A listening socket keeps a stand-in, as it is never writable."""
        for (fd, epoll_fd), known in tunnel.watchers.copy().items():
            epoll = known or _reopened(epoll_fd)
            if epoll is not None:
                _set(epoll, fd, tunnel.awaited(self.mask_of(epoll_fd, fd)))
        self._unattended.discard(tunnel)
        tunnel.watchers.clear()
        self._unattended.add(tunnel)

    def leaving(self, fd: int) -> None:
        """Take an fd out of all epoll objects before another kernel socket is put on it; the old socket stays open.

        Otherwise the old socket would be reported as this fd until all its copies are closed (epoll(7)).
        """
        for epoll_fd in list(self.registrations.get(fd, ())):
            epoll = _reopened(epoll_fd)
            try:
                if epoll is not None:
                    _originals.epoll_unregister(epoll, fd)
            except ours(OSError):
                self.forget(epoll_fd, fd)

    def moved(self, fd: int) -> None:
        """Register an fd again, because it left every epoll object when another kernel socket was put on it."""
        for epoll_fd, mask in self.registrations.get(fd, {}).copy().items():
            epoll = _reopened(epoll_fd)
            try:
                if epoll is not None:
                    _originals.epoll_register(epoll, fd, mask)
            except ours(OSError):
                self.forget(epoll_fd, fd)

    def prime(self) -> None:
        """Learn the registrations of existing epoll objects from /proc/self/fdinfo (proc(5)).

        Only Linux has these files. On other systems nothing is done.
        """
        try:
            numbers = os.listdir("/proc/self/fd")
        except ours(OSError):
            return
        for number in numbers:
            try:
                if os.readlink(f"/proc/self/fd/{number}") == "anon_inode:[eventpoll]":
                    self._prime_from(int(number))
            except ours(OSError):
                continue

    def _prime_from(self, epoll_fd: int) -> None:
        """Read lines such as "tfd:        5 events:       1d data: ..."; the mask is in hexadecimal."""
        with open(f"/proc/self/fdinfo/{epoll_fd}", encoding="ascii") as info:
            for entry in info:
                words = entry.split()
                if words[:1] == ["tfd:"]:
                    self.note(epoll_fd, int(words[1]), int(words[3], 16))


def _set(epoll: Epoll, fd: int, mask: Mask) -> bool:
    """Change a registration in the kernel. Return False if there is no such registration."""
    try:
        _originals.epoll_modify(epoll, fd, mask)
    except ours(ValueError):  # the epoll object was closed
        return False
    except ours(OSError) as error:
        # epoll_ctl(2), EINVAL: a registration with EPOLLEXCLUSIVE cannot be modified, or this is no epoll object.
        return error.errno == EINVAL and _set_anew(epoll, fd, mask)
    return True


def _set_anew(epoll: Epoll, fd: int, mask: Mask) -> bool:
    try:
        _originals.epoll_unregister(epoll, fd)
        _originals.epoll_register(epoll, fd, mask)
    except ours(OSError):
        return False
    return True


def _reopened(epoll_fd: int) -> Epoll | None:
    """Return a new internal object for the client's epoll instance.

    The object has an fd of its own, so closing the object does not close the client's fd.
    """
    try:
        return select.epoll.fromfd(os.dup(epoll_fd))
    except ours(OSError):
        return None
