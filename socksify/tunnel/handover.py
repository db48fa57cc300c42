"""Hand open connections over to other processes, so that getpeername() and getsockname() answer correctly there.

The kernel's socket leads to a proxy. Only the process that made the connection knows the target behind the proxy. A
child process may inherit the descriptor (subprocess's pass_fds, exec, multiprocessing), or a related process may
receive it (socket.send_fds()). So before the process starts a child or sends a descriptor, it writes records of its
open connections. A record is found by the kernel's name for the socket. The process writes the records to its own file
in memory, and to the files of its ancestors (`shared_table`). If a socket object is made from an unknown descriptor,
its record is looked up in the same files. A program that starts no child and sends no descriptor pays nothing.

The inode number of a socket chooses the page that holds its record. A page that is full drops its oldest records.
A file vanishes with its process. If all files with the record are gone, the object answers what the kernel answers.
"""

from __future__ import annotations

import marshal
import os
import sys
from socket import SOCK_STREAM

from socksify import _originals
from socksify._descriptors import identity
from socksify._signal_safety import ours
from socksify.protocol.address import Address
from socksify.routing import fake_addresses
from socksify.routing.route import Via
from socksify.routing.shared_table import SharedTable, find
from socksify.tunnel.registry import registry
from socksify.tunnel.state import Tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket

    from socksify._descriptors import Identity
    from socksify.config.proxy_url import Proxy
    from socksify.config.settings import Settings
    from socksify.routing.sockaddr import SockAddress

    # The answer of getpeername(); the answer of getsockname(), where port 0 stands for the port that the kernel
    # reports; the target; the options.
    _Record = tuple[SockAddress, tuple[str, int], tuple[int, str, int], dict[tuple[int, int], int]]
    _Page = dict[Identity, _Record]

# The pages follow the names. There are at most 1 << 17 names of 256 bytes each.
_START = 1 << 25
_PAGE = 4096
_PAGES = 1024
# The oldest format of marshal that every Python reads.
_FORMAT = 2
# The number of generations (parent, grandparent, ...) whose files get the records and are searched for them.
_GENERATIONS = 4


class Handover:
    """The records that this process has published, and the files of the processes that may send it descriptors."""

    __slots__ = ("_forked", "_is_shared", "_parents", "_published", "_published_to")

    def __init__(self) -> None:
        # Whether other processes may hold connections of this process, or this process may hold theirs.
        self._is_shared = False
        # The path of this process's own file at its last fork, and the files of the processes that forked it.
        self._forked = ""
        self._parents: tuple[str, ...] = ()
        # The records that were published last, and the files that got them.
        self._published: _Page = {}
        self._published_to: tuple[SharedTable | None, tuple[str, ...]] = (None, ())

    def is_shared(self) -> bool:
        """Whether a descriptor may belong to a connection of another process."""
        return self._is_shared or bool(fake_addresses.TABLE.ancestors)

    def publish(self) -> None:
        """Write down the connections that are open now. Call this before a child starts or a descriptor is sent."""
        self._is_shared = True
        known = {each.identities[0]: _record(each) for each in registry.everyone() if each.is_open and each.identities}
        own = fake_addresses.TABLE.open_file() if known and fake_addresses.TABLE.path else None
        files = own, self._files()
        already = self._published if files == self._published_to else {}
        news = {name: record for name, record in known.items() if already.get(name) != record}
        if news:
            for file in files[1]:
                _write(file, news)
        self._published_to, self._published = files, known

    def look_up(self, sock: Socket, settings: Settings) -> Tunnel | None:
        """Check whether an object that was made from an fd is the connection of another process.

        If so, register the object and return its tunnel; otherwise return None. `settings` name the proxies to which
        the object may lead.
        """
        chain = _chain(sock, settings) if _originals.kind(sock) == SOCK_STREAM else None
        if chain is None:
            return None
        name = identity(_originals.fileno(sock))
        if name is None:
            return None
        record = next(filter(None, (_page(file, name).get(name) for file in self._files())), None)
        if record is None:
            return None
        peer, bound, target, options = record
        tunnel = Tunnel(Via(chain, Address(*target), peer, settings.default), bound=bound, options=options)
        registry.add(sock, tunnel)
        registry.control_connections.note(tunnel)
        return tunnel

    def prepare(self) -> None:
        """Prepare for a child that may send descriptors to this process, or to other children of this process.

        All these children write to this process's file, so the file is opened now. In other cases the file is opened
        only when there is a record to write.
        """
        self._is_shared = True
        fake_addresses.TABLE.open_file()

    def before_fork(self) -> None:
        """Prepare for a fork, since parent and child may send each other descriptors, as multiprocessing does."""
        if "multiprocessing.reduction" in sys.modules:
            self.prepare()
        self._forked = fake_addresses.TABLE.path

    def after_fork(self) -> None:
        """Remember the parent's file in the child, where that file is no longer the process's own."""
        if self._forked:
            self._parents = (self._forked, *self._parents)[:_GENERATIONS]

    def _files(self) -> tuple[str, ...]:
        """Return the files to write and to read, the nearest first."""
        own, ancestors = fake_addresses.TABLE.path, fake_addresses.TABLE.ancestors
        return tuple(dict.fromkeys(filter(None, (own, *self._parents, *ancestors))))


