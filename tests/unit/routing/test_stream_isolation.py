"""Isolation keys: which connections have the same generated credentials, and which have not.

tests/integration/via/test_isolation.py shows the same through proxies, with the libraries' own ways to run tasks.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import greenlet
import pytest
import trio

from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.protocol.address import Address
from socksify.routing import stream_isolation
from socksify.routing.route import Via
from socksify.routing.stream_isolation import current, isolated, key_of_task, work_for

RULE = Rule("*=proxy", "test", "proxy")
TOR = Proxy("socks5h", "127.0.0.1", 9050)


def to(host: str, *chain: Proxy) -> Via:
    return Via(chain or (TOR,), Address.of(host, 80), ("203.0.113.5", 80), RULE)


def key(by: str, host: str = "name.example", *chain: Proxy) -> bytes:
    found = isolated(to(host, *chain), by).isolation
    assert found is not None
    return found


def in_a_thread(work: Callable[[], Any]) -> Any:
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


def test_by_host() -> None:
    assert key("host") == key("host", "NAME.example.")
    assert key("host") != key("host", "other.example")
    assert key("host") != key("host", "name.example", TOR.replace(port=9051))


def test_by_connection() -> None:
    assert key("connection") != key("connection")


def test_by_task() -> None:
    assert key("task") == key("task", "other.example")
    assert key("task") != in_a_thread(lambda: key("task"))


def test_nobody_reads_the_host_from_it() -> None:
    assert len(key("host")) == 32
    assert b"name" not in key("host")


def test_a_user_of_the_configuration_is_kept() -> None:
    route = to("name.example", TOR.replace(user=b"me", password=b"secret"))
    assert isolated(route, "connection") is route


async def _asyncio_key() -> bytes:
    return key_of_task()


def test_each_asyncio_task_has_its_own() -> None:
    async def run() -> tuple[bytes, bytes, bytes, bytes]:
        first, second = await asyncio.gather(_asyncio_key(), _asyncio_key())
        return key_of_task(), await _asyncio_key(), first, second

    outer, awaited, first, second = asyncio.run(run())
    assert outer == awaited
    assert len({outer, first, second, key_of_task()}) == 4


def test_what_wait_for_runs_counts_as_its_caller() -> None:
    async def run() -> tuple[bytes, bytes]:
        return key_of_task(), await asyncio.wait_for(_asyncio_key(), 10)

    own, waited_for = asyncio.run(run())
    assert own == waited_for


def test_a_callback_of_a_loop_counts_as_its_thread() -> None:
    async def run() -> object:
        found: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: found.set_result(current()))
        return await found

    assert asyncio.run(run()) is None


def test_each_trio_task_has_its_own() -> None:
    keys: list[bytes] = []

    async def child() -> None:
        keys.append(key_of_task())

    async def run() -> None:
        keys.append(key_of_task())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(child)
        keys.append(key_of_task())

    trio.run(run)
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


def test_an_attempt_of_trio_counts_as_the_task_that_wanted_it() -> None:
    keys: list[bytes] = []

    async def attempt() -> None:
        keys.append(key_of_task())

    async def run() -> None:
        keys.append(key_of_task())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempt, name="trio.open_tcp_stream.<locals>.attempt_connect")

    trio.run(run)
    assert keys[0] == keys[1]


def test_an_attempt_of_anyio_on_asyncio_counts_as_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[bytes, bytes]:
        parent = id(asyncio.current_task())
        anyio = SimpleNamespace(get_current_task=lambda: SimpleNamespace(parent_id=parent))
        monkeypatch.setitem(sys.modules, "anyio", anyio)
        attempt = asyncio.create_task(_asyncio_key(), name="anyio.connect_tcp.<locals>.try_connect")
        return key_of_task(), await attempt

    own, attempted = asyncio.run(run())
    assert own == attempted


def test_an_attempt_whose_parent_is_gone_counts_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[bytes, bytes]:
        anyio = SimpleNamespace(get_current_task=lambda: SimpleNamespace(parent_id=0))
        monkeypatch.setitem(sys.modules, "anyio", anyio)
        attempt = asyncio.create_task(_asyncio_key(), name="anyio.connect_tcp.<locals>.try_connect")
        return key_of_task(), await attempt

    own, attempted = asyncio.run(run())
    assert own != attempted


@pytest.mark.parametrize("trio_module", [SimpleNamespace(), SimpleNamespace(lowlevel=SimpleNamespace())])
def test_a_trio_that_is_being_imported_has_no_tasks(
    trio_module: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trio", trio_module)
    assert current() is None


def test_each_green_thread_has_its_own() -> None:
    keys = [greenlet.greenlet(key_of_task).switch() for _ in range(2)]
    assert len({*keys, key_of_task()}) == 3


def test_without_greenlet_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "greenlet")
    assert current() is None


def test_work_for_another_has_its_key_until_it_is_given_back() -> None:
    def work() -> list[bytes]:
        own = key_of_task()
        before = work_for(b"other")
        borrowed = key_of_task()
        assert work_for(before) == b"other"
        return [own, borrowed, key_of_task()]

    own, borrowed, again = in_a_thread(work)
    assert (borrowed, again) == (b"other", own)


def test_so_it_is_in_a_task() -> None:
    async def run() -> list[bytes | None]:
        before = work_for(b"other")
        borrowed = key_of_task()
        return [before, borrowed, work_for(before)]

    assert asyncio.run(run()) == [None, b"other", b"other"]


def test_a_context_that_was_copied_to_another_thread_does_not_bring_its_key() -> None:
    import contextvars

    own = key_of_task()
    context = contextvars.copy_context()
    assert in_a_thread(lambda: context.run(key_of_task)) != own
    assert key_of_task() == own
    assert stream_isolation.current() is None
