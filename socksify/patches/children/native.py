"""proxychains4 for what our patches do not reach: programs that are no Python, and modules with network code in C.

It is a library that LD_PRELOAD puts in front of libc's connect(). Its configuration, which may hold passwords, is a
file in memory (memfd_create(2)): others read it as /proc/PID/fd/N while this process lives, nobody has to remove it,
and where it is gone proxychains4 ends its program. Our own way to the proxies it leaves direct, and so a Python under
both is proxied once.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_INET
from glob import glob

from socksify import _real
from socksify.config import proxychains
from socksify.config.settings import ConfigError
from socksify.descriptors import Kept
from socksify.tunnel import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings

PRELOAD = "LD_PRELOAD"
FILE = "PROXYCHAINS_CONF_FILE"
_NAME = "libproxychains.so.4"
_MEMORY = "proxychains.conf"
_PLACES = ("/usr/lib/*/", "/usr/lib*/", "/usr/local/lib/", "/usr/lib/*/proxychains-ng/", "/opt/homebrew/lib/")


class Configuration:
    """proxychains4's, in the memory of this process."""

    def __init__(self, settings: Settings) -> None:
        self._kept = Kept(_written(proxychains.configuration(settings, {})))

    def variables(self) -> dict[str, str]:
        """By what name others read it, in the variable that tells them."""
        return {FILE: _name_of(self._kept.number)}

    def stay(self, stays: bool) -> None:
        """Whether it is there after execve(2)."""
        fd = self._kept.fd
        if fd is not None:
            os.set_inheritable(fd, stays)

    def close(self) -> None:
        self._kept.close()


def library() -> str:
    """proxychains4's library; raises ConfigError if it is not installed."""
    if not hasattr(os, "memfd_create"):
        raise ConfigError("native: expected Linux: proxychains4 is given its configuration by memfd_create(2)")
    found = next((path for place in _PLACES for path in sorted(glob(place + _NAME))), None)
    if found is None:
        raise ConfigError(f"native: proxychains4 is not installed ({_NAME} is in no library directory); install it")
    return found


def check(settings: Settings) -> None:
    """Raises ConfigError if proxychains4 is not installed or cannot be told; says what it will not obey."""
    library()
    proxychains.configuration(settings, {})
    if not settings.children:
        raise ConfigError("native: it puts proxychains4 under children, too; expected children")
    for rule in proxychains.lost(settings):
        if rule not in _lost:
            _lost.add(rule)
            log.warn(f"native: proxychains4 cannot be told the rule {rule!r}; what is under it goes through the proxy")


def numbered(settings: Settings) -> Settings:
    """The settings with the proxies' addresses for names: a look-up under proxychains4 would go through the proxy."""
    _take_over(os.environ)
    return proxychains.with_addresses(settings, _addresses(settings))


def is_loaded() -> bool:
    """Whether this process runs under proxychains4."""
    with open("/proc/self/maps", "rb") as maps:
        return _NAME.encode() in maps.read()


def start_over(settings: Settings) -> None:
    """Start this interpreter again, with the same words, under proxychains4; does nothing if it is there already.

    To be called before anything has happened that would then happen twice. Raises ConfigError.
    """
    preloaded = library()
    if is_loaded():
        return
    if _own_file(os.environ) is not None:
        raise ConfigError(f"native: {preloaded} cannot be loaded into {sys.executable}; expected a dynamic executable")
    addresses = _addresses(settings)
    fd = _written(proxychains.configuration(proxychains.with_addresses(settings, addresses), addresses))
    os.set_inheritable(fd, True)
    # Not the process's own environment: one that was started otherwise shall look as it did.
    environ = {
        **os.environ,
        PRELOAD: _before(preloaded, os.environ.get(PRELOAD, "")),
        FILE: _name_of(fd),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    _real.execve(sys.executable, sys.orig_argv, environ)


def _take_over(environ: Mapping[str, str]) -> None:
    """Close the file that was made for this process before it was started over; proxychains4 has read it."""
    fd = _own_file(environ)
    if fd is not None:
        with open(fd, "rb") as file:
            file.seek(0)
            _known.update(proxychains.known_addresses(file.read().decode()))


_lost: set[str] = set()
# Addresses of proxies, from before proxychains4 answered for all names.
_known: dict[str, str] = {}


def _before(entry: str, others: str) -> str:
    """A list like PATH that begins with an entry."""
    return ":".join([entry, *(other for other in others.replace(" ", ":").split(":") if other not in ("", entry))])


def _written(text: str) -> int:
    """A file in memory that holds a text."""
    fd = os.memfd_create(_MEMORY)
    os.write(fd, text.encode())
    return fd


def _name_of(fd: int | str) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}"


def _own_file(environ: Mapping[str, str]) -> int | None:
    """The descriptor of a configuration that this process has left to itself over execve(2)."""
    number = environ.get(FILE, "").removeprefix(_name_of(""))
    try:
        # The program may have closed it, and have another file under its number.
        is_there = number.isdecimal() and os.readlink(f"/proc/self/fd/{number}").startswith(f"/memfd:{_MEMORY}")
    except OSError:
        is_there = False
    return int(number) if is_there else None


def _addresses(settings: Settings) -> dict[str, str]:
    """Of the first hops that are names."""
    names = [
        hop.host for hop in proxychains.first_hops(settings) if not proxychains.is_literal(hop.host) and not hop.path
    ]
    return {name: _known.get(name) or _address(name) for name in names}


def _address(name: str) -> str:
    try:
        answers = _real.getaddrinfo(_real.Host(name.encode()), 0)
    except OSError as error:
        raise ConfigError(f"native: the proxy {name!r} has no address: {error.strerror}") from None
    # proxychains4 would rather have IPv4.
    return str(min(answers, key=lambda answer: answer[0] != AF_INET)[4][0])
