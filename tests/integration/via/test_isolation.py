"""isolate: random credentials for each host, task or connection, and the same ones again for the same key."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import greenlet
import pytest
import trio

import socksify
from socksify.patches.executors import carried
from tests.integration.via.world import SECONDS, credentials, saying
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.steps import HANG, READ_HTTP, READ_SOCKS4, Send, good, http_reply, socks4_reply

Credentials = tuple[bytes, bytes]


class Tor:
    """A proxy that asks for credentials whenever they are offered, as Tor does, and takes any."""

    def __init__(self, proxy: BadProxy) -> None:
        self.proxy = proxy
        self.url = proxy.url()
        self._seen = 0

    def told(self) -> list[Credentials]:
        """What it was told by the connections since the last call, in their order."""
        sessions = self.proxy.sessions[self._seen :]
        self._seen += len(sessions)
        return [credentials(session) for session in sessions]


@pytest.fixture(scope="module")
def running() -> Iterator[BadProxy]:
    with BadProxy(saying(b"x", password=True)) as proxy, routed(proxy.url(), routes=("*=proxy",)):
        yield proxy


@pytest.fixture
def tor(running: BadProxy) -> Tor:
    tor = Tor(running)
    tor.told()
    return tor


def connect(host: str = "a.example", port: int = 80) -> None:
    with socket.create_connection((host, port), timeout=SECONDS) as sock:
        assert sock.recv(1) == b"x"


async def connect_async(host: str = "a.example") -> None:
    reader, writer = await asyncio.open_connection(host, 80)
    assert await reader.readexactly(1) == b"x"
    writer.close()
    await writer.wait_closed()


def groups(told: list[Credentials]) -> list[int]:
    """Which connections had the same: [0, 1, 0] says that the first and the third one had."""
    return [told.index(each) for each in told]


def test_by_host(tor: Tor) -> None:
    with socksify.via("proxy", isolate="host"):
        for host, port in (("a.example", 80), ("b.example", 80), ("A.Example.", 443), ("192.0.2.1", 80), ("::1", 80)):
            connect(host, port)
    with socksify.via("proxy", isolate="host"):
        connect("b.example")
    told = tor.told()
    assert groups(told) == [0, 1, 0, 3, 4, 1]
    for user, password in told:
        assert user == password and len(user) == 32
        assert int(user, 16) != 0


def test_by_connection(tor: Tor) -> None:
    with socksify.via("proxy", isolate="connection"):
        for _ in range(5):
            connect()
    assert groups(tor.told()) == [0, 1, 2, 3, 4]


def test_none_inside_of_another(tor: Tor) -> None:
    with BadProxy(saying(b"x")) as plain, socksify.via("proxy", isolate="host"):
        connect()
        with socksify.via(plain.url(), isolate="none"):
            connect()
        assert bytes(plain.sessions[0].received[:3]) == b"\x05\x01\x00"
        with socksify.via("direct"), contextlib.suppress(OSError):
            connect("127.0.0.1", 1)
    assert len(tor.told()) == 1


def test_by_thread(tor: Tor) -> None:
    def work() -> None:
        with socksify.via("proxy", isolate="task"):
            connect("a.example")
            connect("b.example")

    work()
    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    work()
    assert groups(tor.told()) == [0, 0, 2, 2, 4, 4, 0, 0]


def test_by_task_of_asyncio(tor: Tor) -> None:
    async def work(go: asyncio.Event, done: asyncio.Event) -> None:
        await go.wait()
        await connect_async("a.example")
        # Up to Python 3.11 this is a task of its own.
        await asyncio.wait_for(asyncio.wait_for(connect_async("b.example"), SECONDS), SECONDS)
        await asyncio.to_thread(connect)
        await asyncio.get_running_loop().run_in_executor(None, connect)
        done.set()

    async def main() -> None:
        with socksify.via("proxy", isolate="task"):
            events = [(asyncio.Event(), asyncio.Event()) for _ in range(3)]
            tasks = [asyncio.create_task(work(*pair)) for pair in events]
            for go, done in events:
                go.set()
                await done.wait()
            await connect_async()
            await asyncio.gather(*tasks)

    asyncio.run(main())
    assert groups(tor.told()) == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12]


def test_many_tasks_are_never_mixed(tor: Tor) -> None:
    async def work(number: int) -> None:
        for _ in range(3):
            await connect_async(f"task{number}.example")
            await asyncio.to_thread(connect, f"task{number}.example")

    async def main() -> None:
        with socksify.via("proxy", isolate="task"):
            await asyncio.gather(*map(work, range(10)))

    asyncio.run(main())
    seen = {(session.target, credentials(session)) for session in tor.proxy.sessions[-60:]}
    assert len(seen) == len({target for target, _ in seen}) == len({told for _, told in seen}) == 10


@pytest.mark.parametrize("start", [trio.run, anyio.run])
def test_by_task_of_trio_and_anyio(start: Callable[..., Any], tor: Tor) -> None:
    """Both try addresses in tasks of their own, and have threads that work for one task after another."""

    async def work() -> None:
        for _ in range(2):
            async with await anyio.connect_tcp("a.example", 80) as stream:
                assert await stream.receive(1) == b"x"

    async def work_in_thread() -> None:
        await anyio.to_thread.run_sync(connect)

    async def main() -> None:
        with anyio.fail_after(SECONDS), socksify.via("proxy", isolate="task"):
            for _ in range(2):
                async with anyio.create_task_group() as group:
                    group.start_soon(work)
            for _ in range(2):
                async with anyio.create_task_group() as group:
                    group.start_soon(work_in_thread)

    start(main)
    assert groups(tor.told()) == [0, 0, 2, 2, 4, 5]


def test_by_green_thread(tor: Tor) -> None:
    """gevent's begin with a copy of the context of who starts them."""

    def work() -> None:
        connect("a.example")
        main.switch()
        connect("b.example")

    main = greenlet.getcurrent()
    with socksify.via("proxy", isolate="task"):
        connect()
        threads = [greenlet.greenlet(work) for _ in range(2)]
        for thread in threads:
            thread.gr_context = contextvars.copy_context()
        for thread in 2 * threads:
            thread.switch()
        connect()
    assert groups(tor.told()) == [0, 1, 2, 1, 2, 0]


