"""socksify: sends the connections of unmodified Python clients through a SOCKS server.

    python -m socksify --proxy socks5h://gw:1080 client.py --its --own args

    import socksify
    socksify.install("socks5h://gw:1080")

A C client is compiled with -Dconnect=Rconnect and linked with libsocks. socksify does the same for a Python client at
run time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

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
    dns_server: str | None = None,
    fake_networks: Sequence[str] | None = None,
    isolate: str | None = None,
    udp: str | None = None,
    bind: str | None = None,
    bind_services: Sequence[int] | None = None,
    strict: bool | None = None,
    allow: Sequence[str] | None = None,
    children: bool | None = None,
    seal: str | None = None,
    connect_timeout: float | None = None,
    c_watcher_timeout: float | None = None,
    log: str | None = None,
    config: str | None = None,
) -> None:
    """Send this process's TCP connections through a proxy, from now on. Modules may have been imported before.

    If an argument is None, its value comes from the first of these sources that has one: the SOCKSIFY_* variables, the
    configuration file, the conventional proxy variables (see README.md), the default. `routes` and `direct` of all
    sources are kept, and the rules of the arguments come first.

    Arguments:
        proxy: The URL of the proxy: "scheme://[user[:password]@]host[:port]". The scheme is socks5h (default), socks5,
            socks4a, socks4 or http; the port is 1080 unless given. A list of URLs, or a text with commas, is a chain:
            the first hop first.
        routes: Rules of the form "MATCH=VIA". The first rule that matches decides. MATCH is a name with wildcards
            ("*.example"), a domain (".example"), a network ("10.0.0.0/8"), ports (":443", ":8000-8099"), or host and
            ports. VIA is "direct", "block", "proxy", the name of a proxy in the configuration file, several of them
            joined by "+", or a URL.
        direct: The MATCH parts of rules with the VIA "direct". These rules come after all `routes`.
        dns: The place where names are resolved: "remote" (at the proxy), "local" (on this machine), or "auto"
            (default), which lets the scheme of the proxy decide.
        dns_server: The name server, "host" or "host:port", that is asked through the proxy for what sealed programs
            want to know about names beside their addresses. "" (default) is none.
        fake_networks: The networks of the fake addresses, which stand for names that the proxy resolves: an IPv4
            network, an IPv6 network, or both. The defaults are "198.18.0.0/15" and "100::/64".
        isolate: "host", "task" or "connection": the last proxy gets another generated user and password for each host,
            task (or thread) or connection, so that Tor uses different circuits. "none" is the default.
        udp: The treatment of datagrams for destinations that are not direct. "block" (default) refuses them, "direct"
            sends them past the proxy.
        bind: The listening sockets that the proxy opens in place of this machine. "auto" (default): the sockets for a
            service that calls back. "always": every socket that is bound after a connection was made, except on
            loopback. "never": none.
        bind_services: The TCP ports (1 to 65535) of the services that call back. The defaults are 21 (FTP) and
            514 (rsh).
        strict: True refuses connections that do not go through socksify. It also refuses the import of modules that
            have their own network code in C. In a sealed process nothing is refused, because the seal holds all this.
        allow: The exceptions to `strict`: names of modules that may be imported, and of programs that may be started.
        children: True (default) passes the settings on to every Python that this process starts. False passes them on
            to no child process.
        seal: "on" raises ConfigError unless the process runs in a seal, which only the command `socksify --seal=on`
            can put round a program. "auto" (default) and "off" accept a process with and without a seal.
        connect_timeout: The longest time in seconds for a connect() through proxies on a socket without a timeout. The
            default is 120.
        c_watcher_timeout: The longest time in seconds for a handshake that an event loop written in C cannot drive. The
            default is 5.
        log: The destination of the log, which has one line for each connection: "stderr" (or "-"), or the path of a
            file. "" (default) writes no log.
        config: The path of the configuration file (TOML).

    install() may be called late, from any thread, and more than once: the same settings change nothing, other settings
    replace those in force.

    Raises:
        ConfigError: A setting cannot be used, or no proxy is configured. ConfigError is a ValueError.
        OSError: The log cannot be opened.
        ImportError: With `strict`, a module with network code in C has been imported already.
        RuntimeError: This Python lacks something that the patches need.

    After any of these errors, settings that were in force stay in force. If there were none, the network is closed:
    every connection fails with an OSError (ENETDOWN) that gives the reason, until install() succeeds or uninstall() is
    called. No error makes connections go direct.
    """
    given = {
        "proxy": proxy,
        "routes": routes,
        "direct": direct,
        "dns": dns,
        "dns_server": dns_server,
        "fake_networks": fake_networks,
        "isolate": isolate,
        "udp": udp,
        "bind": bind,
        "bind_services": bind_services,
        "strict": strict,
        "allow": allow,
        "children": children,
        "seal": seal,
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
    """Close the network after a failed install(), unless settings are in force: a program may ignore the error."""
    import sys

    patches = sys.modules.get("socksify.patches")
    if patches is None or not patches.is_installed():
        from socksify import _network_block

        what = _network_block.described(error)
        why = f"the network is closed, since install() has failed: {what}. To go without: socksify.uninstall()"
        known, connects = _code_in_c()
        modules = {*known, *_network_block.IN_C, *_network_block.INTERPRETERS}
        _network_block.BLOCK.close(f"socksify: {why}", modules, connects)


def _code_in_c() -> tuple[Iterable[str], Callable[[str, str], bool] | None]:
    """Return the known modules that connect past the patches, and a function that judges any extension module.

    There are none if the import of their module has failed.
    """
    try:
        from socksify.patches.c_extensions import MODULES, connects
    except Exception:
        return (), None
    return MODULES, connects


def uninstall() -> None:
    """Undo install(): every patched object becomes what it was before. Open connections stay open.

    If the network is closed because install() has failed, it is opened. Without a call of install() nothing happens.
    """
    import sys

    block = sys.modules.get("socksify._network_block")
    if block is not None:
        block.BLOCK.reopen()
    from socksify import patches

    patches.uninstall()


def via(proxy: str | Sequence[str], *, isolate: str | None = None) -> ViaBlock:
    """Return a context manager for a block of code whose connections and look-ups take another route.

        with socksify.via("socks5h://other:1080"):
            ...

    The block decides for the thread or task that enters it, and takes precedence over all rules with two exceptions: a
    destination that a rule blocks stays blocked; loopback, localhost and the machine's own addresses stay direct unless
    a rule sends them to a proxy.

    Arguments:
        proxy: The VIA of a rule: a URL, the name of a proxy in the configuration file, several of them joined by "+" or
            as a list (a chain, first hop first), "proxy" (the default proxy), "direct" or "block".
        isolate: "none", "host", "task" or "connection", as in install(); None keeps the value of install().

    Blocks may be nested: the innermost one decides. The object may be entered again, and by several threads and tasks
    at once. It is also a decorator for functions and coroutines. Tasks that are started inside, and work that is
    submitted to an executor there, belong to the block; new threads do not. Open connections keep their route.

    Raises ConfigError for an argument that cannot be used. Entering the block raises RuntimeError before install().
    """
    from socksify.patches.via import ViaBlock

    return ViaBlock(proxy, isolate)


def init(name: str) -> None:
    """Set the name of the client, as SOCKSinit(name) of the C library did.

    Arguments:
        name: Any text. Each line of the log about a connection begins with it. The default is "SOCKSclient".
    """
    from socksify.routing import log

    log.set_name(name)


def last_error(sock: socket.socket) -> OSError | None:
    """Return the error of the last connect() of a socket, or None if it did not fail.

    Use it with an event loop that raises its own exception for SO_ERROR. If a proxy was involved, the returned error is
    a ProxyError, which holds the proxy and its reply.

    Arguments:
        sock: The socket object on which connect() was called.
    """
    from socksify.tunnel.registry import registry

    return registry.failure(sock)


def __getattr__(name: str) -> object:
    """Import the exceptions and rcmd() when they are used for the first time."""
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
