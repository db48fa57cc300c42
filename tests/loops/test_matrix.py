"""Every loop, every behaviour: the same under us as natively, launched and installed late; and by the proxy, all of it."""

from __future__ import annotations

import pytest

from tests.loops.runs import Place, run

ROWS = {
    "asyncio, select": ("on_asyncio.py", "select"),
    "asyncio, poll": ("on_asyncio.py", "poll"),
    "asyncio, epoll": ("on_asyncio.py", "epoll"),
    "uvloop": ("on_asyncio.py", "uvloop"),
    "trio": ("on_trio.py",),
    "anyio on asyncio": ("on_anyio.py", "asyncio"),
    "anyio on trio": ("on_anyio.py", "trio"),
    "curio": ("on_curio.py",),
    "gevent, monkey-patched": ("on_green.py", "gevent", "patched"),
    "gevent.socket": ("on_green.py", "gevent", "green"),
    "eventlet, monkey-patched": ("on_green.py", "eventlet", "patched"),
    "eventlet.green": ("on_green.py", "eventlet", "green"),
    "tornado": ("on_tornado.py",),
    "twisted, select": ("on_twisted.py", "select"),
    "twisted, poll": ("on_twisted.py", "poll"),
    "twisted, epoll": ("on_twisted.py", "epoll"),
    "twisted, asyncio": ("on_twisted.py", "asyncio"),
}


@pytest.mark.parametrize("row", ROWS)
def test_row(row: str, place: Place) -> None:
    late = run(*ROWS[row], place=place, late=True)
    launched = run(*ROWS[row], place=place, late=False)
    print(late.ticks, launched.ticks)
    assert late.results["late"] == late.results["native"]
    assert launched.results["launched"] == late.results["native"]
    assert late.results["afterwards"] == late.results["native"]["connect"]
