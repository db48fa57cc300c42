"""Copies of socket.py under other names go through the proxy like the module itself, and nothing stays of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import builtins, importlib.machinery, importlib.util, runpy, socket, sys, types, _socket
import socksify
plain = type(_socket), vars(_socket)["socket"]

def by_loader():
    loader = importlib.machinery.SourceFileLoader("other", socket.__file__)
    module = sys.modules["other"] = types.ModuleType("other")
    loader.exec_module(module)
    return vars(module)

def by_spec():
    spec = importlib.util.spec_from_file_location("other", socket.__file__)
    module = importlib.util.module_from_spec(spec)
    sys.modules["other"] = module
    spec.loader.exec_module(module)
    return vars(module)

def by_source():
    names = {{"__name__": "socket"}}
    exec(open(socket.__file__).read(), names)
    return names

def by_reload():
    importlib.reload(socket)
    return vars(socket)

def by_code():
    module = sys.modules["other"] = types.ModuleType("other")
    exec(importlib.machinery.SourceFileLoader("other", socket.__file__).get_code("other"), vars(module))
    return vars(module)

WAYS = {{
    "run_module": lambda: runpy.run_module("socket", run_name="socket"),
    "run_path": lambda: runpy.run_path(socket.__file__, run_name="other"),
    "by_loader": by_loader, "by_spec": by_spec, "by_source": by_source, "by_reload": by_reload,
    "by_code": by_code,
}}
USES = {{
    "connect": lambda names: names["socket"]().connect(("192.0.2.1", 80)),
    "connect_ex": lambda names: print(names["socket"]().connect_ex(("192.0.2.1", 80))),
    "create_connection": lambda names: names["create_connection"](("192.0.2.1", 80), 5),
    "a subclass": lambda names: type("Sub", (names["socket"],), {{}})().connect(("192.0.2.1", 80)),
    "a name": lambda names: names["create_connection"](("name.example", 80), 5),
}}

make, use, early, strict = WAYS[{way!r}], USES[{use!r}], {early}, {strict}
copy = make() if early else None
if early and {used}:
    copy["socket"]().close()
socksify.install("socks5h://127.0.0.1:9", strict=strict)
try:
    use(copy or make())
except OSError as error:
    print(getattr(error, "proxy", error))
assert _socket.socket is plain[1]
socksify.uninstall()
assert (type(_socket), _socket.socket) == plain
for cls in _socket.socket.__subclasses__():
    assert "connect" not in vars(cls), cls
"""
WAYS = ("run_module", "run_path", "by_loader", "by_spec", "by_source", "by_code")
USES = ("connect", "connect_ex", "a subclass", "create_connection", "a name")


def program(way: str, use: str, *, early: bool = False, used: bool = False, strict: bool = False) -> str:
    code = PROGRAM.format(way=way, use=use, early=early, used=used, strict=strict)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_goes_through_the_proxy(way: str) -> None:
    # These two leave their enumerations to the module `socket`, without which some functions do not work.
    for use in USES[:3] if way in ("run_module", "by_source") else USES:
        assert program(way, use) == ("111\n" if use == "connect_ex" else "socks5h://127.0.0.1:9\n"), use


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("used", [False, True])
def test_so_does_one_that_was_made_before(way: str, used: bool) -> None:
    assert program(way, "connect", early=True, used=used) == "socks5h://127.0.0.1:9\n"


@pytest.mark.parametrize("way", ["run_module", "by_spec"])
def test_strict_lets_a_copy_be(way: str) -> None:
    assert program(way, "connect", strict=True) == "socks5h://127.0.0.1:9\n"


def test_a_reload_is_no_copy() -> None:
    assert program("by_reload", "connect") == "socks5h://127.0.0.1:9\n"
