"""socksify: makes unmodified Python clients go through a SOCKS server.

    python -m socksify --proxy socks5h://gw:1080 client.py --its --own args

    import socksify
    socksify.install("socks5h://gw:1080")

The counterpart, at run time, of compiling a C client with -Dconnect=Rconnect and linking it with libsocks.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from socksify.clients.rcmd import rcmd
    from socksify.config.errors import ConfigError
    from socksify.patches.via import ViaBlock
    from socksify.tunnel.errors import (
        ProxyConnectionAbortedError,
        ProxyConnectionRefusedError,
        ProxyConnectionResetError,
        ProxyError,
        ProxyNotFoundError,
        ProxyPermissionError,
        ProxyTimeoutError,
    )

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "ProxyConnectionAbortedError",
    "ProxyConnectionRefusedError",
    "ProxyConnectionResetError",
    "ProxyError",
    "ProxyNotFoundError",
    "ProxyPermissionError",
    "ProxyTimeoutError",
    "init",
    "install",
    "last_error",
    "rcmd",
    "uninstall",
    "via",
]


def install(
    proxy: str | Sequence[str] | None = None,
    *,
    routes: Sequence[str] | None = None,
    direct: Sequence[str] | None = None,
    dns: str | None = None,
    fake_networks: Sequence[str] | None = None,
    isolate: str | None = None,
    udp: str | None = None,
    bind: str | None = None,
    bind_services: Sequence[int] | None = None,
    strict: bool | None = None,
    allow: Sequence[str] | None = None,
    children: bool | None = None,
    native: bool | None = None,
    connect_timeout: float | None = None,
    c_watcher_timeout: float | None = None,
    log: str | None = None,
    config: str | None = None,
) -> None:
    """Route this process's TCP connections through a proxy, from now on and for whatever was imported before.

    proxy is a URL (socks5h, socks5, socks4a, socks4 or http), or a chain of them, first hop first; routes are
    "MATCH=VIA" rules, direct the MATCHes of rules that end in "=direct". What is not given comes from SOCKSIFY_*
    variables, the configuration file and the conventional proxy variables, as README.md describes.

    May be called late, from any thread, and again: the same settings change nothing, others replace them.
    isolate ("host", "task" or "connection") tells the last proxy another user and password for each, made up, by which
    Tor keeps them on circuits of their own. udp="direct" lets datagrams past the proxy, which are refused otherwise.
    bind says which listening sockets are the proxy's ("auto", "always" or "never"), bind_services are the ports of
    services that call back. strict=True refuses whatever does not come through socksify, and the import of modules
    that have network code of their own in C, but for those in `allow`. children=False passes the settings on to no
    child process; the default passes them on to every Python that is started.
    Raises ConfigError (a ValueError) for settings that cannot be used, OSError when the log cannot be opened,
    under strict ImportError when such a module is there already, and RuntimeError on a Python that lacks something that
    the patches need. Whatever is raised, nothing goes direct: settings that were in force stay in force; where there
    were none, the network is closed, and what connects raises an OSError (ENETDOWN) that says why, until install()
    succeeds or uninstall() is called.
    """
    given = {
        "proxy": proxy,
        "routes": routes,
        "direct": direct,
        "dns": dns,
        "fake_networks": fake_networks,
        "isolate": isolate,
        "udp": udp,
        "bind": bind,
        "bind_services": bind_services,
        "strict": strict,
        "allow": allow,
        "children": children,
        "native": native,
        "connect_timeout": connect_timeout,
        "c_watcher_timeout": c_watcher_timeout,
        "log": log,
        "config": config,
    }
    arguments = {name: value for name, value in given.items() if value is not None}
    try:
        import os

        from socksify import config as configuration
        from socksify import patches

        in_force = patches.proxy_source()
        patches.install(configuration.load(arguments, os.environ, os.getcwd(), caller="install", in_force=in_force))
    except BaseException as error:
        _close(error)
        raise


def _close(error: BaseException) -> None:
    """A program may swallow the exception: nothing of it goes direct, unless settings are in force anyway."""
    import sys

    patches = sys.modules.get("socksify.patches")
    if patches is None or not patches.is_installed():
        from socksify import _network_block

        what = _network_block.described(error)
        why = f"the network is closed, since install() has failed: {what}. To go without: socksify.uninstall()"
        modules = {*_modules_in_c(), *_network_block.IN_C, *_network_block.INTERPRETERS}
        _network_block.BLOCK.close(f"socksify: {why}", modules)


def _modules_in_c() -> Iterable[str]:
    """The modules that connect past the patches; none if the import of this very table is what has failed."""
    try:
        from socksify.patches.c_extensions import MODULES
    except Exception:
        return ()
    return MODULES


def uninstall() -> None:
    """Undo install(): every patched object is what it was before. Open connections stay open.

    A network that is closed because install() has failed is open again.
    """
    import sys

    block = sys.modules.get("socksify._network_block")
    if block is not None:
        block.BLOCK.reopen()
    from socksify import patches

    patches.uninstall()


def via(proxy: str | Sequence[str], *, isolate: str | None = None) -> ViaBlock:
    """A context manager: what this thread or task opens and looks up inside goes that way, whatever the rules say.

        with socksify.via("socks5h://other:1080"):
            ...

    proxy is what a rule's VIA may be: a URL, the name of a configured proxy, several joined by "+" or in a sequence,
    "proxy" (the default one), "direct" or "block". What a rule blocks stays blocked, and loopback, localhost and the
    machine's own addresses stay direct unless a rule leaves them to a proxy. isolate is install()'s, for this block.

    Blocks may be nested: the innermost decides. The object may be used again, by many at once, and as a decorator of
    functions and coroutines. Tasks started inside, and what is handed to executors there, belong to the block; new
    threads do not. What is open keeps its way.
    Raises ConfigError for what cannot be used, and RuntimeError when it is entered before install().
    """
    from socksify.patches.via import ViaBlock

    return ViaBlock(proxy, isolate)


def init(name: str) -> None:
    """Name the client, as SOCKSinit(name) did: the name stands in the log's lines."""
    from socksify.routing import log

    log.name = name


def last_error(sock: socket.socket) -> OSError | None:
    """Why the last connect() of a socket failed, None if it did not.

    For event loops that make an exception of their own from SO_ERROR: this one knows the proxy and its reply.
    """
    from socksify.tunnel.registry import registry

    return registry.failure(sock)


def __getattr__(name: str) -> object:
    """The exceptions and rcmd() are imported when they are first asked for."""
    if name == "ConfigError":
        from socksify.config.errors import ConfigError

        return ConfigError
    if name == "rcmd":
        from socksify.clients.rcmd import rcmd

        return rcmd
    if name in __all__:
        from socksify.tunnel import errors

        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
