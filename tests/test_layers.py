"""The direction of imports is the architecture. It is read from the source: imports inside functions and those that are
for type checkers alone count too.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "socksify"
FILES = sorted(PACKAGE.rglob("*.py"))
# The hook is copied into other environments, where the package may be missing. So it is no layer of the package.
HOOK = ROOT / "sitecustomize_template"
HOOK_FILES = sorted(HOOK.rglob("*.py"))

# A layer is a directory or a top-level module of the package; `""` is the public face, socksify/__init__.py.
# An entry may name a layer, or one module of it.
MAY_IMPORT: dict[str, set[str]] = {
    "_network_block": set(),
    "_hook_location": set(),
    "_record": set(),
    "_originals": set(),
    "_supervision": {"_originals", "_signal_safety"},
    # _originals where a lock is waited for, alone.
    "_signal_safety": {"_originals"},
    "_descriptors": {"_originals", "_signal_safety"},
    "program": set(),
    "elf": {"_record"},
    "config": {"_record"},
    "protocol": {"_record"},
    "routing": {"_record", "_originals", "_signal_safety", "_descriptors", "_supervision", "config", "protocol"},
    "tunnel": {
        "_record",
        "_originals",
        "_signal_safety",
        "_descriptors",
        "_supervision",
        "config",
        "protocol",
        "routing",
    },
    "patches": {"_hook_location", "_record", "_originals", "_signal_safety", "_descriptors", "_supervision"}
    | {"elf", "config", "protocol", "routing", "tunnel"},
    "server": {"_record", "_originals", "_signal_safety", "_descriptors", "config", "protocol", "routing"}
    | {"tunnel.handshake"},
    # Of the server the seal uses the event loop and the relay.
    "seal": {"_record", "_originals", "_signal_safety", "_descriptors", "_supervision", "config", "protocol", "routing"}
    | {"tunnel.errors", "tunnel.handshake", "tunnel.proxy_addresses"}
    | {f"server.core.{module}" for module in ("calls", "loop", "thread_pool")}
    | {"server.session.bulk_thread", "server.session.relay"},
    "": {
        "_network_block",
        "_record",
        "_originals",
        "clients.rcmd",
        "config",
        "protocol",
        "routing.log",
        "tunnel",
        "patches",
    },
    "launch": {
        "",
        "_record",
        "_originals",
        "_supervision",
        "config",
        "program",
        "protocol",
        "patches",
        "seal",
        "server",
        "site.cli",
        "routing",
    },
    "__main__": {"launch"},
    "site": {"", "_hook_location", "_network_block", "_record", "config", "program", "patches"},
    "clients": {""},
}
# Inside of these layers, from the lowest upwards: a module imports from its own line and from those above it alone. A
# name is that of a module or of a subpackage; "" is the package itself.
SUBLAYERS: dict[str, list[set[str]]] = {
    "tunnel": [
        {"proxy_addresses", "handshake"},
        {"state"},
        {"errors", "unattended", "deadlines", "control_connections", "external_addresses"},
        {"epoll_masks"},
        {"registry"},
        {"socket_swap"},
        {"settlement"},
        {"first_hop"},
        {"connect"},
        {"readiness"},
        {"bind"},
        {"handover", "datagrams", "apparent_peers"},
        {""},
    ],
    "patches": [
        {"journal", "post_import", "scope", "notices"},
        {"early_references"},
        {"guards"},
        {"sockets", "polling"},
        {"adapters", "children", "executors"},
        {"c_extensions", "c_libraries", "strict"},
        {"installation"},
        {""},
        {"via"},
    ],
    "seal": [
        {"errors", "notices"},
        {"kernel"},
        {"streams", "patched"},
        {"dns", "datagrams"},
        {"supervisor"},
        {"service"},
        {"processes"},
        {""},
    ],
    "server": [
        {"core", "policy"},
        {"net"},
        {"session"},
        {"config"},
        {"operation"},
        {"embedded", "explain", "passwd"},
        {"cli"},
        {""},
    ],
}
# Every program pays for the first module of the hook. So that module loads the second one when it is needed, by this
# import in a function. It is the one circle that is permitted.
LOADED_LATER = {("socksify_hook", "socksify_hook.import_watch")}
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
    parts = path.relative_to(HOOK if path.is_relative_to(HOOK) else ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """`config` of `socksify.config.proxy_url`."""
    return module.split(".")[1] if "." in module else ""


MODULES = {module_name(path) for path in [*FILES, *HOOK_FILES]}


def imports(source: str, package: str) -> Iterator[str]:
    """The absolute name of each module that is imported, at any depth; `package` resolves the relative ones."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from socksify.config import match` imports a module, `from socksify.config import load` a function.
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
        ("socksify.protocol.x", "def f():\n    from socksify.tunnel import connect", "socksify.tunnel.connect"),
        ("socksify.protocol.x", "from ..config import proxy_url", "socksify.config.proxy_url"),
        ("socksify.server.x", "from socksify.tunnel import registry", "socksify.tunnel.registry"),
        ("socksify.server.x", "import socksify.patches", "socksify.patches"),
        ("socksify.tunnel.x", "if TYPE_CHECKING:\n    from socksify.patches import install", "socksify.patches"),
        ("socksify.config.x", "import socksify", "socksify"),
    ],
)
def test_a_wrong_arrow_is_seen(module: str, source: str, found: str) -> None:
    assert forbidden_arrows(source, module, module.rpartition(".")[0]) == {found}


def arrows() -> dict[str, set[str]]:
    """What each module of the package and of the hook imports from these two."""
    found: dict[str, set[str]] = {}
    for path in [*FILES, *HOOK_FILES]:
        module = module_name(path)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        targets = set(imports(path.read_text(), package)) & MODULES - {module}
        found[module] = {target for target in targets if (module, target) not in LOADED_LATER}
    return found


def test_there_is_no_circle() -> None:
    graphlib.TopologicalSorter(arrows()).prepare()


@pytest.mark.parametrize("package", SUBLAYERS)
def test_sublayers_follow_the_direction(package: str) -> None:
    heights = {name: height for height, names in enumerate(SUBLAYERS[package]) for name in names}
    upward = {
        (module, target)
        for module, targets in arrows().items()
        for target in targets
        if layer(module) == layer(target) == package and heights[sublayer(module)] < heights[sublayer(target)]
    }
    assert upward == set()


def sublayer(module: str) -> str:
    """`bind` of `socksify.tunnel.bind.accept`."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 else ""


def test_no_arrow_is_listed_in_vain() -> None:
    assert all(target in set(every_arrow(module)) for module, target in LOADED_LATER)


def every_arrow(module: str) -> Iterator[str]:
    """What a module imports, at once or later."""
    (path,) = (path for path in [*FILES, *HOOK_FILES] if module_name(path) == module)
    return imports(path.read_text(), module if path.name == "__init__.py" else module.rpartition(".")[0])


def test_every_layer_is_known() -> None:
    assert {layer(module_name(path)) for path in FILES} <= MAY_IMPORT.keys()


def test_every_module_has_a_subject() -> None:
    assert not {path for path in FILES if NOWHERE & set(path.relative_to(PACKAGE).with_suffix("").parts)}


def test_importing_the_package_is_cheap() -> None:
    """-S, because site-packages may hold start-up files (editable installs, coverage) that import what they like."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import socksify; print(*sys.modules)"
    child = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert "socksify" in child.stdout.split()
    assert not COSTLY & set(child.stdout.split())
