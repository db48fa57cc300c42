"""install() and uninstall(): any time, any number of times, from anywhere, and without a trace."""

from __future__ import annotations

import _socket
import asyncio
import inspect
import os
import pickle
import select
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

import socksify
from socksify import _originals, patches
from socksify.patches import early_references, polling, scope
from socksify.patches.children import process_calls
from socksify.patches.sockets import connect as sockets_connect
from socksify.patches.sockets import datagrams, lifecycle, listen, lookups
from tests.support.bad_proxy import BadProxy
from tests.support.steps import good
from tests.support.targets import Target

URL = "socks5h://192.0.2.1:1080"
LOOPBACK = ["127.0.0.0/8=proxy"]
OWNERS: list[Any] = [
    ThreadPoolExecutor,
    ProcessPoolExecutor,
    socket,
    select,
    selectors,
    ssl,
    socket.socket,
    ssl.SSLSocket,
    select.epoll,
    selectors.SelectSelector,
    selectors.PollSelector,
    selectors.EpollSelector,
    selectors.DefaultSelector,
]
REPLACEMENTS = [
    *lifecycle.REPLACEMENTS,
    *polling.replacements(),
    *lookups.REPLACEMENTS,
    *sockets_connect.REPLACEMENTS,
    *listen.REPLACEMENTS,
    *datagrams.REPLACEMENTS,
    *process_calls.REPLACEMENTS,
]


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    """Whatever a test does, the next one begins afresh."""
    yield
    socksify.uninstall()


def world() -> list[list[tuple[str, int]]]:
    """Names, order and identity of all that could be touched."""
    return [[(name, id(value)) for name, value in vars(owner).items()] for owner in OWNERS]


def test_uninstall_leaves_everything_as_it_was() -> None:
    before, environment = world(), dict(os.environ)
    for _ in range(3):
        socksify.install(URL)
        assert world() != before
        socksify.uninstall()
        assert world() == before
        assert dict(os.environ) == environment


def test_uninstall_without_install_is_nothing() -> None:
    before = world()
    socksify.uninstall()
    assert world() == before


def test_the_same_settings_again_change_nothing() -> None:
    socksify.install(URL)
    before, router = world(), scope.current().router
    socksify.install(URL)
    assert world() == before
    assert scope.current().router is router


def test_other_settings_replace_the_first(echo_server: Target) -> None:
    with BadProxy(good("socks5")) as first, BadProxy(good("socks4")) as second:
        before = world()
        socksify.install(first.url(), routes=LOOPBACK)
        installed = world()
        socksify.install(second.url("socks4"), routes=LOOPBACK)
        assert world() == installed
        socket.create_connection(echo_server.address).close()
        assert [len(proxy.sessions) for proxy in (first, second)] == [0, 1]
        socksify.uninstall()
        assert world() == before


def test_a_setting_that_cannot_be_used_leaves_all_as_it_is(tmp_path: Path) -> None:
    before = world()
    for wrong in ({"proxy": "gopher://x"}, {"proxy": URL, "log": str(tmp_path / "no" / "log")}):
        with pytest.raises((socksify.ConfigError, OSError)):
            socksify.install(**wrong)  # type: ignore[arg-type]
        # The network is closed meanwhile.
        socksify.uninstall()
        assert world() == before
        assert not patches.is_installed()


