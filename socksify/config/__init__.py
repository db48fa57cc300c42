"""Configuration: arguments, variables and files become one frozen Settings. Sockets are not used.

The import of this package is cheap, because load() imports the other modules only when it is called.
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
    """Return the settings in force, each from its strongest source.

    The sources, the strongest first: `arguments`, SOCKSIFY_* variables, the file, ALL_PROXY with NO_PROXY,
    SOCKS5_SERVER, SOCKS4_SERVER, SOCKS_SERVER. Rules of all sources are kept: those of the stronger source come first,
    and within a source `routes` come before `direct`.

    Arguments:
        arguments: The keywords of install(). None means "not given".
        environ: The environment variables.
        directory: The directory at which relative file names begin.
        caller: The spelling of arguments in errors: "command line" (--proxy) or "install" (install(proxy=)).
        in_force: The source of the proxy that connections have used up to now; "" if there is none.

    A `socksify.toml` in `directory` that the user has not named counts only if it is the source of the proxy, and if no
    other user can have written it. A line on stderr says why the file does not count, or that its proxy replaces that
    of `in_force`, of the user's own file or of a conventional variable.

    Raises ConfigError for a setting that cannot be used, and if no proxy is configured.
    """
    from socksify.config.loader import load as load_all

    return load_all(arguments, environ, directory, caller, in_force)
