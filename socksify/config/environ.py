"""Environment variables: our own SOCKSIFY_*, and the conventions of curl, of Dante and of the first SOCKS package.

NO_PROXY belongs to ALL_PROXY and is read with it only: whoever names a proxy to socksify means it, and a
NO_PROXY left over from a desktop must not send that client out unproxied.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config import match, proxy_url
from socksify.config.errors import ConfigError
from socksify.config.inherited import VARIABLE as INHERITED
from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.config.schema import BY_VARIABLE, SETTINGS
from socksify.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# In the order in which they are looked at, with the scheme of a value that has none.
_SERVERS = (("SOCKS5_SERVER", "socks5h"), ("SOCKS4_SERVER", "socks4"), ("SOCKS_SERVER", "socks5h"))
# Dante's names, the newer first.
_USERS = ("SOCKS_USERNAME", "SOCKS5_USER")
_PASSWORDS = ("SOCKS_PASSWORD", "SOCKS5_PASSWD")
# No settings: they switch the hook for whole environments off, and say what it does when it cannot install.
_SWITCHES = ("SOCKSIFY_DISABLE", "SOCKSIFY_ON_ERROR")


class Conventional(Record):
    """What the conventional variables say: a proxy, the variable that named it, and what goes direct."""

    proxy: tuple[Proxy, ...]
    source: str
    rules: tuple[Rule, ...] = ()


def own(environ: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """The values of SOCKSIFY_* by the settings' names, without empty ones and those `inherited` as they are.

    Raises ConfigError for an unknown variable.
    """
    values = {}
    for variable in environ:
        if variable.startswith(INHERITED) or inherited.get(variable) == environ[variable]:
            continue
        if variable.startswith("SOCKSIFY_") and variable not in BY_VARIABLE and variable not in _SWITCHES:
            known = ", ".join((*(setting.variable for setting in SETTINGS), *_SWITCHES))
            raise ConfigError(f"{variable}: no such setting; there are {known}")
        if variable in BY_VARIABLE and environ[variable]:
            values[BY_VARIABLE[variable].name] = environ[variable]
    return values


def conventional(environ: Mapping[str, str]) -> Conventional | None:
    """The proxy of the strongest conventional variable that names one."""
    return _all_proxy(environ) or _server(environ)


def naming(environ: Mapping[str, str]) -> str:
    """The conventional variable that names a proxy, empty if none does. One that cannot be used is meant to."""
    try:
        found = conventional(environ)
    except ConfigError as error:
        return str(error).partition(":")[0]
    return found.source if found is not None else ""


def conflicting(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The proxy variables with a SOCKS URL, whatever proxy it names and however it is spelled.

    httpx, requests and others hand such a value to a SOCKS library that may not be installed, and fail before they open
    a socket. With the variables out of the way their sockets come to us.
    """
    if not settings.proxy:
        return ()
    return tuple(name for name in environ if _is_proxy_variable(name) and _is_socks(environ[name]))


def _all_proxy(environ: Mapping[str, str]) -> Conventional | None:
    # curl(1), ENVIRONMENT: "The lower case version has precedence". An empty variable is no variable.
    for variable in ("all_proxy", "ALL_PROXY"):
        value = environ.get(variable, "")
        if not value:
            continue
        # http://, https:// and a bare host:port, which is http there, are not for us.
        if not value.lower().startswith("socks") or "://" not in value:
            return None
        return Conventional(proxy_url.parse_chain(value, variable), variable, _no_proxy(environ))
    return None


def _no_proxy(environ: Mapping[str, str]) -> tuple[Rule, ...]:
    for variable in ("no_proxy", "NO_PROXY"):
        entries = environ.get(variable, "").replace(",", " ").split()
        if "*" in entries[1:] or "*" in entries[:-1]:
            # Every host to httpx and Go, and none to curl and requests.
            raise ConfigError(f"{variable}: '*' means every host only where it stands alone; remove it or all else")
        if entries:
            return tuple(_exception(entry, variable) for entry in entries)
    return ()


def _exception(entry: str, variable: str) -> Rule:
    return Rule(f"{entry}=direct", variable, "direct", match.parse_exception(entry, variable))


def _server(environ: Mapping[str, str]) -> Conventional | None:
    for variable, scheme in _SERVERS:
        value = environ.get(variable, "")
        if value:
            proxy = proxy_url.parse(value, variable, scheme)
            return Conventional((_with_credentials(proxy, environ),), variable)
    return None


def _with_credentials(proxy: Proxy, environ: Mapping[str, str]) -> Proxy:
    user_variable = next((name for name in _USERS if environ.get(name)), None)
    if proxy.user is not None or user_variable is None:
        return proxy
    password = next((environ[name] for name in _PASSWORDS if environ.get(name)), None)
    # The variables are Dante's for every version; SOCKS4 has a user alone.
    if proxy.scheme in ("socks4", "socks4a"):
        password = None
    return proxy_url.with_credentials(proxy, environ[user_variable], password, user_variable)


def _is_proxy_variable(name: str) -> bool:
    """urllib.request.getproxies_environment() takes every `*_proxy` in either case, and others follow it."""
    folded = name.lower()
    return folded.endswith("_proxy") and folded != "no_proxy" and not folded.startswith("socksify_")


def _is_socks(value: str) -> bool:
    scheme, separator, _ = value.strip().partition("://")
    return bool(separator) and scheme.lower().startswith("socks")
