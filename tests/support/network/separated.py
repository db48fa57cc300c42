"""A network for BIND: the client and the server have no route to each other, and both have one to the proxy.

    client 203.0.113.1 -- 203.0.113.2 proxy 198.51.100.1 -- 198.51.100.2 server

Each of the three hosts is a network namespace. danted listens on the proxy's inner addresses and connects from its
outer addresses. The client's part of a test runs in `client.inside()`.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import running_sockd
from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.processes import free_port, require
from tests.support.servers import Server

CLIENT, INNER, OUTER, SERVER = "203.0.113.1", "203.0.113.2", "198.51.100.1", "198.51.100.2"
INNER6, OUTER6, SERVER6 = "2001:db8:1::2", "2001:db8:2::1", "2001:db8:2::2"
EVERYWHERE = ("*=proxy",)
NAME = "server.example"
_FILES_ALONE = {"nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"}


@dataclass(frozen=True)
class SeparatedNetwork:
    """The three hosts, and danted on both inner addresses of the proxy."""

    client: Namespace
    proxy: Namespace
    server: Namespace
    danted: Server

    def url(self, scheme: str) -> str:
        return self.danted.url(scheme)


@contextlib.contextmanager
def separated_network() -> Iterator[SeparatedNetwork]:
    """Build the network and run danted for the length of the block."""
    needs_root()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="socksify-separated-")))
        hosts = f"127.0.0.1 localhost\n{SERVER} {NAME}\n"
        files = {
            "client": {"hosts": "127.0.0.1 localhost\n"},
            "proxy": {"hosts": hosts},
            # rshd needs a name for each caller's address.
            "server": {"hosts": f"127.0.0.1 localhost\n{OUTER} proxy.example\n{OUTER6} proxy.example\n"},
        }
        client, proxy, server = (
            stack.enter_context(Namespace(etc(directory / name, {**files[name], **_FILES_ALONE}), name))
            for name in files
        )
        _wire(proxy, "inner", (f"{INNER}/24", f"{INNER6}/64"), client, (f"{CLIENT}/24", "2001:db8:1::1/64"))
        _wire(proxy, "outer", (f"{OUTER}/24", f"{OUTER6}/64"), server, (f"{SERVER}/24", f"{SERVER6}/64"))
        yield SeparatedNetwork(client, proxy, server, stack.enter_context(danted(proxy, directory)))


def _wire(here: Namespace, name: str, ours: tuple[str, ...], there: Namespace, theirs: tuple[str, ...]) -> None:
    here.ip(f"link add {name} type veth peer name eth0 netns {there.pid}")
    for namespace, device, addresses in ((here, name, ours), (there, "eth0", theirs)):
        added = [f"addr add {address} dev {device}{' nodad' * (':' in address)}" for address in addresses]
        namespace.ip(*added, f"link set {device} up")


@contextlib.contextmanager
def danted(proxy: Namespace, directory: Path, options: str = "") -> Iterator[Server]:
    """Run danted on the proxy host. `options` are additional lines of its configuration."""
    with proxy.inside():
        server = Server("danted", INNER, free_port(INNER), directory / f"danted{len(options)}.log")
        config = directory / f"danted{len(options)}.conf"
        config.write_text(options + _config(server))
        with server.running(proxy.command(require("danted"), "-f", str(config))):
            yield server


@contextlib.contextmanager
def sockd(proxy: Namespace) -> Iterator[Server]:
    """Run sockd on the proxy host."""
    options = ("--open", "--listen", f"{INNER}:0")
    with running_sockd.sockd(*options, prefix=tuple(proxy.command())) as server:
        # The helper keeps the messages of sockd, so there is no log file.
        yield Server("sockd", *server.address, Path(os.devnull))


def _config(server: Server) -> str:
    return f"""\
logoutput: stderr
internal: {INNER} port = {server.port}
internal: {INNER6} port = {server.port}
external: {OUTER}
external: {OUTER6}
clientmethod: none
socksmethod: none
user.privileged: {getpass.getuser()}
user.unprivileged: nobody
client pass {{
    from: 0/0 to: 0/0
}}
socks pass {{
    from: 0/0 to: 0/0
    command: bind connect bindreply
    log: error connect disconnect
}}
"""
