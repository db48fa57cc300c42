"""Fake addresses: they stand on this machine for the names that only the proxy can resolve.

Some clients need an address (the answer of a resolver, getpeername()). They get one from networks that nobody routes:
198.18.0.0/15, set aside for benchmarks (RFC 2544, RFC 6890), and 100::/64, for discarding (RFC 6666). A name has the
same index in both networks: 198.18.1.5 and 100::105 stand for the same name.

An address whose name was dropped has to be an error. It must not lead to the host of another name. Therefore half of
the indices stay unused, and an index is used again as late as possible. For the same reason every process, also a
forked child, begins at a random index: a fake address of another process is most likely unknown here. A child process
looks for an unknown fake address in the tables of its ancestors (`shared_table`).

A sealed process has no names of its own. It asks the supervisor of the seal, whose table is that of the whole process
tree (`supervised_names`).
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from collections import OrderedDict, deque
from itertools import chain, filterfalse

from socksify._signal_safety import OwnedLock, ours
from socksify.routing.shared_table import SharedTable, new_path, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from socksify.routing.supervised_names import SupervisedNames

# The largest number of addresses of a network that are used. It keeps the table of a wide network small.
_MOST_ADDRESSES = 1 << 17
# The number of ancestors whose tables are read.
_GENERATIONS = 4


class Networks:
    """A network of IPv4 and a network of IPv6. The first address of each network has the index 0."""

    def __init__(self, ipv4: str, ipv6: str) -> None:
        self.texts = (ipv4, ipv6)
        self._first4, self._size4 = _first_and_size(AF_INET, ipv4)
        self._first6, self._size6 = _first_and_size(AF_INET6, ipv6)
        self.size = min(self._size4, self._size6, _MOST_ADDRESSES)
        # Every address in the networks begins with one of these texts. Other addresses may begin with them, too.
        self._beginnings = (ipv4[: ipv4.index(".") + 1], _first_group(self._first6, self._size6))

    def literal(self, index: int, family: int) -> str:
        """Return the address at an index."""
        if family == AF_INET6:
            return inet_ntop(AF_INET6, (self._first6 + index).to_bytes(16, "big"))
        return inet_ntop(AF_INET, (self._first4 + index).to_bytes(4, "big"))

    def index_of(self, address: str) -> int | None:
        """Return the index of an address, or None if it is in neither network."""
        if not address.startswith(self._beginnings):
            return None
        try:
            if ":" in address:
                index = int.from_bytes(inet_pton(AF_INET6, address), "big") - self._first6
                return index if 0 <= index < self._size6 else None
            index = int.from_bytes(inet_pton(AF_INET, address), "big") - self._first4
            return index if 0 <= index < self._size4 else None
        except ours(OSError, ValueError):
            return None


def _first_and_size(family: int, network: str) -> tuple[int, int]:
    literal, _, length = network.partition("/")
    packed = inet_pton(family, literal)
    return int.from_bytes(packed, "big"), 1 << 8 * len(packed) - int(length)


def _first_group(first: int, size: int) -> str:
    """Return the first group as inet_ntop(3) writes it, or "" if the addresses of an IPv6 network differ in it."""
    group = first >> 112
    return f"{group:x}:" if group and size <= 1 << 112 else ""


def _random_index(size: int) -> int:
    """Return a random number below `size`. Importing `random` would cost a program that does not use it 5 ms."""
    return int.from_bytes(os.urandom(4), "big") % size


class FakeAddressTable:
    """A bounded table of names and fake addresses.

    Several threads and signal handlers may use it. Every operation is O(1).
    """

    # The number of remembered real addresses that lie in the networks.
    _MOST_REAL = 4096

    def __init__(
        self,
        networks: tuple[str, str] = ("198.18.0.0/15", "100::/64"),
        random_index: Callable[[int], int] = _random_index,
    ) -> None:
        self._lock = OwnedLock()
        self._random_index = random_index
        # The table for child processes, once there are any.
        self._shared: SharedTable | None = None
        # The path by which children find that table; "" while there are no children.
        self._path = ""
        # The tables of the processes that started this one, the nearest first.
        self._ancestors: tuple[str, ...] = ()
        # The names of the process tree, if this process is sealed.
        self._supervised: SupervisedNames | None = None
        self._clear(Networks(*networks))

    def __len__(self) -> int:
        return len(self._names)

    @property
    def networks(self) -> tuple[str, str]:
        """The networks of the addresses, the IPv4 one first."""
        return self._networks.texts

    @property
    def is_supervised(self) -> bool:
        """True in a sealed process, whose names are those of its process tree."""
        return self._supervised is not None

    @property
    def may_have_names(self) -> bool:
        """False if no address stands for a name. The names of a process tree are not counted."""
        return self._supervised is not None or bool(self._names)

    def configure(self, networks: tuple[str, str], supervised: SupervisedNames | None = None) -> None:
        """Use these networks, IPv4 first. If they differ from the networks before, all names are dropped.

        In a sealed process, `supervised` are the names of the process tree. Its networks take the place of `networks`.
        Raises OSError if no descriptor is left to ask for them.
        """
        if supervised is not None:
            networks = supervised.networks(networks)
        with self._lock:
            self._supervised = supervised
            if networks != self._networks.texts:
                self._clear(Networks(*networks))

    def address_of(self, name: str, family: int = AF_INET) -> str:
        """Return the fake address of a name in a family. It is the same one until the name is dropped.

        Raises the errors of SupervisedNames in a sealed process.
        """
        return self._networks.literal(self.index_of(name), family)

    def index_of(self, name: str) -> int:
        """Return the index of the fake addresses of a name, like address_of()."""
        if self._supervised is not None:
            return self._supervised.index_of(name)
        key = _key(name)
        with self._lock:
            index = self._indices.get(key)
            if index is None:
                return self._add(key, name)
            # The proxy gets the name in its latest spelling.
            self._names[index] = name
            self._names.move_to_end(index)
            return index

    def name_of(self, address: str) -> str | None:
        """Return the name of a fake address, or None if it was dropped or belongs to another process.

        Raises the errors of SupervisedNames in a sealed process.
        """
        index = self._networks.index_of(address)
        return None if index is None else self.name_at(index)

    def name_at(self, index: int) -> str | None:
        """Return the name of the fake addresses at an index, like name_of()."""
        if self._supervised is not None:
            return self._supervised.name_at(index) if index < self._networks.size else None
        with self._lock:
            name = self._names.get(index)
            if name is not None:
                self._names.move_to_end(index)
                return name
        return self._inherited(index) if self._ancestors else None

    def is_fake(self, address: str) -> bool:
        """Return True if an address lies in the networks, and no native look-up has returned it."""
        return self._networks.index_of(address) is not None and address not in self._real

    def mark_real(self, addresses: Iterable[str]) -> None:
        """Take the answer of a native look-up: its addresses are real, even if they lie in the networks."""
        for address in addresses:
            index = self._networks.index_of(address)
            if index is not None:
                self._mark_real(address, index)

    def share(self) -> tuple[str, ...]:
        """Return the paths by which child processes find the names of fake addresses, from now on.

        The file is opened with the first name. A program that looks up no name, and counts its descriptors before and
        after it starts a child, therefore finds no new one.
        """
        with self._lock:
            self._path = self._path or new_path()
            if self._names and (self._shared is None or not self._shared.is_open):
                self._open_file()
            return (self._path, *self._ancestors)[:_GENERATIONS]

    def stop_sharing(self) -> None:
        """Close the table for child processes."""
        with self._lock:
            if self._shared is not None:
                self._shared.close()
            self._shared, self._path = None, ""

    def keep_over_exec(self, kept: bool) -> None:
        """Decide whether the table stays open for the program that replaces this one (execve(2))."""
        if self._shared is not None:
            self._shared.keep_over_exec(kept)

    def open_file(self) -> SharedTable | None:
        """Return the table for child processes, and open it if needed. Return None if the system has no such files."""
        with self._lock:
            self._path = self._path or new_path()
            if self._shared is None or not self._shared.is_open:
                self._open_file()
            return self._shared

    @property
    def path(self) -> str:
        """The path that children get. The file may be opened later. "" while there are no children."""
        return self._path

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The tables of the processes that started this one, the nearest first."""
        return self._ancestors

    def inherit(self, paths: tuple[str, ...]) -> None:
        """Set the tables of the ancestors."""
        self._ancestors = paths

    def after_fork(self) -> None:
        """Repair the table in a forked child: another thread of the parent may have been changing it."""
        self._begin_at_random()
        is_intact = self._lock.is_empty()
        # The parent goes on writing to its table. The children of this process read a new one.
        self.stop_sharing()
        if not is_intact:
            self._indices.clear()
            self._indices.update((_key(name), index) for index, name in self._names.items())

    def _open_file(self) -> None:
        try:
            self._shared = SharedTable(self._path, self._networks.size)
        except ours(OSError, AttributeError):  # the system has no memfd_create(2)
            return
        for index, name in self._names.items():
            self._shared.put(index, name)

    def _inherited(self, index: int) -> str | None:
        """Return the name that an ancestor has at an index, and adopt it."""
        name = next(filter(None, (read(path, index) for path in self._ancestors)), None)
        if name is not None:
            with self._lock:
                self._make_room()
                self._used[index] = True
                self._names[index] = name
                self._indices.setdefault(_key(name), index)
        return name

    def _clear(self, networks: Networks) -> None:
        self.stop_sharing()
        self._networks = networks
        # Addresses that end with .0 or .255 look like networks and broadcasts. They are not used.
        self._usable = networks.size // 256 * 254
        # One byte for each index: 1 if the index was ever used.
        self._used = bytearray(networks.size)
        self._begin_at_random()
        # The free indices that have been used, in the order in which their names were dropped.
        self._dropped: deque[int] = deque()
        # In order of use, least recently used first. Changes are made here first; the other tables derive from it.
        self._names: OrderedDict[int, str] = OrderedDict()
        self._indices: dict[str, int] = {}
        self._real: OrderedDict[str, None] = OrderedDict()

    def _begin_at_random(self) -> None:
        start = self._random_index(self._usable)
        indices = map(_usable_index, chain(range(start, self._usable), range(start)))
        self._unused = filterfalse(self._used.__getitem__, indices)

    def _add(self, key: str, name: str) -> int:
        self._make_room()
        index = self._free_index()
        # Most names equal their key. In that case one string object is kept, not two.
        self._names[index] = key if name == key else name
        self._indices[key] = index
        if self._shared is not None:
            self._shared.put(index, name)
        elif self._path:
            self._open_file()
        return index

    def _make_room(self) -> None:
        if len(self._names) >= self._usable // 2:
            self._drop(*self._names.popitem(last=False))

    def _drop(self, index: int, name: str) -> None:
        # The name may be missing: if a signal handler looks it up while it is being added, it gets a second index.
        self._indices.pop(_key(name), None)
        self._dropped.append(index)
        if self._shared is not None:
            self._shared.remove(index)

    def _free_index(self) -> int:
        index = self._unused_index()
        # The loop ends, because there are fewer real addresses than free indices.
        while self._real and self._is_real(index):
            self._dropped.append(index)
            index = self._unused_index()
        return index

    def _unused_index(self) -> int:
        """Return the index that has been free for longest."""
        index = next(self._unused, None)
        if index is None:
            return self._dropped.popleft()
        self._used[index] = True
        return index

    def _is_real(self, index: int) -> bool:
        return any(self._networks.literal(index, family) in self._real for family in (AF_INET, AF_INET6))

    def _mark_real(self, address: str, index: int) -> None:
        """Remember a real address. If it was the fake address of a name, that name is dropped.

        In a sealed process the supervisor answers the resolver, too, so the address of a name is a fake one.
        """
        if self._supervised is not None and self.name_at(index) is not None:
            return
        with self._lock:
            self._real[address] = None
            self._real.move_to_end(address)
            if len(self._real) > min(self._MOST_REAL, self._usable // 4):
                self._real.popitem(last=False)
            name = self._names.pop(index, None)
            if name is not None:
                self._drop(index, name)


def _usable_index(number: int) -> int:
    """Return the usable index of a number: 1 to 254, 257 to 510 and so on."""
    return number // 254 * 256 + number % 254 + 1


def _key(name: str) -> str:
    return name.lower().removesuffix(".")


TABLE = FakeAddressTable()
