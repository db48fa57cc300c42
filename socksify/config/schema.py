"""The table of all settings.

The following are made from this table: the options of the command line, the keys of the file, the SOCKSIFY_* variables,
the keywords of install(), the help text and the output of --show.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Setting(Record):
    """One setting.

    `name` is the keyword of install() and the key of the file. `read(value, source)` checks a value and returns it in
    its type, or raises ConfigError. `option` is the option of the command line. If `metavar` is empty, the option takes
    no value, and sets the setting to `bare`. If `many` is True, the option may be repeated, and all its values count.
    `in_file` is True if the file may contain the setting.
    """

    name: str
    read: Callable[[object, str], object]
    default: object
    option: str
    metavar: str
    help: str
    many: bool = False
    in_file: bool = True
    bare: str = "yes"

    @property
    def variable(self) -> str:
        return f"SOCKSIFY_{self.name.upper()}"


SETTINGS = (
    Setting(
        "proxy",
        values.urls,
        (),
        "--proxy",
        "URL",
        "the proxy: socks5h, socks5, socks4a, socks4 or http://[user:password@]host[:port];"
        " several, or a list with commas, are a chain, first hop first",
        many=True,
    ),
    Setting(
        "routes",
        values.texts,
        (),
        "--route",
        "MATCH=VIA",
        "what goes where; MATCH is *.name, .domain, a network, :port or host:port,"
        " VIA is direct, block, proxy, a proxy's name, a+b or a URL; the first match wins",
        many=True,
    ),
    Setting("direct", values.texts, (), "--direct", "MATCH", "short for --route MATCH=direct, after all --route", True),
    Setting(
        "dns",
        values.one_of("auto", "local", "remote"),
        "auto",
        "--dns",
        "auto|local|remote",
        "who resolves names; auto: as the proxy's scheme says",
    ),
    Setting(
        "dns_server",
        values.name_server,
        "",
        "--dns-server",
        "HOST[:PORT]",
        "the name server that a sealed program's questions for other records than addresses go to, by TCP through the"
        " proxy, if the proxy resolves the name; without it they are answered empty",
    ),
    Setting(
        "fake_networks",
        values.fake_networks,
        values.FAKE_NETWORKS,
        "--fake-networks",
        "NETWORK",
        "the networks of the fake addresses that stand for names, one of IPv4, one of IPv6 or both",
        many=True,
    ),
    Setting(
        "isolate",
        values.one_of("none", "host", "task", "connection"),
        "none",
        "--isolate",
        "WHAT",
        "none, or what has circuits of its own in Tor, by a user and password generated for each:"
        " host (that is connected to), task (or thread), or connection",
    ),
    Setting(
        "udp",
        values.one_of("block", "direct"),
        "block",
        "--udp",
        "block|direct",
        "what becomes of datagrams to destinations that are not direct: refused, or sent past the proxy",
    ),
    Setting(
        "bind",
        values.one_of("auto", "always", "never"),
        "auto",
        "--bind",
        "auto|always|never",
        "which listening sockets are the proxy's; auto: those for a service that calls back, and bound to its address;"
        " always: every one that is bound after a connection was made, but for loopback",
    ),
    Setting(
        "bind_services",
        values.ports,
        (21, 514),
        "--bind-service",
        "PORT",
        "the ports of the services that call back; 21 (FTP) and 514 (rsh) unless given",
        many=True,
    ),
    Setting(
        "strict",
        values.yes_or_no,
        False,
        "--strict",
        "",
        "refuse what does not come through socksify: raw _socket.socket, saved originals, modules with C of their own",
    ),
    Setting(
        "allow",
        values.texts,
        (),
        "--allow",
        "NAME",
        "a module with network code in C that may be imported, or a program that may be started, all the same",
        many=True,
    ),
    Setting(
        "children",
        values.yes_or_no,
        True,
        "--no-children",
        "",
        "pass the settings on to no child process; else Pythons that the program starts are covered, others are named",
        bare="no",
    ),
    Setting(
        "seal",
        values.one_of("auto", "on", "off"),
        "auto",
        "--seal",
        "auto|on|off",
        "let the kernel hold the program and all its children to the proxy; auto: where the patches do not suffice: a"
        " command that is no Python, and under --strict",
    ),
    Setting(
        "connect_timeout",
        values.seconds,
        120.0,
        "--connect-timeout",
        "SECONDS",
        "bounds a connect() through proxies on a socket without a timeout",
    ),
    Setting(
        "c_watcher_timeout",
        values.seconds,
        5.0,
        "--c-watcher-timeout",
        "SECONDS",
        "bounds a handshake that an event loop written in C cannot drive",
    ),
    Setting("log", values.log, "", "--log", "WHERE", "one line per connection, to stderr (also: -) or to a file"),
    Setting("config", values.path, "", "--config", "FILE", "the TOML file to read", in_file=False),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
BY_OPTION = {setting.option: setting for setting in SETTINGS}
BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
