"""State lives in objects that own their transitions: no other code assigns their attributes.

Module-level state is listed here, in one place. What a process has of tunnels is in `tunnel.registry.Registry`; what
one install() has put in place is in `patches.Installation`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FILES = sorted([*(ROOT / "socksify").rglob("*.py"), *(ROOT / "sitecustomize_template").rglob("*.py")])

# Assignments to attributes of objects that are not ours, by file. The reason stands beside each.
FOREIGN: dict[str, set[str]] = {
    # An import spec is the import system's; its loader is what a post-import hook replaces.
    "sitecustomize_template/socksify_hook/import_watch.py": {"spec.loader", "self._spec.loader"},
    "socksify/patches/post_import.py": {"spec.loader", "self._spec.loader"},
    # An ssl.SSLContext is configured by its attributes.
    "socksify/clients/rftp/cli.py": {"context.check_hostname", "context.verify_mode"},
    # Objects of the adapted library, which the adapter completes as the library itself would.
    "socksify/patches/adapters/anyio.py": {"sock._protocol.exception"},
    "socksify/patches/adapters/gevent/ssl.py": {"self._self_sock._sslobj"},
    "socksify/patches/adapters/pycares/__init__.py": {"result.node"},
    "socksify/patches/adapters/trio.py": {"sock.send"},
    "socksify/patches/adapters/twisted/poll.py": {"reactor._poller"},
    "socksify/patches/adapters/uvloop/__init__.py": {"sock._io_refs"},
    # Methods of the standard library's classes, written again: `self` is an object of theirs.
    "socksify/patches/children/spawn_message.py": {"self._preload_modules"},
    "socksify/patches/early_references.py": {"selector._selector"},
    "socksify/patches/sockets/lifecycle.py": {"self._closed"},
    "socksify/patches/sockets/listen.py": {"sock._io_refs", "sock._closed"},
    "socksify/seal/kernel/libc.py": {"_SYSCALL.restype", "_SYSCALL.argtypes"},
    # What the interpreter sets when it reports an exception; ctypes declares functions by attributes.
    "socksify/program/__init__.py": {"sys.excepthook", "sys.last_traceback"},
    "socksify/program/source.py": {"fdopen.restype", "fdopen.argtypes", "run_file.restype", "run_file.argtypes"},
    # OSError tells the file by its attribute.
    "socksify/server/net/listeners.py": {"error.filename"},
}

# Module-level names that functions change: caches that are bounded, and the state of the interpreter that is one for
# a process. By file; each has its bound or reason beside it.
MODULE_STATE: dict[str, set[str]] = {
    # The module is the hook of its interpreter, and there is one. Its own functions alone change the state.
    "sitecustomize_template/socksify_hook/__init__.py": {
        "directory",
        "environ",
        "hidden",
        "originals",
        "path",
        "settings",
        "settings_installed",
        "state",
    },
    # The forks from the first process to this one: one entry for each generation.
    "socksify/_signal_safety.py": {"_survivors"},
    # The lines that this process has written to stderr, each once: one for each configuration file that is passed over.
    "socksify/config/loader.py": {"_told"},
    # The file of the key that was used last.
    "socksify/config/encryption.py": {"_last"},
    # What this process has installed.
    "socksify/patches/__init__.py": {"_installation"},
    # Grow by the packages, and by the files, that a process imports.
    "socksify/elf/network_code.py": {"_judged", "_read"},
    # As many as there are guarded objects: a weak reference takes each entry out.
    "socksify/patches/guards/datagrams.py": {"_guarded"},
    # One for each module whose functions are replaced.
    "socksify/patches/journal.py": {"_modules"},
    # The journal takes out what it has put in.
    "socksify/patches/sockets/other_classes.py": {"covered"},
    # The log of the process, and the name of the client in it (SOCKSinit).
    "socksify/routing/log.py": {"_log", "name"},
    # Weak keys: an entry goes with its task.
    "socksify/routing/stream_isolation.py": {"_of_tasks"},
    # Whether the process is a program of another author, which the embedded server runs beside.
    "socksify/server/core/calls.py": {"_is_embedded"},
}

_MUTATING = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "move_to_end", "pop", "popitem", "popleft",
    "remove", "setdefault", "update",
}  # fmt: skip


def assigned_from_outside(tree: ast.Module) -> Iterator[str]:
    """Each `thing.attribute` that is assigned, or deleted, by code that does not belong to the class of `thing`."""
    yield from _outside(tree, None)


def _outside(node: ast.AST, cls: ast.ClassDef | None) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute) and not isinstance(child.ctx, ast.Load) and not _is_own(child, cls):
            yield ast.unparse(child)
        yield from _outside(child, child if isinstance(child, ast.ClassDef) else cls)


def _is_own(target: ast.Attribute, cls: ast.ClassDef | None) -> bool:
    # How a function or a class presents itself to introspection can be set in no other way.
    if target.attr.startswith("__") and target.attr.endswith("__"):
        return True
    if cls is None:
        return False
    if isinstance(target.value, ast.Name) and target.value.id in ("self", "cls"):
        return True
    return target.attr in {
        node.attr
        for node in ast.walk(cls)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def module_state(tree: ast.Module) -> set[str]:
    """The module-level names that functions of the module rebind or change."""
    assigned = {
        target.id
        for node in tree.body
        for target in (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign) and node.value
            else []
        )
        if isinstance(target, ast.Name)
    }
    return assigned & set(_changed(tree))


def _changed(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _MUTATING and isinstance(node.func.value, ast.Name):
                yield node.func.value.id
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and _is_changed(node):
            yield node.value.id


def _is_changed(node: ast.Subscript) -> bool:
    return isinstance(node.ctx, ast.Store | ast.Del)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nobody_else_assigns_the_attributes_of_an_object(path: Path) -> None:
    allowed = FOREIGN.get(name(path), set())
    assert set(assigned_from_outside(ast.parse(path.read_text()))) == allowed


@pytest.mark.parametrize("path", FILES, ids=name)
def test_module_level_state_is_listed(path: Path) -> None:
    assert module_state(ast.parse(path.read_text())) == MODULE_STATE.get(name(path), set())


def test_every_listed_file_exists() -> None:
    assert {*FOREIGN, *MODULE_STATE} <= set(map(name, FILES))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(a):\n    a.b = 1", ["a.b"]),
        ("class A:\n    def f(self):\n        self.b = 1", []),
        ("class A:\n    def f(self):\n        self.b.c = 1", ["self.b.c"]),
        ("class A:\n    def f(self, other):\n        self.b = other.b = 1", []),
        ("class A:\n    def f(self, other):\n        other.b += 1", ["other.b"]),
        ("def f(a):\n    del a.b", ["a.b"]),
        ("def f(self):\n    self.b = 1", ["self.b"]),
        ("def f():\n    f.__name__ = 'g'", []),
    ],
)
def test_an_assignment_from_outside_is_seen(source: str, found: list[str]) -> None:
    assert list(assigned_from_outside(ast.parse(source))) == found


@pytest.mark.parametrize(
    "source",
    [
        "a = {}\ndef f():\n    a[1] = 2",
        "a = 0\ndef f():\n    global a\n    a = 1",
        "a: list[int] = []\ndef f():\n    a.append(1)",
        "a = {}\ndef f():\n    del a[1]",
    ],
)
def test_state_of_a_module_is_seen(source: str) -> None:
    assert module_state(ast.parse(source)) == {"a"}
