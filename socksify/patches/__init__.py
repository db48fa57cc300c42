"""The patches: install() puts the replacements in place, uninstall() removes all of them."""

from __future__ import annotations

import os

from socksify.patches.installation import Installation, PatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings

__all__ = ["PatchError", "install", "is_installed", "proxy_source", "uninstall"]

_installation = Installation()


def install(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Route the connections of this process by `settings`.

    A second call with the same settings does nothing. A call with other settings replaces those that are in force.

    `environ` are the environment variables from which the settings come, among other sources; None means `os.environ`.
    If a variable differs in `os.environ` and in `environ`, the program has set it for its children.

    Raises OSError if the log cannot be opened, ImportError if `strict` forbids a module that is imported already, and
    PatchError if a patch cannot be applied. In each case settings that were in force stay in force. If there were none,
    nothing is patched, and the caller has to close the network.
    """
    _installation.install(settings, os.environ if environ is None else environ)


def uninstall() -> None:
    """Leave every patched object as it was before install(). Open connections stay open."""
    _installation.clear()


def is_installed() -> bool:
    """Return True while connections are being routed."""
    return _installation.is_patched


def proxy_source() -> str:
    """Return the name of the setting, variable or file that gave the proxy; "" if nothing is installed."""
    return _installation.proxy_source


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_installation.before_fork,
        after_in_parent=_installation.after_fork_in_parent,
        after_in_child=_installation.after_fork,
    )

# A hook that waits for `socket` installs during this import. The import is the last statement, so that all modules of
# this package are complete. It is a call, because a statement may be a lazy import (PEP 810).
__import__("socket")
