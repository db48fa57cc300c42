"""Look-ups beside native ones of names with one address, and what a name server hears of them: nothing.

The differences are asked for. `localhost` with a final dot or a label before it is this machine (RFC 6761, section
6.3), and so is its own name with a final dot, where glibc would ask a name server; what ends in digits alone is
nobody's name (RFC 1123, section 2.1); a made-up address's name is spelled as it was asked for last, and a mapped one
has it, too, where gethostbyaddr() is at odds with the resolver over the family.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from tests.patches.naming_world import PROXY, World, world

DIFFERENT = re.compile(r"'(LOCALHOST\.|sub\.localhost|desk\.|::ffff:198\.18\.0\.6)'")
# Functions written in C and in Python count their arguments in words of their own.
WRONGLY_CALLED = re.compile(r"builtins.TypeError.*(takes|missing|unexpected keyword|multiple values|given by name)")
NAMES_BACK = re.compile(r"(gethostbyaddr|getfqdn|getnameinfo)\(")


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with world() as here:
        yield here


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_routed_look_up_comes_to_what_a_native_one_does(here: World, family: int) -> None:
    native = here.outcomes(family)
    assert here.queries, "natively nobody has asked for anything"
    here.queries.clear()
    routed = here.outcomes(family, PROXY)
    assert here.queries == []
    calls = [call for call in native if not DIFFERENT.search(call)]
    different = [call for call in calls if _alike(call, native[call]) != _alike(call, routed[call])]
    shown = [f"{call}\n    native: {native[call]}\n    routed: {routed[call]}" for call in different[:20]]
    assert not different, f"{len(different)} of {len(calls)} differ:\n" + "\n".join(shown)


def _alike(call: str, outcome: str) -> str:
    if WRONGLY_CALLED.match(outcome):
        return "TypeError"
    return outcome.lower() if NAMES_BACK.match(call) else outcome
