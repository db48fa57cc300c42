"""Installation: the changes that install() has made in this process. It can take all of them back.

An installation has three journals. The patches stay until the installation is cleared. The watches for code that
bypasses the patches, and the changes of the environment, depend on the settings: other settings replace them.
"""

from __future__ import annotations

import os
import sys

from socksify._signal_safety import OwnedLock
from socksify.patches.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings
    from socksify.patches.journal import Replacement

# The longest times, in seconds, for which install() and a fork wait for the install() of another thread.
_PATIENCE = 60.0
_FORKS_PATIENCE = 5.0
# Each of these modules has its own block: for an earlier install() that failed, and for a hook that could not install.
_NETWORK_BLOCKS = ("socksify._network_block", "socksify_hook.network_block")
# The modules of this package with patches. Their import fails if this Python lacks something.
_PATCHING = (
    "adapters",
    "c_extensions",
    "c_libraries",
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


class PatchError(RuntimeError):
    """This Python lacks something that a patch needs, by itself or because another tool has changed it."""

    def __init__(self, cause: Exception) -> None:
        version = ".".join(map(str, sys.version_info[:3]))
        super().__init__(f"socksify cannot patch this Python ({version}): {type(cause).__name__}: {cause}")


class Installation:
    """The settings that are in force, and the journals of what was changed for them."""

    def __init__(self) -> None:
        self._lock = OwnedLock(_PATIENCE)
        self._settings: Settings | None = None
        # True in a sealed process: whatever goes past the patches is held to the proxy as well.
        self._is_sealed = False
        # None while nothing is patched.
        self._patches: Journal | None = None
        self._watches = Journal()
        self._environment = Journal()

    @property
    def is_patched(self) -> bool:
        """True while the patches are in place."""
        return self._patches is not None

    @property
    def proxy_source(self) -> str:
        """The name of the setting, variable or file that gave the proxy; "" if no settings are in force."""
        return self._settings.sources.get("proxy", "install()") if self._settings is not None else ""

    def install(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Put `settings` in force. Arguments and exceptions are those of `patches.install()`."""
        with _Needed():
            import_patches()
        with self._lock:
            if settings == self._settings:
                return
            self._is_sealed = _is_sealed()
            if not self._is_sealed:
                _check(settings)
            _configure(settings, environ, is_sealed=self._is_sealed)
            try:
                self._put_in_force(settings, environ)
            except BaseException:
                self._put_back()
                raise
            self._settings = settings
            # Code that has closed the network, because it had no settings, opens it at this event.
            sys.audit("socksify.install")

    def clear(self) -> None:
        """Take everything back."""
        with self._lock:
            self._watches.undo()
            if self._patches is not None:
                self._patches.undo()
            self._environment.undo()
            self._patches = self._settings = None

    def _put_in_force(self, settings: Settings, environ: Mapping[str, str]) -> None:
        from socksify.patches import children
        from socksify.patches.children import subinterpreters

        if self._patches is None:
            with _Needed():
                self._patches = _patch()
        self._watch(settings)
        self._environment.undo()
        children.cover(settings, environ, self._environment, is_sealed=self._is_sealed)
        subinterpreters.cover(self._environment)
        _hide_variables(settings, self._environment)

    def _put_back(self) -> None:
        """Return to the settings that were in force before, if there were any."""
        if self._settings is None:
            self.clear()
        else:
            _configure(self._settings, os.environ, is_sealed=self._is_sealed)
            self._put_in_force(self._settings, os.environ)

    def _watch(self, settings: Settings) -> None:
        """Report code that bypasses the patches, or refuse it under strict, unless a seal holds it."""
        from socksify.patches import c_extensions, c_libraries

        self._watches.undo()
        if self._is_sealed:
            return
        c_extensions.watch(settings, self._watches)
        c_libraries.watch(settings, self._watches)
        if settings.strict:
            from socksify.patches import strict

            strict.enforce(self._watches)

    def before_fork(self) -> None:
        """Make a fork wait for an install() in another thread: a child that is half patched would stay half patched.

        The wait is limited, because that thread may wait for an import which this thread has begun.
        """
        hook = sys.modules.get("socksify_hook")
        if getattr(hook, "state", "") == "installing":
            # This import waits for the hook. The hook needs the lock, so the lock is taken afterwards.
            __import__("socket")
        from socksify.patches.children import environment
        from socksify.tunnel.handover import handover

        if environment.SHARED.current is not None:
            handover.before_fork()
        # The frame that calls os.fork() holds the lock for as long as the call takes.
        frame = sys._getframe().f_back
        if frame is not None:
            self._lock.acquire(_FORKS_PATIENCE, frame)

    def after_fork_in_parent(self) -> None:
        """Let other threads install again."""
        frame = sys._getframe().f_back
        if frame is not None:
            self._lock.release(frame)

    def after_fork(self) -> None:
        """In the child, give up the state that belongs to the parent, or to a thread of the parent."""
        from socksify import _signal_safety
        from socksify.patches import post_import
        from socksify.routing import fake_addresses
        from socksify.tunnel import settlement
        from socksify.tunnel.handover import handover
        from socksify.tunnel.registry import registry

        handover.after_fork()
        fake_addresses.TABLE.after_fork()
        _signal_safety.after_fork()
        self._lock = OwnedLock(_PATIENCE)
        post_import.FINDER.after_fork()
        settlement.after_fork()
        registry.after_fork()


class _Needed:
    """Turns every Exception of a `with` block into a PatchError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            raise PatchError(error) from error


def import_patches() -> None:
    """Import every module that has patches, before anything is changed."""
    for name in _PATCHING:
        __import__(f"{__package__}.{name}")


def _is_sealed() -> bool:
    from socksify._supervision import is_sealed

    return is_sealed()


def _check(settings: Settings) -> None:
    """Raise the errors of these settings in a process that is not sealed, before anything is changed."""
    from socksify.patches import c_extensions
    from socksify.patches.children import subinterpreters

    _check_seal(settings)
    c_extensions.check(settings)
    subinterpreters.check(settings)
    if settings.strict:
        from socksify.patches import strict

        strict.listen()


def _check_seal(settings: Settings) -> None:
    """Raise ConfigError if this process, which is in no seal, has to be in one."""
    from socksify.config.errors import ConfigError

    if settings.seal == "on":
        raise ConfigError(
            f"{settings.sources.get('seal', 'seal')}: this process is not sealed, and a process that runs cannot be:"
            " its supervisor has to be its parent; start the program by python -m socksify --seal=on"
        )


def _configure(settings: Settings, environ: Mapping[str, str], *, is_sealed: bool) -> None:
    """Give the settings to the lower layers. Each layer keeps its own part of them."""
    from socksify.config import inherited
    from socksify.patches import scope
    from socksify.patches.sockets import listen
    from socksify.routing import fake_addresses, local_host, log
    from socksify.routing.supervised_names import SupervisedNames

    log.open_log(settings.log)
    fake_addresses.TABLE.configure(settings.fake_networks, SupervisedNames() if is_sealed else None)
    if environ.get(inherited.SCOPE):
        scope.installed.started_with(environ[inherited.SCOPE])
    outside = scope.Scope(settings)
    outside.register()
    scope.installed.replace(outside)
    listen.configure(settings)
    local_host.prime()


def _patch() -> Journal:
    """Put every replacement in place. If one cannot be put in place, take back the others and raise its error."""
    journal = Journal()
    _note_aftermath(journal)
    try:
        _apply(journal)
    except BaseException:
        journal.undo()
        raise
    return journal


def _note_aftermath(journal: Journal) -> None:
    """Note the calls to make after the replacements are gone. The call that is noted last is made first."""
    from socksify.patches.guards import datagrams as guards_datagrams
    from socksify.patches.sockets import listen
    from socksify.routing import log
    from socksify.tunnel import settlement
    from socksify.tunnel.registry import registry

    journal.on_undo(log.close_log)
    journal.on_undo(registry.clear)
    journal.on_undo(_route_nothing)
    # No replacement would advance these tunnels any more.
    journal.on_undo(listen.abandon)
    journal.on_undo(settlement.abandon)
    journal.on_undo(guards_datagrams.release_all)


def _route_nothing() -> None:
    """Make everything direct, for programs that have kept our functions and still call them after uninstall()."""
    from socksify.config.rules import EVERYTHING_DIRECT
    from socksify.config.settings import Settings
    from socksify.patches import scope
    from socksify.patches.sockets import listen

    unrouted = scope.Unrouted(Settings(proxy=(), rules=(EVERYTHING_DIRECT,), bind="never"))
    scope.installed.replace(unrouted)
    listen.configure(unrouted.settings)


def _apply(journal: Journal) -> None:
    from socksify import _originals
    from socksify.patches import adapters, early_references, executors, polling
    from socksify.patches.children import process_calls
    from socksify.patches.notices import NOTICES
    from socksify.patches.sockets import other_classes
    from socksify.tunnel.registry import registry

    _free_methods()
    replacements = _replacements()
    registry.epoll_masks.prime()
    process_calls.replace_in_supports_fd(journal)
    early_references.rebind(replacements, journal, NOTICES.say)
    early_references.replace_polls_of_selectors(journal, polling.make_poll, _originals.poll)
    for replacement in replacements:
        journal.apply(replacement)
    other_classes.outlive(replacements, journal)
    executors.carry(journal)
    early_references.change_tables(journal)
    adapters.adapt(journal)


def _free_methods() -> None:
    """Make the network blocks put back the stdlib's methods, because the journal keeps what it finds as originals."""
    for name in _NETWORK_BLOCKS:
        # The file of the hook may be damaged.
        block = getattr(sys.modules.get(name), "BLOCK", None)
        if block is not None:
            block.free_methods()


def _replacements() -> list[Replacement]:
    from socksify.patches import polling
    from socksify.patches.children import process_calls
    from socksify.patches.sockets import connect, datagrams, lifecycle, listen, lookups

    modules = (lifecycle, lookups, connect, listen, datagrams, process_calls)
    return [replacement for module in modules for replacement in module.REPLACEMENTS] + polling.replacements()


def _hide_variables(settings: Settings, journal: Journal) -> None:
    """Remove SOCKS URLs from os.environ: httpx and requests fail if they find one and have no SOCKS library.

    Only the view of the Python code changes. Children, and libraries in C, find the variables in C's environment.
    """
    from socksify.config.environ import conflicting
    from socksify.routing import log

    names = conflicting(settings, os.environ)
    if names:
        log.line(f"{log.name}: taken out of the environment while installed: {', '.join(names)}")
    for name in names:
        journal.remove_item(getattr(os.environ, "_data", os.environ), os.fsencode(name))
