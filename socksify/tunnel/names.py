"""Names that only the proxy can resolve, and the made-up addresses that stand for them here.

A client that has to hold an address (getpeername(), a resolver's answer) is given one from a network that
nobody routes: 198.18.0.0/15, set aside for benchmarks (RFC 2544, RFC 6890). One address a name, both ways;
when the network is used up, the name that was asked for longest ago loses its address.
"""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = 0xC6120000  # 198.18.0.0
_SIZE = 1 << 17  # a /15
_PREFIXES = ("198.18.", "198.19.")


def is_made_up(host: str) -> bool:
    """Whether an IPv4 literal lies in the network of made-up addresses."""
    return host.startswith(_PREFIXES)


def _literal(number: int) -> str:
    return ".".join(str(byte) for byte in number.to_bytes(4, "big"))


def _usable() -> Iterator[str]:
    """Every address of the network, without those ending in .0 and .255, which look like networks and broadcasts."""
    return (_literal(number) for number in range(_FIRST, _FIRST + _SIZE) if number & 0xFF not in (0, 0xFF))


class NameTable:
    """A bounded two-way table, safe to use from several threads; every operation is O(1)."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._unused = _usable()
        # In order of use: the first key is the name that was asked for longest ago.
        self._address_of: dict[str, str] = {}
        self._name_of: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._address_of)

    def address_of(self, name: str) -> str:
        """The made-up IPv4 address that stands for a name; the same one each time, until it is dropped."""
        key = name.rstrip(".").lower()
        with self._lock:
            address = self._address_of.pop(key, None) or next(self._unused, None) or self._drop_oldest()
            self._address_of[key] = address
            self._name_of[address] = name
            return address

    def name_of(self, address: str) -> str | None:
        """The name that a made-up address stands for; None if it was dropped or made up by another process."""
        return self._name_of.get(address)

    def _drop_oldest(self) -> str:
        oldest = next(iter(self._address_of))
        return self._address_of.pop(oldest)

    def after_fork(self) -> None:
        """A lock that another thread held at the fork would stay held in the child."""
        self._lock = allocate_lock()


TABLE = NameTable()
