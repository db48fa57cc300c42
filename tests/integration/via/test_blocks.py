"""socksify.via(): the proxy of what is opened inside a block, and that nothing of the block is left outside."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import gc
import socket
import weakref
from collections.abc import Callable, Generator, Iterator
from errno import EACCES
from typing import Any

import pytest

import socksify
from socksify.patches import scope
from tests.integration.via.world import FAR, SECONDS, World
from tests.support.bad_proxy import BadProxy
from tests.support.steps import good


def test_the_innermost_block_decides(proxies: World) -> None:
    assert proxies.answerer() == "a"
    with socksify.via(proxies.b.url()):
        assert proxies.answerer() == "b"
        with socksify.via("direct"):
            assert proxies.answerer() == "T"
            with socksify.via("proxy"):
                assert proxies.answerer() == "a"
                with socksify.via("block"), pytest.raises(PermissionError) as caught:
                    proxies.answerer()
            assert proxies.answerer() == "T"
        assert proxies.answerer() == "b"
    assert proxies.answerer() == "a"
    assert isinstance(caught.value, socksify.ProxyError) and caught.value.errno == EACCES
    assert "blocked by rule \"via('block')\" (scope)" in str(caught.value)


def test_an_exception_leaves_the_block(proxies: World) -> None:
    with pytest.raises(KeyError), socksify.via(proxies.b.url()):
        raise KeyError
    assert proxies.answerer() == "a"


def test_several_are_a_chain(proxies: World) -> None:
    with BadProxy(good("socks5")) as first:
        for chain in ([first.url(), proxies.b.url()], f"{first.url()},{proxies.b.url()}", (first.url(), "proxy")):
            with socksify.via(chain):
                last = "a" if "proxy" in chain else "b"
                assert proxies.answerer(FAR) == last
        beyond = [(proxies.b.host, proxies.b.port), (proxies.b.host, proxies.b.port), (proxies.a.host, proxies.a.port)]
        assert [session.target for session in first.sessions] == beyond
    assert proxies.asked() == ([FAR], [FAR, FAR])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("gopher://x", "unknown scheme"),
        ("socks5h://x:99999", "the port has to be a number"),
        ("nobody", "no proxy of that name; expected direct, block, proxy"),
        ("direct+proxy", "direct cannot be part of a chain"),
        (["direct", "proxy"], "'direct': cannot be part of a chain"),
        (["proxy", "block"], "'block': cannot be part of a chain"),
        (["proxy", "socks5h://localhost/run/x"], "a Unix socket can only be the first hop"),
        ("", "no proxy of that name"),
        ([], "nothing in it"),
        (7, "expected a text or a list of texts"),
        (["proxy", 7], "expected a text or a list of texts"),
        ("socks5h://user:open sesame@x", "***"),
    ],
)
def test_what_is_no_way_is_refused(proxies: World, wrong: str, told: str) -> None:
    with pytest.raises(socksify.ConfigError) as caught:
        socksify.via(wrong)
    assert "via()" in str(caught.value) and told in str(caught.value)
    assert "sesame" not in str(caught.value)
    assert proxies.answerer() == "a"


def test_a_proxys_own_address(proxies: World) -> None:
    """Is reached directly, or a proxy would be asked for itself; where all is blocked, so is this."""
    own = proxies.b.host, proxies.b.port
    with socksify.via(proxies.b.url()), socket.socket() as sock:
        sock.connect(own)
        assert sock.getpeername() == own
    with socksify.via("block"), pytest.raises(PermissionError):
        proxies.answerer(own)
    assert proxies.asked()[0] == []


def test_one_object_again_and_again(proxies: World) -> None:
    via = socksify.via(proxies.b.url())
    for _ in range(2):
        with via, via, socksify.via("direct"), via:
            assert proxies.answerer() == "b"
        assert proxies.answerer() == "a"


def test_a_generator_closed_elsewhere_harms_nobody(proxies: World) -> None:
    def connecting() -> Generator[str]:
        with socksify.via(proxies.b.url()):
            while True:
                yield proxies.answerer()

    generator = connecting()
    assert contextvars.copy_context().run(next, generator) == "b"
    assert proxies.answerer() == "a"
    with socksify.via("direct"):
        # This context never entered the generator's block, nor leaves its own by it.
        generator.close()
        assert proxies.answerer() == "T"
    assert proxies.answerer() == "a"


def test_blocks_that_are_left_out_of_order(proxies: World) -> None:
    outer, inner = socksify.via(proxies.b.url()), socksify.via("direct")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert proxies.answerer() == "a"
    inner.__exit__(None, None, None)
    assert proxies.answerer() == "a"
    assert scope.entered() is None


def test_what_is_open_keeps_its_way(proxies: World) -> None:
    with socksify.via(proxies.b.url()):
        inside = socket.create_connection(FAR, timeout=SECONDS)
    with inside, socksify.via("block"):
        assert inside.recv(1) == b"b"
        assert inside.getpeername() == FAR
        inside.sendall(b"still here")
    assert bytes(proxies.b.finished(len(proxies.b.sessions) - 1).received).endswith(b"still here")


def test_a_failure_inside_and_another_connect_outside(proxies: World) -> None:
    assert proxies.asked() == ([], [])
    with BadProxy(good("socks5", reply=5)) as refusing, socket.socket() as sock:
        sock.settimeout(SECONDS)
        with socksify.via(refusing.url()), pytest.raises(ConnectionRefusedError):
            sock.connect(FAR)
        sock.connect(FAR)
        assert sock.recv(1) == b"a"


def test_a_decorator(proxies: World) -> None:
    via = socksify.via(proxies.b.url())

    @via
    def fetch(address: tuple[str, int], *, again: bool = False) -> str:
        """Fetches."""
        return proxies.answerer(address) + (fetch(address) if again else "")

    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetches.")
    assert fetch(FAR, again=True) == "bb"
    assert proxies.answerer() == "a"


def generate() -> Iterator[str]:
    yield "outside"


class Generating:
    def __call__(self) -> Iterator[str]:
        yield "outside"


GENERATORS: dict[str, Callable[..., Any]] = {
    "a function": generate,
    "a partial": functools.partial(functools.partial(generate)),
    "a decorated one": functools.lru_cache(generate),
    "a context manager": contextlib.contextmanager(generate),
    "an object": Generating(),
}


@pytest.mark.parametrize("function", GENERATORS.values(), ids=GENERATORS)
def test_a_generator_is_not_decorated(function: Callable[..., Any]) -> None:
    """It would run where somebody goes through it, outside."""
    with pytest.raises(TypeError, match="use `with` inside of it"):
        socksify.via("direct")(function)


def test_many_proxies_one_after_another(proxies: World) -> None:
    """Scopes are kept for those that come again, and not for ever."""
    for number in range(600):
        with socksify.via(f"socks5h://192.0.2.1:{number + 1}"):
            scope.current()
    assert len(scope.installed.scope._inside) <= scope.Scope._MEMORY
    with socksify.via(proxies.b.url()):
        assert proxies.answerer() == "b"


def test_nothing_of_a_block_is_kept(proxies: World) -> None:  # noqa: ARG001
    via = socksify.via("direct")
    with via:
        pass
    gone = weakref.ref(via)
    del via
    gc.collect()
    assert gone() is None
