"""What takes the place of a function in C is one to everybody who looks: above all, no class makes a method of it."""

from __future__ import annotations

import _posixsubprocess
import _socket
import copy
import importlib
import inspect
import os
import pickle
import pydoc
import select
import selectors
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import socksify
from socksify import _originals
from tests.support.stepping import SECONDS

URL = "socks5h://192.0.2.1:1080"
# Numbers that are answered without a packet.
CALLS: dict[str, tuple[Any, ...]] = {
    "select.select": ([], [], [], 0),
    "select.poll": (),
    "_socket.getaddrinfo": ("127.0.0.1", 80),
    "_socket.gethostbyname": ("127.0.0.1",),
    "_socket.gethostbyname_ex": ("127.0.0.1",),
    "_socket.gethostbyaddr": ("127.0.0.1",),
    "_socket.getnameinfo": (("127.0.0.1", 80), _socket.NI_NUMERICHOST | _socket.NI_NUMERICSERV),
    "os.execv": ("/nowhere/at/all", ["all"]),
    "os.execve": ("/nowhere/at/all", ["all"], {}),
    "os.posix_spawn": ("/nowhere/at/all", ["all"], {}),
    "os.posix_spawnp": ("/nowhere/at/all", ["all"], {}),
    "os.system": ("exit 3",),
    "os.putenv": ("SOCKSIFY_TEST", "1"),
    "os.unsetenv": ("SOCKSIFY_TEST",),
    "_posixsubprocess.fork_exec": (),
}
MODULES = {"select": select, "_socket": _socket, "os": os, "_posixsubprocess": _posixsubprocess}
NAMES = pytest.mark.parametrize("name", CALLS)


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    socksify.install(URL, children=True)
    yield
    socksify.uninstall()


def native(name: str) -> Callable[..., Any]:
    """The original; this module itself may keep none, for install() would replace it."""
    function: Callable[..., Any] = getattr(_originals, name.rpartition(".")[2])
    return function


