"""The patcher: puts the replacements in place, in order, and takes them out again without a trace."""

from __future__ import annotations

import os
import sys

from socksify._signal_safety import OwnedLock
from socksify.patches.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings

_lock = OwnedLock(60.0)
_journal: Journal | None = None
_settings: Settings | None = None
# Seconds.
_PATIENCE = 5.0
# The modules of this package that fail to be imported on a Python that lacks something.
_PATCHING = (
    "adapters",
    "c_extensions",
    "children.process_calls",
    "children.spawn_message",
    "children.subinterpreters",
    "early_references",
    "executors",
    "guards.datagrams",
    "polling",
    "scope",
    "sockets.connect",
    "sockets.datagrams",
    "sockets.lifecycle",
    "sockets.listen",
    "sockets.lookups",
    "sockets.other_classes",
)


def install(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Route this process's connections by `settings`; again with the same does nothing, with others replaces them.

    They come from `environ`, among others: by default from `os.environ` as it is. What is other than there, the program
    has set for its children.

    Raises OSError when the log cannot be opened, under strict ImportError when a module that it forbids is there
    already, and PatchError when a patch cannot be applied. Then settings that were in force still are, and nothing is
    patched where there were none; who calls this has to close the network.
    """
    global _settings
    with _Needed():
        _load()
    if settings.native:
        from socksify.patches.children import proxychains

        settings = proxychains.numbered(settings)
    with _lock:
        if settings == _settings:
            return
        _prepare_watch(settings)
        _configure(settings)
        try:
            _put_in_force(settings, os.environ if environ is None else environ)
        except BaseException:
            if _settings is None:
                uninstall()
            else:
                _configure(_settings)
                _put_in_force(_settings, os.environ)
            raise
        _settings = settings
        # Who has closed the network, for want of settings, opens it.
        sys.audit("socksify.install")


class PatchError(RuntimeError):
    """This Python, or what another tool has made of it, lacks something that a patch needs."""

    def __init__(self, cause: Exception) -> None:
        version = ".".join(map(str, sys.version_info[:3]))
        super().__init__(f"socksify cannot patch this Python ({version}): {type(cause).__name__}: {cause}")


class _Needed:
    """Whatever fails inside is for want of something that a patch needs."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            raise PatchError(error) from error


def _put_in_force(settings: Settings, environ: Mapping[str, str]) -> None:
    from socksify.patches import children
    from socksify.patches.children import subinterpreters

    if _journal is None:
        with _Needed():
            _apply()
    _keep_watch(settings)
    _environment.undo()
    children.cover(settings, environ, _environment)
    subinterpreters.cover(_environment)
    _clean_environment(settings)


def uninstall() -> None:
    """Leave every patched object as it was before install(); connections that are open stay open."""
    global _journal, _settings
    with _lock:
        _watches.undo()
        if _journal is not None:
            _take_back(_journal)
        _environment.undo()
        _journal = _settings = None


def _take_back(journal: Journal) -> None:
    from socksify.config.rules import EVERYTHING_DIRECT
    from socksify.config.settings import Settings
    from socksify.patches import scope
    from socksify.patches.sockets import listen
    from socksify.routing import log
    from socksify.tunnel import connect

    journal.undo()
    # Nobody would go on with them.
    connect.abandon()
    listen.abandon()
    # Obeyed by who took our functions out of their modules while installed.
    scope.installed = scope.Unrouted(Settings(proxy=(), rules=(EVERYTHING_DIRECT,), bind="never"))
    listen.configure(scope.installed.settings)
    log.close_log()


def is_installed() -> bool:
    """Whether connections are being routed."""
    return _journal is not None


def proxy_source() -> str:
    """What named the proxy that connections go through, empty where nothing is installed."""
    return _settings.sources.get("proxy", "install()") if _settings is not None else ""


_environment = Journal()
_watches = Journal()


def _prepare_watch(settings: Settings) -> None:
    """Raise what there is to raise while nothing has been changed."""
    from socksify.patches import c_extensions
    from socksify.patches.children import subinterpreters

    if settings.native:
        from socksify.patches.children import proxychains

        proxychains.check(settings)

    c_extensions.check(settings)
    subinterpreters.check(settings)
    if settings.strict:
        from socksify.patches import strict

        strict.listen()


def _keep_watch(settings: Settings) -> None:
    """Name or refuse what goes past the patches."""
    from socksify.patches import c_extensions

    _watches.undo()
    c_extensions.watch(settings, _watches)
    if settings.strict:
        from socksify.patches import strict

        strict.enforce(_watches)


def _configure(settings: Settings) -> None:
    from socksify.patches import scope
    from socksify.patches.sockets import listen
    from socksify.routing import fake_addresses, local_host, log

    log.open_log(settings.log)
    fake_addresses.TABLE.configure(settings.fake_networks)
    scope.installed = scope.Scope(settings)
    listen.configure(settings)
    local_host.prime()


def _load() -> None:
    """Import whatever has patches, before anything is changed."""
    for name in _PATCHING:
        __import__(f"{__name__}.{name}")


def _apply() -> None:
    global _journal
    from socksify import _originals
    from socksify.patches import adapters, early_references, executors, polling
    from socksify.patches.children import process_calls
    from socksify.patches.guards import datagrams as guards_datagrams
    from socksify.patches.sockets import connect, datagrams, lifecycle, listen, lookups, other_classes
    from socksify.routing import log
    from socksify.tunnel import epoll_masks

    closing = sys.modules.get("socksify._network_block")
    if closing is not None:
        # What is put away now is to be the stdlib's.
        closing.free_methods()
    modules = (lifecycle, lookups, connect, listen, datagrams, process_calls)
    replacements = [replacement for module in modules for replacement in module.REPLACEMENTS]
    replacements += polling.replacements()
    journal = Journal()
    journal.on_undo(guards_datagrams.release_all)
    epoll_masks.prime()
    try:
        process_calls.tell_abilities(journal)
        early_references.rebind(replacements, journal, log.notice)
        early_references.rehouse_poll_selectors(journal, polling.make_poll, _originals.poll)
        for replacement in replacements:
            journal.apply(replacement)
        other_classes.outlive(replacements, journal)
        executors.carry(journal)
        early_references.refer(journal)
        adapters.adapt(journal)
    except BaseException:
        journal.undo()
        log.close_log()
        raise
    _journal = journal


def _clean_environment(settings: Settings) -> None:
    """httpx and requests, seeing a SOCKS URL, fail for want of a SOCKS library of their own."""
    from socksify.config.environ import conflicting
    from socksify.routing import log

    names = conflicting(settings, os.environ)
    if names:
        log.line(f"{log.name}: taken out of the environment while installed: {', '.join(names)}")
    for name in names:
        # From the program's view alone: children, and libraries in C, find it in the environment of C.
        _environment.remove_item(getattr(os.environ, "_data", os.environ), os.fsencode(name))


def _before_fork() -> None:
    """A child of a half patched process would stay half patched, so the fork waits for another thread's install().

    Not for ever: that thread may wait for an import that this one is in the middle of.
    """
    hook = sys.modules.get("socksify_hook")
    if getattr(hook, "state", "") == "installing":
        # Waits for it, before our lock is held, which it needs.
        __import__("socket")
    # Held by the frame that calls os.fork(), for as long as that takes.
    from socksify.patches.children import environment
    from socksify.tunnel import handover

    if environment.shared is not None:
        handover.before_fork()
    frame = sys._getframe().f_back
    if frame is not None:
        _lock.acquire(_PATIENCE, frame)


def _after_fork_in_parent() -> None:
    frame = sys._getframe().f_back
    if frame is not None:
        _lock.release(frame)


def _after_fork_in_child() -> None:
    global _lock
    from socksify import _signal_safety
    from socksify.patches import post_import
    from socksify.patches.children import environment
    from socksify.routing import fake_addresses
    from socksify.tunnel import connect, handover, registry

    handover.after_fork()
    fake_addresses.TABLE.after_fork()
    _signal_safety.after_fork()
    _lock = OwnedLock(60.0)
    post_import.after_fork()
    environment.after_fork()
    connect.after_fork()
    registry.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

# Last, since a hook that waits for it installs now, by what stands above, while no module of ours is half imported.
# As a statement, it would be a lazy import where a program asks for them all (PEP 810).
__import__("socket")
