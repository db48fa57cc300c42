"""Configuration: arguments, variables and files become one frozen Settings. No sockets.

Importing this imports next to nothing; load() brings in what it needs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings


def load(
    arguments: Mapping[str, object],
    environ: Mapping[str, str],
    directory: str,
    *,
    caller: str = "command line",
    in_force: str = "",
) -> Settings:
    """The settings in force, each from its strongest source.

    From the strongest: `arguments` (install()'s keywords; None is "not given"), SOCKSIFY_* in `environ`, the file,
    ALL_PROXY with NO_PROXY, SOCKS5_SERVER, SOCKS4_SERVER, SOCKS_SERVER. Rules of all sources are kept, those of the
    stronger first, and within one source `routes` before `direct`. `directory` is where relative file names start.
    `caller` says how errors spell an argument: `command line` (--proxy) or `install` (install(proxy=)).
    `in_force` is what names the proxy that connections go through so far, empty for none.

    A `socksify.toml` in the directory that nobody names counts only where it is what names the proxy, and nobody else
    can have written it. A line on stderr says why one does not count, or that it takes the place of `in_force`, of the
    user's own file or of a conventional variable.

    Raises ConfigError for what cannot be used, and when no proxy is configured at all.
    """
    from socksify.config.loader import load as load_all

    return load_all(arguments, environ, directory, caller, in_force)