def test_a_log_that_cannot_be_opened_leaves_the_old_one_open(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with BadProxy(good("socks5")) as proxy:
        socksify.install(proxy.url(), routes=["127.0.0.0/8=block"], log=str(log))
        router = scope.current().router
        with pytest.raises(OSError):
            socksify.install(proxy.url(), log=str(tmp_path / "no" / "log"))
        assert scope.current().router is router
        with pytest.raises(PermissionError):
            socket.create_connection(("127.0.0.1", 9))
        assert "denied" in log.read_text()


def test_a_failure_halfway_leaves_nothing_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_client")
    module.wait = select.select  # type: ignore[attr-defined]
    before = world()

    def failing(*_: object) -> None:
        raise RuntimeError("halfway")

    monkeypatch.setattr(early_references, "replace_polls_of_selectors", failing)
    with pytest.raises(RuntimeError, match="halfway"):
        socksify.install(URL)
    socksify.uninstall()
    assert world() == before
    assert module.wait is select.select
    assert not patches.is_installed()
    monkeypatch.undo()
    socksify.install(URL)
    assert world() != before


def test_from_another_thread() -> None:
    before = world()
    for call in (lambda: socksify.install(URL), socksify.uninstall):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        assert patches.is_installed() == (call is not socksify.uninstall)
    assert world() == before


def test_many_threads_at_once() -> None:
    before = world()
    barrier = threading.Barrier(8)

    def flip(number: int) -> None:
        barrier.wait()
        for _ in range(3):
            socksify.install(f"socks5h://192.0.2.{number + 1}:1080")
            if number % 2:
                socksify.uninstall()

    threads = [threading.Thread(target=flip, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    socksify.uninstall()
    assert world() == before


@pytest.mark.parametrize("selector", ["SelectSelector", "PollSelector", "EpollSelector"])
def test_under_a_running_loop(selector: str, echo_server: Target) -> None:
    """As in a notebook: the loop runs on, before, during and after."""

    async def echoed() -> bytes:
        reader, writer = await asyncio.open_connection(*echo_server.address)
        writer.write(b"ping")
        answer = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return answer

    async def main() -> None:
        with BadProxy(good("socks5")) as proxy:
            for sessions in (1, 2):
                assert await echoed() == b"ping"
                socksify.install(proxy.url(), routes=LOOPBACK)
                assert await echoed() == b"ping"
                assert len(proxy.sessions) == sessions
                await asyncio.to_thread(socksify.uninstall)
            assert await echoed() == b"ping"
            assert len(proxy.sessions) == 2

    made = getattr(selectors, selector)()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(made)) as runner:
        runner.run(asyncio.wait_for(main(), 20))


def test_proxy_variables_are_hidden_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, URL)
    monkeypatch.setenv("HTTP_PROXY", "http://elsewhere.example:8080")
    before = dict(os.environ)
    socksify.install()
    assert not {"ALL_PROXY", "HTTPS_PROXY"} & set(os.environ)
    assert os.environ["HTTP_PROXY"] == "http://elsewhere.example:8080"
    socksify.uninstall()
    assert dict(os.environ) == before


def test_a_variable_that_the_client_set_meanwhile_is_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", URL)
    socksify.install()
    os.environ["ALL_PROXY"] = "http://elsewhere.example:8080"
    socksify.uninstall()
    assert os.environ["ALL_PROXY"] == "http://elsewhere.example:8080"


def parameters(signature: inspect.Signature) -> list[tuple[str, Any]]:
    """Kinds, and names where a caller can use them."""
    found = signature.parameters.values()
    return [("" if each.kind is each.POSITIONAL_ONLY else each.name, each.kind) for each in found]


@pytest.mark.parametrize("item", REPLACEMENTS, ids=lambda item: f"{item.owner.__name__}.{item.name}")
def test_a_replacement_introspects_as_the_original(item: Any) -> None:
    """The names are compared where the original has them (a method descriptor has no module)."""
    original = getattr(item.owner, item.name)
    socksify.install(URL)
    new = getattr(item.owner, item.name)
    assert new is not original
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        if getattr(original, name, None) is not None and not isinstance(original, type):
            assert getattr(new, name) == getattr(original, name), name
    try:
        signature = inspect.signature(original)
    except (ValueError, AttributeError):
        pass  # it has none, or one that inspect itself cannot read
    else:
        # Of a default that is no literal the stdlib's signature has the expression, or the value, by its version.
        assert parameters(inspect.signature(new)) == parameters(signature)
    assert pickle.loads(pickle.dumps(new)) is new


@pytest.mark.parametrize("name", ["register", "modify", "unregister", "poll"])
def test_a_poll_object_introspects_as_the_original(name: str) -> None:
    """Except for a default that the stdlib's writes as an expression."""
    original = getattr(select.poll(), name)
    socksify.install(URL)
    new = getattr(select.poll(), name)
    assert new.__doc__.split("\n")[0] == original.__doc__.split("\n")[0]
    assert parameters(inspect.signature(new)) == parameters(inspect.signature(original))
    assert type(select.poll()).__name__ == "poll"
    assert type(select.poll()).__module__ == "select"


def test_vars_are_what_was_asked_for() -> None:
    """connect() and kin are inherited, so undoing is deleting; nothing else may appear in the class."""
    before = set(vars(socket.socket))
    socksify.install(URL)
    assert isinstance(vars(socket.socket), MappingProxyType)
    ours = {item.name for item in REPLACEMENTS if item.owner is socket.socket}
    assert set(vars(socket.socket)) - before == ours - before
    assert not {"send", "sendall", "recv", "recvfrom", "recvmsg"} & ours


def test_what_was_taken_while_installed_is_native_afterwards(
    echo_server: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    socksify.install(URL)
    gethostbyname, getaddrinfo, connect = socket.gethostbyname, _socket.getaddrinfo, socket.socket.connect
    gethostbyaddr, sendto = socket.gethostbyaddr, socket.socket.sendto
    fake = gethostbyname("name.example")
    assert fake.startswith(("198.18.", "198.19."))
    socksify.uninstall()
    monkeypatch.setattr(_originals, "gethostbyname", lambda name: f"native {name}")
    monkeypatch.setattr(_originals, "getaddrinfo", lambda name, *_: [(0, 0, 0, "", (f"native {name}",))])
    assert gethostbyname("name.example") == getaddrinfo("name.example", 80)[0][4][0] == "native name.example"
    monkeypatch.undo()
    assert gethostbyaddr("127.0.0.1")[2] == ["127.0.0.1"]
    with socket.socket() as sock:
        connect(sock, echo_server.address)
        assert sock.getpeername() == echo_server.address
    with socket.socket(type=socket.SOCK_DGRAM) as sender, socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        assert sendto(sender, b"x", receiver.getsockname()) == 1
