"""Environment variables: SOCKSIFY_*, and the conventional variables of curl, of Dante and of the first SOCKS package.

NO_PROXY belongs to ALL_PROXY, and is read only together with it. If the proxy comes from another source, a NO_PROXY of
the desktop session must not let a client connect past that proxy.
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

# The variables in the order of their precedence, and the scheme for a value without a scheme.
_SERVERS = (("SOCKS5_SERVER", "socks5h"), ("SOCKS4_SERVER", "socks4"), ("SOCKS_SERVER", "socks5h"))
# The names that Dante uses, the newer ones first.
_USERS = ("SOCKS_USERNAME", "SOCKS5_USER")
_PASSWORDS = ("SOCKS_PASSWORD", "SOCKS5_PASSWD")
# These variables are no settings: they switch off the hook of a whole environment, or choose how it treats errors.
_SWITCHES = ("SOCKSIFY_DISABLE", "SOCKSIFY_ON_ERROR")


class Conventional(Record):
    """The meaning of the conventional variables: a proxy, the variable that names it, and the rules of NO_PROXY."""

    proxy: tuple[Proxy, ...]
    source: str
    rules: tuple[Rule, ...] = ()


def own(environ: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the values of SOCKSIFY_* by the names of the settings.

    Empty variables, and variables with the same value in `inherited`, are left out. Raises ConfigError for an unknown
    variable.
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
    """Return the proxy of the strongest conventional variable; None if no variable names one."""
    return _all_proxy(environ) or _server(environ)


def naming(environ: Mapping[str, str]) -> str:
    """Return the conventional variable that names a proxy, also if its value is unusable; "" if there is none."""
    try:
        found = conventional(environ)
    except ConfigError as error:
        return str(error).partition(":")[0]
    return found.source if found is not None else ""


def conflicting(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the proxy variables whose value is a SOCKS URL, for any proxy.

    httpx, requests and others pass such a value to a SOCKS library, which may not be installed, and fail before they
    open a socket. Without these variables they open sockets, which socksify routes.
    """
    if not settings.proxy:
        return ()
    return tuple(name for name in environ if _is_proxy_variable(name) and _is_socks(environ[name]))


def _all_proxy(environ: Mapping[str, str]) -> Conventional | None:
    # curl(1), ENVIRONMENT: "The lower case version has precedence". An empty variable counts as unset.
    for variable in ("all_proxy", "ALL_PROXY"):
        value = environ.get(variable, "")
        if not value:
            continue
        # Other programs use the other values: http://, https://, and host:port, which means http.
        if not value.lower().startswith("socks") or "://" not in value:
            return None
        return Conventional(proxy_url.parse_chain(value, variable), variable, _no_proxy(environ))
    return None


def _no_proxy(environ: Mapping[str, str]) -> tuple[Rule, ...]:
    for variable in ("no_proxy", "NO_PROXY"):
        entries = environ.get(variable, "").replace(",", " ").split()
        if "*" in entries[1:] or "*" in entries[:-1]:
            # Such a list means every host to httpx and Go, and no host to curl and requests.
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
    # Dante uses these variables for both versions. SOCKS4 has no password.
    if proxy.scheme in ("socks4", "socks4a"):
        password = None
    return proxy_url.with_credentials(proxy, environ[user_variable], password, user_variable)


def _is_proxy_variable(name: str) -> bool:
    """Return True for `*_proxy` in either case, as urllib.request.getproxies_environment() and others do."""
    folded = name.lower()
    return folded.endswith("_proxy") and folded != "no_proxy" and not folded.startswith("socksify_")


def _is_socks(value: str) -> bool:
    scheme, separator, _ = value.strip().partition("://")
    return bool(separator) and scheme.lower().startswith("socks")