def found(name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    function: Callable[..., Any] = getattr(MODULES[module], attribute)
    return function


def signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """None where it has none: inspect says more of ours then, from their code."""
    text = function.__text_signature__  # type: ignore[attr-defined]
    try:
        return inspect.signature(function) if text is not None else None
    except ValueError:  # up to Python 3.13 defaults of posix_spawn() cannot be read
        return None


def outcome(call: Callable[[], Any]) -> object:
    """What a call gives, or how it fails."""
    try:
        value = call()
    except Exception as error:
        return type(error), getattr(error, "errno", None)
    return type(value) if isinstance(value, type(select.poll())) else value


@NAMES
def test_it_is_called_as_before_from_within_a_class(name: str) -> None:
    new, original = found(name), native(name)
    assert new is not original

    class Client:
        stored = new

    class Derived(Client):
        pass

    args = CALLS[name]
    expected = outcome(lambda: original(*args))
    if name == "select.poll":
        expected = type(select.poll())
    for holder in (Client, Client(), Derived, Derived()):
        assert holder.stored is new
        assert outcome(lambda holder=holder: holder.stored(*args)) == expected  # type: ignore[misc]
    assert outcome(lambda: new(*args)) == expected


@NAMES
def test_it_introspects_as_the_original(name: str) -> None:
    new, original = found(name), native(name)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__text_signature__"):
        assert getattr(new, attribute) == getattr(original, attribute), attribute
    assert signature(new) == signature(original)
    assert inspect.isroutine(new)
    assert not inspect.isfunction(new)
    assert not inspect.isclass(new)
    assert callable(new)
    assert inspect.getmodule(new) is inspect.getmodule(original)
    ours, module = (getattr(function, "__self__") for function in (new, original))  # noqa: B009 (not all kinds have it)
    assert inspect.ismodule(ours)
    assert (ours.__name__, repr(ours), dir(ours)) == (module.__name__, repr(module), dir(module))
    assert all(getattr(ours, each) is getattr(module, each) for each in dir(module) if not each.startswith("__"))
    title = pydoc.plain(pydoc.render_doc(new)).splitlines()[0]
    assert original.__name__ in title


@NAMES
def test_it_is_pickled_and_copied_by_reference(name: str) -> None:
    new, original = found(name), native(name)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        dumped = pickle.dumps(new, protocol)
        assert pickle.loads(dumped) is new
        assert b"socksify" not in dumped
    assert copy.copy(new) is new
    assert copy.deepcopy([new])[0] is new
    socksify.uninstall()
    # Where there is no socksify it is the original, as it is in a program that socksify is not in.
    assert pickle.loads(dumped) is original


@NAMES
def test_it_is_a_key_and_takes_weak_references(name: str) -> None:
    new = found(name)
    assert {new: 1}[found(name)] == 1
    assert weakref.ref(new)() is new


class Speaker:
    def speak(self) -> str:
        return "spoken"


def test_methods_are_copied_as_ever() -> None:
    assert copy.deepcopy(Speaker().speak)() == "spoken"


# Stand-ins that have the tables of cloudpickle and of dill, and save methods by their parts, as these do.
PICKLERS = {
    "cloudpickle.cloudpickle": """
import collections, copyreg, pickle, types
def save_method(obj):
    return types.MethodType, (obj.__func__, obj.__self__)
class Pickler(pickle.Pickler):
    _dispatch_table = {types.MethodType: save_method}
    dispatch_table = collections.ChainMap(_dispatch_table, copyreg.dispatch_table)
table = Pickler._dispatch_table
""",
    "dill._dill": """
import pickle, types
def save_method(pickler, obj):
    pickler.save_reduce(types.MethodType, (obj.__func__, obj.__self__), obj=obj)
class Pickler(pickle._Pickler):
    dispatch = {**pickle._Pickler.dispatch, types.MethodType: save_method}
table = Pickler.dispatch
""",
}
SAVING = """
import io, pickle, select, sys, types
sys.path.insert(0, sys.argv[1])
import socksify
def saved(thing):
    file = io.BytesIO()
    module.Pickler(file).dump(thing)
    return file.getvalue()
socksify.install("socks5h://192.0.2.1:1080")
module = __import__(sys.argv[2], fromlist=["Pickler"])
assert b"socksify" not in saved([select.select])
assert pickle.loads(saved([select.select])) == [select.select]
socksify.uninstall()
assert module.table[types.MethodType] is module.save_method
"""


@pytest.mark.parametrize("name", PICKLERS)
def test_picklers_that_take_methods_apart_save_a_reference(name: str, tmp_path: Path) -> None:
    package, _, module = name.partition(".")
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / package / f"{module}.py").write_text(PICKLERS[name])
    subprocess.run([sys.executable, "-c", SAVING, str(tmp_path), name], check=True, timeout=SECONDS)


def test_a_program_without_socksify_reads_the_pickle() -> None:
    dumped = pickle.dumps([found(name) for name in CALLS])
    check = (
        "import sys; sys.modules['socksify'] = None; import pickle, select, os, _socket;"
        "got = pickle.load(sys.stdin.buffer); assert got[0] is select.select and got[7] is os.execv, got"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", check], input=dumped, check=True, timeout=SECONDS)


def test_a_module_that_is_loaded_again_stores_it() -> None:
    """importlib.reload(selectors), and from Python 3.14 on its first import, come after install()."""
    before = dict(vars(selectors))
    try:
        importlib.reload(selectors)
        one, other = socket.socketpair()
        with one as sock, other:
            for cls in (selectors.SelectSelector, selectors.PollSelector):
                with cls() as selector:
                    selector.register(sock, selectors.EVENT_WRITE)
                    assert selector.select(0)
        answer = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, timeout=SECONDS, check=True)
        assert answer.stdout == b"1\n"
    finally:
        vars(selectors).update(before)


FIRST_IMPORT = """
import socket, sys, subprocess
import socksify
socksify.install("socks5h://192.0.2.1:1080")
import selectors
print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout)
with selectors.SelectSelector() as one, selectors.PollSelector() as two:
    assert one.select(0) == two.select(0) == []
socksify.uninstall()
import _socket, os, select
from types import BuiltinFunctionType
assert type(select.select) is type(selectors.SelectSelector._select) is BuiltinFunctionType
assert type(selectors.PollSelector._selector_cls) is BuiltinFunctionType
"""


def test_selectors_may_come_after_install() -> None:
    subprocess.run([sys.executable, "-c", FIRST_IMPORT], check=True, timeout=SECONDS)
