"""Open connections that another process is given: what getpeername() and getsockname() are to say there.

The kernel's socket leads to a proxy. Which target is behind it only the process knows that made the connection. A child
process may inherit its descriptor (subprocess's pass_fds, exec, multiprocessing), or any process of the family
may be sent it (socket.send_fds()). So before a child is started or a descriptor is sent, the process writes down what
it knows of its open connections, by the kernel's names for them, in its own file in memory and in those of its
ancestors (`shared_table`). An object that is made from an unknown descriptor is looked up in the same files. A program
that starts no child and sends no descriptor pays nothing.

The record of a connection lies in the page that its inode number chooses. A page that is full drops its oldest records.
Where all files that had the record are gone with their processes, the object says what the kernel says.
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

    # What getpeername() says; what getsockname() says, where a port of 0 is the kernel's own; the target; the options.
    _Record = tuple[SockAddress, tuple[str, int], tuple[int, str, int], dict[tuple[int, int], int]]
    _Page = dict[Identity, _Record]

# Behind the names, of which there are 1 << 17 of 256 bytes at most.
_START = 1 << 25
_PAGE = 4096
_PAGES = 1024
# The oldest format of marshal that every Python reads.
_FORMAT = 2
# Of processes that forked one another as many are told and asked.
_GENERATIONS = 4


class Handover:
    """What this process has published, and where the processes publish that may send it descriptors."""

    __slots__ = ("_forked", "_is_shared", "_parents", "_published", "_published_to")

    def __init__(self) -> None:
        # Whether other processes may have connections of ours, or we theirs.
        self._is_shared = False
        # Where our own file was when this process was forked last, and the files of the processes that forked it.
        self._forked = ""
        self._parents: tuple[str, ...] = ()
        # What was published last, and in which files.
        self._published: _Page = {}
        self._published_to: tuple[SharedTable | None, tuple[str, ...]] = (None, ())

    def is_shared(self) -> bool:
        """Whether a descriptor may be that of another process's connection."""
        return self._is_shared or bool(fake_addresses.TABLE.ancestors)

    def publish(self) -> None:
        """Write down the connections that are open now: a child is about to start, or a descriptor to be sent."""
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
        """Look whether an object that was made from an fd is the connection of another process.

        If so, register the object, and return its tunnel. `settings` name the proxies to which it may lead.
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
        """A child is about to start that may send descriptors to this process, or to others of its children.

        They all write to this process's file, which is otherwise opened when there is something to be written.
        """
        self._is_shared = True
        fake_addresses.TABLE.open_file()

    def before_fork(self) -> None:
        """From now on parent and child may send each other descriptors, as multiprocessing does."""
        if "multiprocessing.reduction" in sys.modules:
            self.prepare()
        self._forked = fake_addresses.TABLE.path

    def after_fork(self) -> None:
        """In the child, where the parent's file is no longer its own."""
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
    """The proxies to which the socket may lead, by its kernel's peer; None if to none: it is not looked up then."""
    try:
        peer = _originals.getpeername(sock)
    except ours(OSError):
        return None
    chains = [chain for chain in (settings.proxy, *settings.proxies.values()) if chain]
    if isinstance(peer, tuple):
        return next((chain for chain in chains if chain[0].path is None and chain[0].port == peer[1]), None)
    # The path of a Unix socket; that of a socketpair() is empty.
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
    """What cannot be written (the process is gone, another user's, no memory is left) is not known there."""
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
    """Raises OSError."""
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
    """The newest records first, as many as a page holds."""
    while len(data := marshal.dumps(records, _FORMAT)) > _PAGE:
        records.popitem()
    return data.ljust(_PAGE, b"\0")