def test_a_worker_that_is_a_green_thread_works_as_who_handed_it_over(tor: Tor) -> None:
    """And the others of its thread work for themselves meanwhile."""

    def work() -> None:
        connect()
        main.switch()
        connect()

    main = greenlet.getcurrent()
    with socksify.via("proxy", isolate="task"):
        connect()
        worker, other = greenlet.greenlet(carried(work)), greenlet.greenlet(work)
        worker.switch()
        other.gr_context = contextvars.copy_context()
        for thread in (other, worker, other):
            thread.switch()
    assert groups(tor.told()) == [0, 0, 2, 0, 2]


def test_a_worker_works_as_who_handed_it_over(tor: Tor) -> None:
    def submit() -> None:
        pool.submit(connect).result()

    with socksify.via("proxy", isolate="task"), ThreadPoolExecutor(1) as pool:
        connect()
        submit()
        other = threading.Thread(target=socksify.via("proxy", isolate="task")(submit))
        other.start()
        other.join()
        submit()
    assert groups(tor.told()) == [0, 0, 2, 0]


def test_a_block_inside_of_the_work(tor: Tor) -> None:
    """One worker for two tasks, which know nothing of the block."""
    work = socksify.via("proxy", isolate="task")(connect)
    work()
    tor.told()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def task() -> None:
            for _ in range(2):
                await loop.run_in_executor(pool, work)

        for _ in range(2):
            await asyncio.create_task(task())

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(main())
    assert groups(tor.told()) == [0, 0, 2, 2]


def test_nothing_is_kept_of_a_task(tor: Tor) -> None:
    from socksify.routing import stream_isolation

    async def main() -> None:
        with socksify.via("proxy", isolate="task"):
            await asyncio.gather(*(connect_async() for _ in range(5)))

    asyncio.run(main())
    assert len(tor.told()) == 5
    assert len(stream_isolation._of_tasks) == 0


def test_a_forked_child_has_its_own(tor: Tor) -> None:
    with warnings.catch_warnings(), socksify.via("proxy", isolate="host"):
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        connect()
        pid = os.fork()
        if pid == 0:
            try:
                connect()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        connect()
    assert groups(tor.told()) == [0, 1, 0]