handover = Handover()


def _record(tunnel: Tunnel) -> _Record:
    port = tunnel.chosen_port or (tunnel.bound[1] if tunnel.bound is not None else 0)
    target = tunnel.route.target
    far = (target.type, target.host, target.port)
    return tuple(tunnel.route.peer), (registry.external_addresses.host(tunnel), port), far, dict(tunnel.options)


def _chain(sock: Socket, settings: Settings) -> tuple[Proxy, ...] | None:
    """Return the chain of proxies to which the socket may lead, judged by its peer in the kernel.

    None means that the socket leads to no proxy, so it need not be looked up.
    """
    try:
        peer = _originals.getpeername(sock)
    except ours(OSError):
        return None
    chains = [chain for chain in (settings.proxy, *settings.proxies.values()) if chain]
    if isinstance(peer, tuple):
        return next((chain for chain in chains if chain[0].path is None and chain[0].port == peer[1]), None)
    # `peer` is the path of a Unix socket. The path is empty for a socketpair().
    return next((chain for chain in chains if chain[0].path is not None), None) if peer else None


def _page(file: str, name: Identity) -> _Page:
    try:
        fd = _open(file, os.O_RDONLY)
    except ours(OSError):
        return {}
    try:
        return _read(fd, _place(name))
    finally:
        os.close(fd)


def _write(file: str, news: _Page) -> None:
    """Write records to the file of a process.

    Errors are ignored: the process may be gone or belong to another user, or no memory may be left. Then the record is
    missing in that file.
    """
    try:
        fd = _open(file, os.O_RDWR)
    except ours(OSError):
        return
    try:
        for name, record in news.items():
            place = _place(name)
            page = _read(fd, place)
            page.pop(name, None)
            os.pwrite(fd, _fitting({name: record, **page}), place)
    except ours(OSError):
        pass
    finally:
        os.close(fd)


def _open(file: str, mode: int) -> int:
    """Open the file of a process. Raises OSError."""
    found = find(file)
    if found is None:
        raise FileNotFoundError(file)
    return os.open(found, mode | os.O_CLOEXEC | os.O_NONBLOCK)


def _place(name: Identity) -> int:
    return _START + name[1] % _PAGES * _PAGE


def _read(fd: int, place: int) -> _Page:
    try:
        page = os.pread(fd, _PAGE, place)
        records: _Page = marshal.loads(page) if page.strip(b"\0") else {}
    except ours(OSError, ValueError, EOFError, TypeError):
        return {}
    return records if isinstance(records, dict) else {}


def _fitting(records: _Page) -> bytes:
    """Return the records as a page. If they do not all fit, the oldest ones, which are last, are left out."""
    while len(data := marshal.dumps(records, _FORMAT)) > _PAGE:
        records.popitem()
    return data.ljust(_PAGE, b"\0")
