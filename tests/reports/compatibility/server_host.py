"""The host that the programs' servers run on: the recorded network's namespace of the proxy and the targets."""

from __future__ import annotations

import contextlib
import shutil
import socketserver
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.network.addresses import TARGET4, TARGET6
from tests.support.network.recorded import RecordedNetwork
from tests.support.processes import running
from tests.support.targets import Server4, Server6, serving

# Some servers start a virtual machine, or make their files first.
START_SECONDS = 60.0


class Port:
    """Usual ports, unless a server of the recorded network has the port already; plain numbers, for getaddrinfo()."""

    NNTP = 119
    LDAP = 389
    SUBMISSION = 587
    POP3S = 995
    MQTT = 1883
    NATS = 4222
    S3 = 5000
    POSTGRESQL = 5432
    ZEROMQ = 5555
    AMQP = 5672
    TELEGRAM = 8081
    HTTP2 = 8443
    KAFKA = 9092
    KAFKA_LEADER = 9093
    ELASTICSEARCH = 9200
    ELASTICSEARCH_OTHER = 9201
    SSH = 10022
    IMAP = 10143
    MARIADB = 13306
    REDIS = 16379
    REDIS_TLS = 16380
    REDIS_NODES = 17001
    RPYC = 18861
    MONGODB = 27017
    MONGODB_PRIMARY = 27018
    MONGODB_SECONDARY = 27019
    GRPC = 50051
    STOMP = 61613


@dataclass(frozen=True)
class ServerHost:
    """The recorded network, and a directory for the servers' files that every user may enter."""

    network: RecordedNetwork
    directory: Path

    @property
    def authority(self) -> Path:
        return self.network.certificates.authority

    def certificate(self, owner: str = "root") -> tuple[Path, Path]:
        """Return the files of the target's certificate and of its key, copies that belong to `owner`."""
        made = []
        for file in self.network.certificates.files:
            made.append(self.directory / f"{owner}-{file.name}")
            shutil.copy(file, made[-1])
            made[-1].chmod(0o600)
            shutil.chown(made[-1], owner)
        return made[0], made[1]

    def subdirectory(self, name: str, owner: str = "root") -> Path:
        """Make an empty directory that belongs to `owner`."""
        path = self.directory / name
        path.mkdir()
        shutil.chown(path, owner)
        return path

    @contextlib.contextmanager
    def running(self, argv: list[str], port: int) -> Iterator[None]:
        """Run a server for the length of the block. The block begins when `port` accepts connections."""
        log = self.directory / f"{port}.log"
        command = self.network.namespace.command(*argv)
        with contextlib.ExitStack() as stack:
            with self.network.namespace.inside():
                stack.enter_context(running(command, argv[0], (TARGET4, port), log, START_SECONDS))
            yield

    @contextlib.contextmanager
    def serving(self, handlers: Mapping[int, type[socketserver.BaseRequestHandler]], tls: bool) -> Iterator[None]:
        """Serve in threads of this process on both addresses of the target, one handler on each port."""
        with contextlib.ExitStack() as stack:
            with self.network.namespace.inside():
                for port, handler in handlers.items():
                    for server in (Server4((TARGET4, port), handler), Server6((TARGET6, port), handler)):
                        if tls:
                            context = self.network.certificates.server()
                            server.socket = context.wrap_socket(server.socket, server_side=True)
                        stack.enter_context(serving(server))
            yield


@contextlib.contextmanager
def server_host(network: RecordedNetwork) -> Iterator[ServerHost]:
    with tempfile.TemporaryDirectory(prefix="socksify-compatibility-") as name:
        directory = Path(name)
        # Servers that start as root change to another user.
        directory.chmod(0o755)
        yield ServerHost(network, directory)
