"""The direction of imports is the architecture: read from the source, whoever imports whom, at whatever depth."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "socksify"
FILES = sorted(PACKAGE.rglob("*.py"))

# A layer is a directory or a top-level module of the package; `""` is the public face, socksify/__init__.py.
# An entry may name a layer, or one module of it.
ROUTES = {"tunnel.route", "tunnel.router"}
MAY_IMPORT: dict[str, set[str]] = {
    "_closing": {"patches.uncovered"},
    "_hook": set(),
    "_record": set(),
    "_real": set(),
    # _real where a lock is waited for, alone.
    "interrupts": {"_real"},
    "descriptors": {"_real", "interrupts"},
    "program": set(),
    "config": {"_record"},
    "protocol": {"_record"},
    "tunnel": {"_record", "_real", "interrupts", "descriptors", "config", "protocol"},
    "patches": {"_hook", "_record", "_real", "interrupts", "descriptors", "config", "protocol", "tunnel"},
    "server": {"_record", "_real", "interrupts", "descriptors", "config", "protocol", *ROUTES}
    | {"tunnel.handshake", "tunnel.machine"},
    "": {"_closing", "_record", "_real", "clients.rcmd", "config", "protocol", "tunnel", "patches"},
    "launch": {
        "",
        "_record",
        "_real",
        "config",
        "program",
        "protocol",
        "patches",
        "server",
        "site.command",
        "tunnel.route",
        "tunnel.router",
    },
    "__main__": {"launch"},
    "site": {"", "_hook", "_record", "config", "program", "patches"},
    "clients": {""},
}
# Layers that never touch the network or the clock: the interpreter's own modules that would.
FORBIDDEN = {
    "protocol": {"socket", "_socket", "select", "selectors", "ssl", "asyncio", "time", "threading", "logging"},
    "config": {"socket", "_socket", "select", "selectors", "ssl", "asyncio", "threading", "logging"},
}
# Modules without a subject of their own.
NOWHERE = {"util", "utils", "common", "helper", "helpers", "base", "misc"}
# What a program that never opens a socket must not be made to pay for.
COSTLY = {"typing", "asyncio", "ssl", "logging", "argparse", "dataclasses", "socket"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """`config` of `socksify.config.urls`."""
    return module.split(".")[1] if "." in module else ""


MODULES = {module_name(path) for path in FILES}


def imports(source: str, package: str) -> Iterator[str]:
    """The absolute name of each module that is imported, at any depth; `package` resolves the relative ones."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from socksify.config import urls` imports a module, `from socksify.config import load` a function.
                deeper = f"{origin}.{alias.name}"
                yield deeper if deeper in MODULES else origin


def forbidden_arrows(source: str, module: str, package: str) -> set[str]:
    """What `module` imports and its layer may not."""
    own = layer(module)
    allowed = MAY_IMPORT[own]
    found = set()
    for target in imports(source, package):
        if target.split(".")[0] != "socksify":
            if target.split(".")[0] in FORBIDDEN.get(own, set()):
                found.add(target)
        elif layer(target) != own and not {layer(target), target.removeprefix("socksify.")} & allowed:
            found.add(target)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_direction(path: Path) -> None:
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    assert forbidden_arrows(path.read_text(), module, package) == set()


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("socksify.protocol.x", "import socket", "socket"),
        ("socksify.protocol.x", "def f():\n    from socksify.tunnel import dial", "socksify.tunnel.dial"),
        ("socksify.protocol.x", "from ..config import urls", "socksify.config.urls"),
        ("socksify.server.x", "from socksify.tunnel import registry", "socksify.tunnel.registry"),
        ("socksify.server.x", "import socksify.patches", "socksify.patches"),
        ("socksify.tunnel.x", "if TYPE_CHECKING:\n    from socksify.patches import install", "socksify.patches"),
        ("socksify.config.x", "import socksify", "socksify"),
    ],
)
def test_a_wrong_arrow_is_seen(module: str, source: str, found: str) -> None:
    assert forbidden_arrows(source, module, module.rpartition(".")[0]) == {found}


def test_every_layer_is_known() -> None:
    assert {layer(module) for module in MODULES} <= MAY_IMPORT.keys()


def test_every_module_has_a_subject() -> None:
    assert not {path for path in FILES if NOWHERE & set(path.relative_to(PACKAGE).with_suffix("").parts)}


def test_importing_the_package_is_cheap() -> None:
    """-S, because site-packages may hold start-up files (editable installs, coverage) that import what they like."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import socksify; print(*sys.modules)"
    child = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert "socksify" in child.stdout.split()
    assert not COSTLY & set(child.stdout.split())
