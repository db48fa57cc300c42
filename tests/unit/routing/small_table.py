"""A table of fake addresses that is soon full."""

from __future__ import annotations

from socksify.routing.fake_addresses import FakeAddressTable

# The smallest networks there may be: 254 places, of which half are used.
SMALL = ("10.1.2.0/24", "fd00::/64")
ROOM = 127


def small() -> FakeAddressTable:
    return FakeAddressTable(SMALL)


def add(table: FakeAddressTable, count: int, start: int = 0) -> list[str]:
    """Add `count` new names, and return their addresses."""
    return [table.address_of(f"{number}.example") for number in range(start, start + count)]
