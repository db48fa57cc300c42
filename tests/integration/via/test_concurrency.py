"""Blocks of via() belong to threads, tasks and the work of executors. Many blocks at once are never mixed."""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import socket
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.pool import ThreadPool
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

import socksify
from tests.integration.via.world import FAR, SECONDS, World, async_answerer, run

# Pools start it, by the default method of Python 3.14; its descriptor stays.
resource_tracker.ensure_running()


def test_a_thread_is_outside(proxies: World) -> None:
    """As with all context variables: a thread may serve others than who has started it."""
    seen: list[str] = []

    def look() -> None:
        seen.append(proxies.answerer())

    with socksify.via(proxies.b.url()):
        threads = [threading.Thread(target=look), threading.Thread(target=socksify.via("direct")(look))]
        for thread in threads:
            thread.start()
            thread.join()
        assert proxies.answerer() == "b"
    assert seen == ["a", "T"]


def test_threads_with_blocks_of_their_own(proxies: World) -> None:
    ways = {"b": proxies.b.url(), "T": "direct", "a": "proxy"}
    barrier = threading.Barrier(12)
    wrong: list[tuple[str, str]] = []

    def work(expected: str) -> None:
        for _ in range(10):
            with socksify.via(ways[expected]):
                barrier.wait(SECONDS)
                found = proxies.answerer()
            if found != expected or proxies.answerer() != "a":
                wrong.append((expected, found))

    threads = [threading.Thread(target=work, args=(expected,)) for expected in list(ways) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_handed_to_an_executor(proxies: World) -> None:
    with ThreadPoolExecutor(1) as pool:
        with socksify.via(proxies.b.url()):
            # The worker is started in here, and will work for others.
            inside = pool.submit(proxies.answerer)
            with socksify.via("direct"):
                nested = pool.submit(proxies.answerer)
            mapped = pool.map(proxies.answerer, [FAR, FAR])
        outside = pool.submit(proxies.answerer)
        assert [inside.result(), nested.result(), *mapped, outside.result()] == ["b", "T", "b", "b", "a"]
        with socksify.via("block"), pytest.raises(PermissionError):
            pool.submit(proxies.answerer).result()
        with pytest.raises(KeyError), socksify.via("direct"):
            pool.submit(dict[int, str]().__getitem__, 1).result()
        assert pool.submit(proxies.answerer).result() == "a"
        assert pool.submit(int, "10", base=8).result() == 8


def fetch(address: tuple[str, int]) -> str:
    with socket.create_connection(address, timeout=SECONDS) as sock:
        return sock.recv(1).decode()


def test_a_pool_of_processes(proxies: World) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            with socksify.via(proxies.b.url()):
                inside = pool.submit(fetch, FAR).result()
            outside = pool.submit(fetch, FAR).result()
            with socksify.via("direct"):
                direct = pool.submit(fetch, proxies.target).result()
    assert (inside, outside, direct) == ("b", "a", "T")


def test_tasks_belong_to_the_block_they_were_made_in(proxies: World) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def later() -> str:
            await go.wait()
            return await async_answerer(proxies)

        outside = asyncio.create_task(later())
        with socksify.via(proxies.b.url()):
            inside = asyncio.create_task(later())
            with socksify.via("direct"):
                nested = asyncio.create_task(later())
                group = asyncio.gather(later(), later())
        go.set()
        assert [await outside, await inside, await nested, *await group] == ["a", "b", "T", "T", "T"]

    run(main())


def test_everything_by_which_a_loop_connects(proxies: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socksify.via(proxies.b.url()):
            assert await async_answerer(proxies, ("name.example", 80)) == "b"
            assert str((await loop.getaddrinfo("name.example", 80))[0][4][0]).startswith("198.1")
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, FAR)
                assert await loop.sock_recv(sock, 1) == b"b"
            reader, writer = await asyncio.open_connection("localhost", proxies.target[1], happy_eyeballs_delay=0.25)
            assert await reader.readexactly(1) == b"b"
            writer.close()
            assert await asyncio.to_thread(proxies.answerer) == "b"
            assert await loop.run_in_executor(None, proxies.answerer) == "b"
            called = loop.create_future()
            loop.call_soon(lambda: called.set_result(proxies.answerer(FAR)))
            assert await called == "b"
            wrapped = loop.create_future()
            loop.call_later(0, lambda: wrapped.set_result(proxies.answerer(FAR)))
        assert await wrapped == "b"
        assert await loop.run_in_executor(None, proxies.answerer) == "a"
        assert await async_answerer(proxies) == "a"

    run(main())


def test_a_coroutine_is_decorated(proxies: World) -> None:
    via = socksify.via(proxies.b.url())

    @via
    async def inside() -> list[str]:
        await asyncio.sleep(0)
        return [await async_answerer(proxies), await async_answerer(proxies)]

    async def main() -> None:
        found, outside, partially = await asyncio.gather(
            inside(), async_answerer(proxies), via(partial(async_answerer, proxies, FAR))()
        )
        assert (found, outside, partially) == (["b", "b"], "a", "b")
        assert inspect.iscoroutinefunction(inside) and inspect.iscoroutinefunction(
            via(partial(async_answerer, proxies))
        )

    run(main())


@pytest.mark.parametrize("start", [trio.run, anyio.run])
def test_trio_and_anyio(start: Callable[..., Any], proxies: World) -> None:
    in_tasks: list[str] = []
    in_threads: list[str] = []

    async def ask() -> None:
        async with await anyio.connect_tcp("name.example", 80) as stream:
            in_tasks.append((await stream.receive(1)).decode())

    async def main() -> None:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                with socksify.via(proxies.b.url()):
                    group.start_soon(ask)
                    in_threads.append(await anyio.to_thread.run_sync(proxies.answerer))
                    with socksify.via("direct"):
                        in_threads.append(await anyio.to_thread.run_sync(proxies.answerer))
            in_threads.append(await anyio.to_thread.run_sync(proxies.answerer))

    start(main)
    assert sorted(in_tasks) == ["a", "b"]
    assert in_threads == ["b", "T", "a"]


def test_a_fork_inside(proxies: World) -> None:
    queue: Any = multiprocessing.get_context("fork").SimpleQueue()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        with socksify.via(proxies.b.url()):
            child = multiprocessing.get_context("fork").Process(target=lambda: queue.put(proxies.answerer()))
            child.start()
    assert queue.get() == "b"
    child.join()


def test_what_is_handed_to_a_pool_of_multiprocessing(proxies: World) -> None:
    def ways(_: object = None, *__: object) -> str:
        return proxies.answerer()

    with ThreadPool(1) as pool:
        with socksify.via(proxies.b.url()):
            inside = [
                pool.apply(ways),
                *pool.map(ways, [0]),
                *pool.starmap(ways, [(0, 1)]),
                *pool.imap(ways, iterable=[0]),
                *pool.imap_unordered(func=ways, iterable=[0]),
                pool.apply_async(func=ways).get(),
            ]
        assert inside == ["b"] * 6
        assert pool.apply(proxies.answerer) == "a"


def test_forked_workers_of_multiprocessing_serve_everybody(proxies: World) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        with socksify.via(proxies.b.url()):
            pool = multiprocessing.get_context("fork").Pool(1)
    with pool:
        outside = pool.apply(fetch, (FAR,))
        with socksify.via(proxies.b.url()):
            inside = pool.map(fetch, [FAR])
    pool.join()
    assert (outside, inside) == ("a", ["b"])


def executor(begin: Callable[[], None]) -> ThreadPoolExecutor:
    workers = ThreadPoolExecutor(1, initializer=begin)
    workers.submit(int)
    return workers


@pytest.mark.parametrize("start", [executor, lambda begin: ThreadPool(1, begin)], ids=["executor", "pool"])
def test_an_initializer_is_handed_over_too(start: Callable[..., Any], proxies: World) -> None:
    found: list[str] = []
    begun = threading.Event()

    def begin() -> None:
        found.append(proxies.answerer())
        begun.set()

    with socksify.via(proxies.b.url()):
        workers = start(begin)
    with workers:
        assert begun.wait(SECONDS)
    assert found == ["b"]
