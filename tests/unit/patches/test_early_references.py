"""References that were made before install(): rebound where that can be done, named on stderr where it cannot."""

from __future__ import annotations

import functools
import select
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import socksify
from socksify import _originals
from tests.support.stepping import MOMENT, SECONDS, begin, stepping

URL = "socks5h://192.0.2.1:1080"


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    socksify.uninstall()


def enclosed() -> Callable[[], Any]:
    wait = select.select
    return lambda: wait


class Slotted:
    __slots__ = ("wait",)
    wait: Callable[..., Any]


class Plain:
    pass


def places() -> dict[str, tuple[object, Callable[[], Any]]]:
    """Where a client may keep a reference: what keeps it, and how it is looked up there."""
    module = ModuleType("a_client")
    vars(module)["select"] = select.select
    by_class = type("ByClass", (), {"wait": select.select})
    static = type("Static", (), {"wait": staticmethod(select.select)})
    instance, slotted = Plain(), Slotted()
    instance.wait = select.select  # type: ignore[attr-defined]
    slotted.wait = select.select
    closure = enclosed()
    items = [None, select.select, select.select]
    mapping = {"wait": select.select}
    space = SimpleNamespace(wait=select.select)

    def keyword(*, wait: Any = select.select) -> Any:
        return wait

    return {
        "module": (module, lambda: vars(module)["select"]),
        "class": (by_class, lambda: by_class().wait),
        "staticmethod": (static, lambda: static().wait),
        "instance": (instance, lambda: instance.wait),  # type: ignore[attr-defined]
        "slot": (slotted, lambda: slotted.wait),
        "closure": (closure, closure),
        "list": (items, lambda: items[2]),
        "dict": (mapping, lambda: mapping["wait"]),
        "namespace": (space, lambda: space.wait),
        "keyword default": (keyword, keyword),
        "SelectSelector": (selectors.SelectSelector, lambda: vars(selectors.SelectSelector)["_select"]),
    }


PLACES = ["module", "class", "staticmethod", "instance", "slot", "closure", "list", "dict", "namespace"]


@pytest.mark.parametrize("place", [*PLACES, "keyword default", "SelectSelector"])
def test_a_reference_is_rebound_and_put_back(place: str) -> None:
    keeper, look = places()[place]
    socksify.install(URL)
    assert look() is select.select, place
    assert look() is not _originals.select
    socksify.uninstall()
    assert look() is _originals.select
    del keeper


def test_what_was_rebound_works() -> None:
    """A select() kept by a class is no method of it, and its instances do not become an argument."""

    class Client:
        wait: Any = select.select

    with stepping():
        assert Client().wait([], [], [], 0) == ([], [], [])


def positional() -> Callable[..., Any]:
    def keeping(wait: Any = select.select) -> Any:
        return wait

    return keeping


@pytest.mark.parametrize("kind", ["partial", "defaults", "tuple"])
def test_what_cannot_be_rebound_is_named_once(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    makers: dict[str, Callable[[], object]] = {
        "partial": lambda: functools.partial(select.select, []),
        "defaults": positional,
        "tuple": lambda: (select.select, 1),
    }
    keeper = makers[kind]()
    socksify.install(URL)
    mark = "keeping()" if kind == "defaults" else f"a {kind} " if kind == "tuple" else "functools.partial"
    lines = [line for line in capfd.readouterr().err.splitlines() if mark in line]
    assert len(lines) == 1
    assert lines[0].startswith("socksify: ")
    assert "select.select" in lines[0]
    if kind == "defaults":
        assert f"{__name__}.positional.<locals>.keeping()" in lines[0]
    del keeper


def test_what_the_client_rebound_meanwhile_is_the_clients() -> None:
    module = ModuleType("a_client")
    vars(module).update(wait=select.select, gone=select.select)
    mine = object()
    socksify.install(URL)
    vars(module)["wait"] = mine
    del vars(module)["gone"]
    socksify.uninstall()
    assert vars(module)["wait"] is mine
    assert "gone" not in vars(module)


@pytest.mark.parametrize("cls", ["PollSelector", "its subclass"])
def test_a_poll_selector_made_before_is_told(cls: str) -> None:
    """Nobody can look into a bare poll object; the selector that keeps it knows what is in it."""
    made = selectors.PollSelector if cls == "PollSelector" else type("Mine", (selectors.PollSelector,), {})
    with made() as selector, socket.socket() as sock:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_WRITE)
        with stepping() as steps:
            begin(sock)
            steps.play(lambda: selector.select(MOMENT))
            assert selector.select(SECONDS)
            sock.close()


def test_a_closed_poll_selector_is_left_alone() -> None:
    selector = selectors.PollSelector()
    selector.close()
    socksify.install(URL)
    socksify.uninstall()
    assert selector.get_map() is None


def test_modules_of_the_standard_library_are_covered() -> None:
    """Those that keep a name of their own."""
    keepers = [module for module in list(sys.modules.values()) if vars(module).get("select") is select.select]
    socksify.install(URL)
    for module in keepers:
        if not module.__name__.startswith("socksify"):
            assert vars(module)["select"] is select.select


FROZEN = """
import gc, select, selectors
from select import select as early
gc.freeze()
import socksify
socksify.install("socks5h://192.0.2.1:1080")
assert early is select.select is selectors.SelectSelector._select
selectors.SelectSelector().select(0)
socksify.uninstall()
assert early is select.select is selectors.SelectSelector._select
"""


def test_what_gc_freeze_has_put_away_is_covered() -> None:
    """Servers that fork workers freeze the heap first; names of modules are found without the collector."""
    subprocess.run([sys.executable, "-c", FROZEN], check=True, timeout=SECONDS)


def test_other_threads_change_what_is_gone_through() -> None:
    """A dict, a class and a module that grow and shrink while install() looks for originals in them."""
    module = ModuleType("a_busy_client")
    busy = type("Busy", (), {"wait": select.select})
    items: dict[Any, Any] = dict.fromkeys(range(20_000)) | {"wait": select.select}
    vars(module).update({f"name{number}": number for number in range(5_000)}, wait=select.select)
    sys.modules["a_busy_client"] = module
    ended = threading.Event()

    def change() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            items[f"more{number}"] = number
            setattr(busy, f"more{number}", number)
            setattr(module, f"more{number}", number)
            if number > 50:
                del items[f"more{number - 50}"]
                delattr(busy, f"more{number - 50}")
                delattr(module, f"more{number - 50}")

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=change)
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(10):
            socksify.install(URL)
            assert items["wait"] is vars(busy)["wait"] is module.wait is select.select
            socksify.uninstall()
            assert items["wait"] is vars(busy)["wait"] is module.wait is _originals.select
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)
        del sys.modules["a_busy_client"]
