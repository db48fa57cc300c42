"""Names that only the proxy can resolve, and the fake addresses that stand for them here.

A client that has to hold an address (a resolver's answer, getpeername()) is given one from networks that nobody
routes: 198.18.0.0/15, set aside for benchmarks (RFC 2544, RFC 6890), and 100::/64, for discarding (RFC 6666). A
name has one place in both: 198.18.1.5 and 100::105 stand for the same one. Half the places stay empty, so that an
address that has lost its name stands for nothing, which is an error, for as long as can be before it stands for
another name, which would be a wrong host. For the same reason every process, a forked child as well, begins at a place
drawn by lot: an address that another one made up most likely stands for nothing here. A child process asks its
ancestors' tables for those (`shared_table`).
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

# As many places of a network as are used at most; a wider one would let the table grow without end.
_MOST = 1 << 17
# Ancestors whose tables are asked at most.
_GENERATIONS = 4


class Networks:
    """A network of IPv4 and one of IPv6, their addresses counted from the first: a place is the same number in both."""

    def __init__(self, ipv4: str, ipv6: str) -> None:
        self.texts = (ipv4, ipv6)
        self._first4, self._size4 = _first_and_size(AF_INET, ipv4)
        self._first6, self._size6 = _first_and_size(AF_INET6, ipv6)
        self.places = min(self._size4, self._size6, _MOST)
        # What an address that lies in one of them begins with; not all that begins so does.
        self._beginnings = (ipv4[: ipv4.index(".") + 1], _first_group(self._first6, self._size6))

    def literal(self, place: int, family: int) -> str:
        """The address at a place."""
        if family == AF_INET6:
            return inet_ntop(AF_INET6, (self._first6 + place).to_bytes(16, "big"))
        return inet_ntop(AF_INET, (self._first4 + place).to_bytes(4, "big"))

    def place_of(self, address: str) -> int | None:
        """Where an address stands in its network; None for one that is in neither."""
        if not address.startswith(self._beginnings):
            return None
        try:
            if ":" in address:
                place = int.from_bytes(inet_pton(AF_INET6, address), "big") - self._first6
                return place if 0 <= place < self._size6 else None
            place = int.from_bytes(inet_pton(AF_INET, address), "big") - self._first4
            return place if 0 <= place < self._size4 else None
        except ours(OSError, ValueError):
            return None


def _first_and_size(family: int, network: str) -> tuple[int, int]:
    literal, _, length = network.partition("/")
    packed = inet_pton(family, literal)
    return int.from_bytes(packed, "big"), 1 << 8 * len(packed) - int(length)


def _first_group(first: int, size: int) -> str:
    """The first 16 bits as inet_ntop(3) spells them, if all addresses of an IPv6 network have them in common."""
    group = first >> 112
    return f"{group:x}:" if group and size <= 1 << 112 else ""


def _random_index(size: int) -> int:
    """A number below `size`; `random` would cost a program that does without it 5 ms."""
    return int.from_bytes(os.urandom(4), "big") % size


class FakeAddressTable:
    """A bounded two-way table, safe to use from several threads and from signal handlers; every operation is O(1)."""

    # Made-up looking addresses that are real ones: as many as are remembered.
    _MOST_REAL = 4096

    def __init__(
        self,
        networks: tuple[str, str] = ("198.18.0.0/15", "100::/64"),
        random_index: Callable[[int], int] = _random_index,
    ) -> None:
        self._lock = OwnedLock()
        self._random_index = random_index
        # What children read, once there are any, and what was handed down to us: files, the nearest ancestor's first.
        self._shared: SharedTable | None = None
        # Where children were told to look for it; "" while there are none.
        self._path = ""
        self._ancestors: tuple[str, ...] = ()
        self._clear(Networks(*networks))

    def __len__(self) -> int:
        return len(self._names)

    def configure(self, networks: tuple[str, str]) -> None:
        """Make addresses up from these networks, IPv4 first; if they are others than before, all names are dropped."""
        with self._lock:
            if networks != self._networks.texts:
                self._clear(Networks(*networks))

    def address_of(self, name: str, family: int = AF_INET) -> str:
        """The fake address of a family that stands for a name; the same one each time, until it is dropped."""
        key = _key(name)
        with self._lock:
            place = self._places.get(key)
            if place is None:
                place = self._add(key, name)
            else:
                # The proxy is told the name as it was asked for last.
                self._names[place] = name
                self._names.move_to_end(place)
            return self._networks.literal(place, family)

    def name_of(self, address: str) -> str | None:
        """The name that a fake address stands for; None if it was dropped or made up by another process."""
        place = self._networks.place_of(address)
        if place is None:
            return None
        with self._lock:
            name = self._names.get(place)
            if name is not None:
                self._names.move_to_end(place)
                return name
        return self._inherited(place) if self._ancestors else None

    def share(self) -> tuple[str, ...]:
        """Where child processes find what addresses stand for here, now and later on.

        The file is opened when there is a name to be written: a program that looks nothing up, and counts its
        descriptors before and after a child, finds no new one.
        """
        with self._lock:
            self._path = self._path or new_path()
            if self._names and (self._shared is None or not self._shared.is_there):
                self._open_file()
            return (self._path, *self._ancestors)[:_GENERATIONS]

    def _open_file(self) -> None:
        try:
            self._shared = SharedTable(self._path, self._networks.places)
        except ours(OSError, AttributeError):  # a system without
            return
        for place, name in self._names.items():
            self._shared.put(place, name)

    def stop_sharing(self) -> None:
        """Close the file."""
        with self._lock:
            if self._shared is not None:
                self._shared.close()
            self._shared, self._path = None, ""

    def keep_over_exec(self, stays: bool) -> None:
        """Whether the file is there for the program that takes this one's place."""
        if self._shared is not None:
            self._shared.stay(stays)

    @property
    def path(self) -> str:
        """Where children were told to look for the file, open or not; "" while there are none."""
        return self._path

    def open_file(self) -> SharedTable | None:
        """The file that `hand_down` tells of, opened if it is not; None on a system without."""
        with self._lock:
            self._path = self._path or new_path()
            if self._shared is None or not self._shared.is_there:
                self._open_file()
            return self._shared

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The files of the processes that started this one, the nearest first."""
        return self._ancestors

    def inherit(self, files: tuple[str, ...]) -> None:
        """What an ancestor has handed down."""
        self._ancestors = files

    def is_fake(self, address: str) -> bool:
        """Whether an address lies in the networks of fake addresses, and no native look-up has returned it."""
        return self._networks.place_of(address) is not None and address not in self._real

    def mark_real(self, addresses: Iterable[str]) -> None:
        """Take what a native look-up returned for what it is: those addresses in our networks are real ones."""
        for address in addresses:
            place = self._networks.place_of(address)
            if place is not None:
                self._make_way(address, place)

    def after_fork(self) -> None:
        """In the child: another thread may have been in the middle of a change."""
        self._begin_anywhere()
        whole = self._lock.is_empty()
        # The parent's, where it goes on writing; the child's children read the child's.
        self.stop_sharing()
        if not whole:
            self._places.clear()
            self._places.update((_key(name), place) for place, name in self._names.items())

    def _inherited(self, place: int) -> str | None:
        """What a place that is empty here stands for with an ancestor; from now on with us, too."""
        name = next(filter(None, (read(file, place) for file in self._ancestors)), None)
        if name is not None:
            with self._lock:
                self._make_room()
                self._used[place] = True
                self._names[place] = name
                self._places.setdefault(_key(name), place)
        return name

    def _clear(self, networks: Networks) -> None:
        self.stop_sharing()
        self._networks = networks
        # Without .0 and .255, which look like networks and broadcasts.
        self._usable = networks.places // 256 * 254
        # Which places have ever been used, one byte each.
        self._used = bytearray(networks.places)
        self._begin_anywhere()
        # Places that have been used and are free again, the one that was dropped first at the left.
        self._dropped: deque[int] = deque()
        # In order of use, least recently first. It alone is the truth: a change begins here.
        self._names: OrderedDict[int, str] = OrderedDict()
        self._places: dict[str, int] = {}
        self._real: OrderedDict[str, None] = OrderedDict()

    def _begin_anywhere(self) -> None:
        start = self._random_index(self._usable)
        places = map(_place, chain(range(start, self._usable), range(start)))
        self._unused = filterfalse(self._used.__getitem__, places)

    def _add(self, key: str, name: str) -> int:
        self._make_room()
        place = self._free_place()
        # Most names are asked for as they are looked up: one string is then kept.
        self._names[place] = key if name == key else name
        self._places[key] = place
        if self._shared is not None:
            self._shared.put(place, name)
        elif self._path:
            self._open_file()
        return place

    def _make_room(self) -> None:
        if len(self._names) >= self._usable // 2:
            self._drop(*self._names.popitem(last=False))

    def _drop(self, place: int, name: str) -> None:
        # A signal handler that asked for the name while it was being added has given it a second place.
        self._places.pop(_key(name), None)
        self._dropped.append(place)
        if self._shared is not None:
            self._shared.remove(place)

    def _free_place(self) -> int:
        place = self._unused_place()
        # Ends: fewer places are real ones than are free.
        while self._real and self._is_real(place):
            self._dropped.append(place)
            place = self._unused_place()
        return place

    def _unused_place(self) -> int:
        """The place that has been empty for longest."""
        place = next(self._unused, None)
        if place is None:
            return self._dropped.popleft()
        self._used[place] = True
        return place

    def _is_real(self, place: int) -> bool:
        return any(self._networks.literal(place, family) in self._real for family in (AF_INET, AF_INET6))

    def _make_way(self, address: str, place: int) -> None:
        """An address that a name had been given is the real one's from now on; the name will be given another."""
        with self._lock:
            self._real[address] = None
            self._real.move_to_end(address)
            if len(self._real) > min(self._MOST_REAL, self._usable // 4):
                self._real.popitem(last=False)
            name = self._names.pop(place, None)
            if name is not None:
                self._drop(place, name)


def _place(number: int) -> int:
    """The usable place of a number: 1 to 254, 257 to 510 and so on."""
    return number // 254 * 256 + number % 254 + 1


def _key(name: str) -> str:
    return name.lower().removesuffix(".")


TABLE = FakeAddressTable()
