"""The patcher: puts the replacements in place, in order, and takes them out again without a trace."""

from __future__ import annotations

import os
import sys

from socksify.interrupts import OwnedLock
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
    "carrying",
    "children.passing",
    "children.starting",
    "connecting",
    "datagrams",
    "interpreters",
    "lifetime",
    "listening",
    "muting",
    "naming",
    "pickling",
    "reloading",
    "scope",
    "stale",
    "uncovered",
    "waiting",
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
        from socksify.patches.children import native

        settings = native.numbered(settings)
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
    from socksify.patches import children, interpreters

    if _journal is None:
        with _Needed():
            _apply()
    _keep_watch(settings)
    _environment.undo()
    children.cover(settings, environ, _environment)
    interpreters.cover(_environment)
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
    from socksify.patches import listening, scope
    from socksify.tunnel import dial, log

    journal.undo()
    # Nobody would go on with them.
    dial.abandon()
    listening.abandon()
    # Obeyed by who took our functions out of their modules while installed.
    scope.installed = scope.Unrouted(Settings(proxy=(), rules=(EVERYTHING_DIRECT,), bind="never"))
    listening.configure(scope.installed.settings)
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
    from socksify.patches import interpreters, uncovered

    if settings.native:
        from socksify.patches.children import native

        native.check(settings)

    uncovered.check(settings)
    interpreters.check(settings)
    if settings.strict:
        from socksify.patches import strict

        strict.listen()


def _keep_watch(settings: Settings) -> None:
    """Name or refuse what goes past the patches."""
    from socksify.patches import uncovered

    _watches.undo()
    uncovered.watch(settings, _watches)
    if settings.strict:
        from socksify.patches import strict

        strict.enforce(_watches)


def _configure(settings: Settings) -> None:
    from socksify.patches import listening, scope
    from socksify.tunnel import log, machine, names

    log.open_log(settings.log)
    names.TABLE.configure(settings.fake_networks)
    scope.installed = scope.Scope(settings)
    listening.configure(settings)
    machine.prime()


def _load() -> None:
    """Import whatever has patches, before anything is changed."""
    for name in _PATCHING:
        __import__(f"{__name__}.{name}")


def _apply() -> None:
    global _journal
    from socksify import _real
    from socksify.patches import (
        adapters,
        carrying,
        connecting,
        datagrams,
        lifetime,
        listening,
        muting,
        naming,
        pickling,
        reloading,
        stale,
        waiting,
    )
    from socksify.patches.children import starting
    from socksify.tunnel import log, watch

    closing = sys.modules.get("socksify._closing")
    if closing is not None:
        # What is put away now is to be the stdlib's.
        closing.free_methods()
    modules = (lifetime, naming, connecting, listening, datagrams, starting)
    replacements = [replacement for module in modules for replacement in module.REPLACEMENTS]
    replacements += waiting.replacements()
    journal = Journal()
    journal.on_undo(muting.release_all)
    watch.prime()
    try:
        starting.tell_abilities(journal)
        stale.rebind(replacements, journal, log.notice)
        stale.rehouse_poll_selectors(journal, waiting.make_poll, _real.poll)
        for replacement in replacements:
            journal.apply(replacement)
        reloading.outlive(replacements, journal)
        carrying.carry(journal)
        pickling.refer(journal)
        adapters.adapt(journal)
    except BaseException:
        journal.undo()
        log.close_log()
        raise
    _journal = journal


def _clean_environment(settings: Settings) -> None:
    """httpx and requests, seeing a SOCKS URL, fail for want of a SOCKS library of their own."""
    from socksify.config.environ import conflicting
    from socksify.tunnel import log

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
    from socksify.tunnel import handed_over

    if environment.shared is not None:
        handed_over.before_fork()
    frame = sys._getframe().f_back
    if frame is not None:
        _lock.acquire(_PATIENCE, frame)


def _after_fork_in_parent() -> None:
    frame = sys._getframe().f_back
    if frame is not None:
        _lock.release(frame)


def _after_fork_in_child() -> None:
    global _lock
    from socksify import interrupts
    from socksify.patches import arriving
    from socksify.patches.children import environment
    from socksify.tunnel import dial, handed_over, names, registry

    handed_over.after_fork()
    names.TABLE.after_fork()
    interrupts.after_fork()
    _lock = OwnedLock(60.0)
    arriving.after_fork()
    environment.after_fork()
    dial.after_fork()
    registry.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

# Last, since a hook that waits for it installs now, by what stands above, while no module of ours is half imported.
# As a statement, it would be a lazy import where a program asks for them all (PEP 810).
__import__("socket")