@pytest.mark.parametrize(
    ("scheme", "script"),
    [
        ("socks4a", [READ_SOCKS4, Send(socks4_reply(90) + b"x"), HANG]),
        ("http", [READ_HTTP, Send(http_reply(200) + b"x"), HANG]),
    ],
)
def test_what_other_protocols_have_for_it(scheme: str, script: Any, tmp_path: Path) -> None:
    """SOCKS4's user, HTTP's Basic: Tor isolates by them as well. None of it is in the log."""
    log = tmp_path / "log"
    with BadProxy(script) as proxy, routed(proxy.url(scheme), routes=("*=proxy",), isolate="host", log=str(log)):
        for host in ("a.example", "b.example", "a.example"):
            connect(host)
        said = [bytes(session.received) for session in proxy.sessions]
        users = [
            each[8:40] if scheme == "socks4a" else each.partition(b"Basic ")[2].partition(b"\r")[0] for each in said
        ]
        assert users[0] == users[2] != users[1]
        assert len(users[0]) >= 32
    assert users[0].decode() not in log.read_text()


def test_as_a_setting_for_everything() -> None:
    with BadProxy(saying(b"x", password=True)) as proxy:
        with routed(proxy.url(), routes=("*=proxy",), isolate="task"), ThreadPoolExecutor(1) as pool:
            connect()
            pool.submit(connect).result()
            thread = threading.Thread(target=connect)
            thread.start()
            thread.join()
        assert groups([credentials(session) for session in proxy.sessions]) == [0, 0, 2]


def test_the_last_proxy_of_a_chain_is_told() -> None:
    with BadProxy(good("socks5")) as first, BadProxy(saying(b"x", password=True)) as last:
        with routed(first.url(), last.url(), routes=("*=proxy",), isolate="connection"):
            connect()
            connect()
        assert [bytes(session.received[:3]) for session in first.sessions] == [b"\x05\x01\x00"] * 2
        assert len({credentials(session) for session in last.sessions}) == 2


def test_a_proxy_that_asks_for_none_is_told_none() -> None:
    with BadProxy(saying(b"x")) as proxy, routed(proxy.url(), routes=("*=proxy",), isolate="host"):
        connect()
        assert bytes(proxy.sessions[0].received[:4]) == b"\x05\x02\x00\x02"


def test_a_rules_proxy_keeps_its_user() -> None:
    with BadProxy(saying(b"x", password=True)) as tor, BadProxy(saying(b"x", password=True)) as corporate:
        url = f"socks5h://alice:secret@{corporate.host}:{corporate.port}"
        with routed(tor.url(), routes=(f"*.corp.example={url}", "*=proxy"), isolate="connection"):
            connect("www.corp.example")
            connect()
        assert credentials(corporate.sessions[0]) == (b"alice", b"secret")
        assert len(credentials(tor.sessions[0])[0]) == 32


@pytest.mark.usefixtures("uninstalled")
def test_what_cannot_be_isolated_is_refused() -> None:
    url = "socks5h://alice:secret@127.0.0.1:1080"
    with pytest.raises(socksify.ConfigError, match=r"install\(isolate=\): 'host': .* has a user already") as caught:
        socksify.install(url, isolate="host")
    assert "secret" not in str(caught.value)
    with pytest.raises(socksify.ConfigError, match="expected none, host, task or connection"):
        socksify.install("socks5h://127.0.0.1:1080", isolate="circuit")
    with pytest.raises(socksify.ConfigError, match=r"via\(isolate=\): 'circuit': expected none, host"):
        socksify.via("proxy", isolate="circuit")
    socksify.install("socks5h://127.0.0.1:1080", isolate="host")
    for via in (url, ["proxy", url]):
        with pytest.raises(socksify.ConfigError, match="has a user already"):
            socksify.via(via)
        with socksify.via(via, isolate="none"):
            pass
    for inside in ("direct", "block"):
        with pytest.raises(socksify.ConfigError, match="no proxy could isolate"):
            socksify.via(inside, isolate="host")
        with socksify.via(inside):
            pass
