"""The table of adapters: each adapter waits for its module, wraps functions of it, and leaves nothing behind."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest

from socksify.patches import adapters
from socksify.patches.journal import Journal
from tests.support.routing import routed

PROXY = "socks5h://127.0.0.1:9"


# These are let into no process of the tests: eventlet warns when it is imported, and neither is ever imported halfway.
ALONE = ("eventlet", "gevent")


def is_alone(name: str) -> bool:
    return name.partition(".")[0] in ALONE


@pytest.mark.parametrize("name", [name for name in adapters.ADAPTERS if not is_alone(name)])
def test_nothing_is_left_behind(name: str) -> None:
    check(name)


@pytest.mark.parametrize("package", ALONE)
def test_nothing_is_left_behind_in_a_process_of_its_own(package: str) -> None:
    names = [name for name in adapters.ADAPTERS if name.partition(".")[0] == package]
    program = f"from tests.unit.patches.adapters.test_adapters import check\nfor name in {names}: check(name)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=60, check=True)


def check(name: str) -> None:
    """Installs and uninstalls with a module imported, which is one that clients import."""
    module = importlib.import_module(name)
    assert callable(importlib.import_module(adapters.ADAPTERS[name]).patch)
    classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == name]

    def everything() -> list[dict[str, int]]:
        # Not the things themselves: a wrapper says that it equals what it wraps.
        return [{name: id(value) for name, value in vars(owner).items()} for owner in (module, *classes)]

    before = everything()
    with routed(PROXY, routes=()):
        assert everything() != before
    assert everything() == before


def test_a_wrapper_sees_the_call_and_goes_away() -> None:
    class Owner:
        def twice(self, number: int) -> int:
            return 2 * number

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        assert isinstance(instance, Owner)
        return wrapped(*args, **kwargs) + 1

    owner, journal, original = Owner(), Journal(), vars(Owner)["twice"]
    adapters.wrap(journal, Owner, "twice", wrapper)
    assert owner.twice(4) == 9
    assert Owner.twice.__name__ == "twice"
    journal.undo()
    assert vars(Owner)["twice"] is original
    assert owner.twice(4) == 8


def test_imported_between_uninstall_and_install() -> None:
    """No watch outlives uninstall(), and install() finds what has come meanwhile."""
    program = f"""
import socksify, sys
socksify.install({PROXY!r})
socksify.uninstall()
import dns.query
assert "wrapt" not in sys.modules
plain = dns.query.udp
socksify.install({PROXY!r})
assert dns.query.udp is not plain
import dns.asyncquery
assert type(dns.asyncquery.udp) is type(dns.query.udp)
socksify.uninstall()
assert dns.query.udp is plain
assert type(dns.asyncquery.udp) is type(plain)
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stderr) == (0, "")
