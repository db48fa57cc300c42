"""The target's servers, each on its usual port: from the standard library, from the client library, or a few lines."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from xmlrpc.server import SimpleXMLRPCServer

import paramiko
from websockets.sync.server import ServerConnection, serve

from tests.support.certificates import Certificates
from tests.support.network.addresses import Port
from tests.support.network.line_servers import Ftp, Imap, Redis, Smtp, Telnet
from tests.support.network.mysql_server import Mysql
from tests.support.targets import Echo, Page, Server4, Server6, serving


class XmlRpc4(SimpleXMLRPCServer):
    """Serves one function: pow()."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, logRequests=False)
        self.register_function(lambda base, exponent: pow(base, exponent), "pow")


class XmlRpc6(XmlRpc4):
    address_family = socket.AF_INET6


class UdpEcho(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, server = self.request
        server.sendto(data, self.client_address)


class Udp6(socketserver.UDPServer):
    address_family = socket.AF_INET6


class Visitors(paramiko.ServerInterface):  # type: ignore[misc]  # paramiko has no types
    """Accepts every password, and answers every command with the command itself."""

    def check_auth_password(self, username: str, password: str) -> int:  # noqa: ARG002
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: bytes) -> None:
        channel.sendall(command + b"\n")
        channel.send_exit_status(0)
        # The client closes the channel: it may not know yet that its command was accepted.
        channel.shutdown_write()


class Ssh(socketserver.BaseRequestHandler):
    KEY = paramiko.ECDSAKey.generate()

    def handle(self) -> None:
        with contextlib.closing(paramiko.Transport(self.request)) as transport:
            transport.add_server_key(self.KEY)
            transport.start_server(server=Visitors())
            transport.join()


HANDLERS = {
    Port.ECHO: Echo,
    Port.FTP: Ftp,
    Port.SSH: Ssh,
    Port.TELNET: Telnet,
    Port.SMTP: Smtp,
    Port.HTTP: Page,
    Port.IMAP: Imap,
    Port.MYSQL: Mysql,
    Port.REDIS: Redis,
}


@contextlib.contextmanager
def targets(hosts: Sequence[str], certificates: Certificates) -> Iterator[None]:
    """Run all servers on each of `hosts` for the length of the block."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            for server in _servers(host, certificates):
                stack.enter_context(serving(server))
            stack.enter_context(_websockets(host))
        yield


def _servers(host: str, certificates: Certificates) -> Iterator[socketserver.BaseServer]:
    tcp, udp, xml_rpc = (Server6, Udp6, XmlRpc6) if ":" in host else (Server4, socketserver.UDPServer, XmlRpc4)
    for port, handler in HANDLERS.items():
        yield tcp((host, port), handler)
    secure = tcp((host, Port.HTTPS), Page)
    secure.socket = certificates.server().wrap_socket(secure.socket, server_side=True)
    yield secure
    yield udp((host, Port.ECHO), UdpEcho)
    yield xml_rpc((host, Port.XMLRPC))


@contextlib.contextmanager
def _websockets(host: str) -> Iterator[None]:
    """Run a WebSocket server that echoes messages."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, host, Port.WEBSOCKET, family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
