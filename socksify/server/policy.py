"""What the server asks of its rules: who may connect, what they may ask for, and how long it may take.

The questions and answers are frozen values, so that a session needs to know nothing of rules, users or files, and
the rules nothing of sockets. A reload puts another Policy in this one's place; a session asks the one that is there
at the time, and what was permitted stays so.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config.addresses import address
from socksify.protocol.socks5 import NO_AUTHENTICATION
from socksify.server.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Proxy


class Client(Record):
    """The two ends of a client's connection, as literals (an IPv4-mapped one as IPv4) and ports.

    On a Unix socket both hosts are empty.
    """

    host: str
    port: int
    own_host: str
    own_port: int


class Demand(Record, hidden=("user", "userid")):
    """What a client asks for.

    `user` was verified, None without authentication; `userid` is SOCKS4's mere claim. `command` is one of
    `protocol.socks5`. The destination is a name, or a literal, or both once the name was resolved: every address of a
    name is asked about apart. For a BIND it is the peer that is awaited (the unspecified address for anyone) and later
    the one that came; for a UDP ASSOCIATE nobody at first (no name, no address, port 0), then each datagram's.
    """

    client: Client
    user: bytes | None
    userid: bytes
    command: int
    name: str | None
    address: str | None
    port: int


class Admission(Record):
    """A client that may negotiate. `methods` are those of SOCKS5, the one that is liked best first.

    SOCKS4, which has no passwords, is served where NO_AUTHENTICATION is one of them.
    """

    methods: tuple[int, ...] = (NO_AUTHENTICATION,)


class Permitted(Record):
    """Go ahead; `rule` says which rule decided, for people to read.

    `source` is the own address to do it from, None for the kernel's choice. `chain` are the proxies to go through,
    first hop first. `reserved` says that a client's source port below 1024 is answered by such a one. `ident` is "" for
    no question to the client's identd, "i" where only a contradiction counts, "I" where silence does, too.
    """

    rule: str = ""
    source: str | None = None
    chain: tuple[Proxy, ...] = ()
    reserved: bool = False
    ident: str = ""


class Denied(Record):
    """Do not; `why` is one line for the log, which names the rule or the limit. The client is not told."""

    why: str


class Policy:
    """Without configuration: everything for clients of this machine, nothing for others."""

    limits = Limits()

    def admit(self, client: Client) -> Admission | Denied:
        """Whether a client that has just connected may negotiate. A denied one is closed without an answer."""
        return Admission() if _is_local(client.host) else Denied("no rule permits a client that is not local")

    def verify(self, user: bytes, password: bytes) -> bool:
        """Whether a user may come in. Slow on purpose, so it is called off the event path, by any thread."""
        raise NotImplementedError("nobody is asked for credentials without users")

    def decide(self, demand: Demand) -> Permitted | Denied | None:
        """Whether a demand is met; None where a name has first to be resolved, because rules on networks decide.

        A name that is permitted is resolved and each address asked about all the same, unless its chain takes names.
        """
        return Permitted("no rules")


def _is_local(host: str) -> bool:
    number = address(host)
    # On a Unix socket there is no address.
    return not host or number == (128, 1) or (number is not None and number[0] == 32 and number[1] >> 24 == 127)
