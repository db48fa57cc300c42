"""The settings of the launcher, and the options that only print something."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.command_line import Actions
    from socksify.config.settings import Settings


def load(arguments: Mapping[str, object], actions: Actions) -> Settings:
    """Return the settings in force, and start the server of --embedded. Raises ConfigError."""
    import os

    from socksify import config
    from socksify.program.main_module import working_directory

    if "embedded" in actions:
        arguments = {**arguments, "proxy": _embedded(arguments)}
    return config.load(arguments, os.environ, working_directory() or os.curdir)


def _embedded(arguments: Mapping[str, object]) -> str:
    """Start a SOCKS server in this process, and return its URL."""
    from socksify.config.errors import ConfigError
    from socksify.server.embedded import start

    if "proxy" in arguments:
        raise ConfigError("--embedded and --proxy exclude each other")
    return start().url


def answer(arguments: Mapping[str, object], actions: Actions) -> str | None:
    """Return the output of the options that only print something; None if there is no such option."""
    if "help" in actions:
        from socksify.config.command_line import usage

        return usage()
    if "version" in actions:
        from socksify import __version__

        return f"socksify {__version__}\n"
    if "show" in actions:
        return _show(load(arguments, actions), actions["show"] == "json")
    destinations = actions.get("explain")
    if isinstance(destinations, list):
        settings = load(arguments, actions)
        return "".join([_explain(settings, destination) for destination in destinations])
    return None


def _show(settings: Settings, as_json: bool) -> str:
    import os

    from socksify.config.settings_text import show, show_json

    return (show_json if as_json else show)(settings, os.environ)


def _explain(settings: Settings, destination: str) -> str:
    from socket import AF_INET, AF_INET6, gaierror

    from socksify.config.errors import ConfigError
    from socksify.routing.route import Blocked, Via
    from socksify.routing.router import Router

    host, port = _host_and_port(destination)
    try:
        route = Router(settings).decide(AF_INET6 if ":" in host else AF_INET, (host, port))
    except gaierror as error:
        raise ConfigError(f"--explain: {host!r} cannot be resolved on this machine: {error.strerror}") from None
    if isinstance(route, Blocked):
        return f"{destination}: refused: {route.why}\n"
    because = f" (rule {route.rule.text!r}, {route.rule.source})" if route.rule else ""
    if not isinstance(route, Via):
        return f"{destination}: direct{because}\n"
    # The target as the proxy gets it: a name, or the address to which the name was resolved here.
    target = f"[{route.target.host}]" if ":" in route.target.host else route.target.host
    return f"{destination}: {target}:{port} through {' + '.join(proxy.url for proxy in route.chain)}{because}\n"


def _host_and_port(destination: str) -> tuple[str, int]:
    from socksify.config.errors import ConfigError

    if "://" in destination or "@" in destination or "/" in destination:
        # The value is not shown, because it may contain a password.
        raise ConfigError("--explain: expected HOST:PORT, such as www.example:443, and not a URL")
    host, _, port = destination.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--explain: {destination!r}: expected HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)
