"""The servers by name: how each is started, its ports, and its name in the README's table."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.reports.compatibility import brokers, calls, databases, services
from tests.reports.compatibility.server_host import Port, ServerHost
from tests.reports.versions import debian
from tests.support.network.addresses import Port as TargetPort

Start = Callable[[ServerHost], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Server:
    """A server for the programs.

    Clients connect to `ports`; the first is the port that a program gets as an argument. `package` is a package of
    Debian, or of PyPI if `pypi` is True; None means that the server is a part of the tests.
    """

    name: str
    start: Start
    ports: tuple[int, ...]
    package: str | None = None
    pypi: bool = False

    @property
    def called(self) -> str:
        if self.package is None:
            return self.name
        return f"{self.name} {importlib.metadata.version(self.package) if self.pypi else debian(self.package)}"


@contextlib.contextmanager
def already(_: ServerHost) -> Iterator[None]:
    """Start nothing: the recorded network runs this server all the time."""
    yield


def standing_in(module: str, handlers: dict[int, str], tls: bool = False) -> Server:
    """A small server of the tests. Its module is imported at its start, since that needs the client's library."""

    @contextlib.contextmanager
    def start(host: ServerHost) -> Iterator[None]:
        found = importlib.import_module(f"tests.reports.compatibility.{module}")
        with host.serving({port: getattr(found, name) for port, name in handlers.items()}, tls):
            yield

    return Server("a stand-in", start, tuple(handlers))


SERVERS = {
    "http": Server("http.server", already, (TargetPort.HTTP,)),
    "https": Server("http.server", already, (TargetPort.HTTPS,)),
    "hypercorn": Server("hypercorn", calls.hypercorn, (Port.HTTP2,), "hypercorn", pypi=True),
    "xmlrpc": Server("xmlrpc.server", already, (TargetPort.XMLRPC,)),
    "ftp": Server("a stand-in", already, (TargetPort.FTP,)),
    "names": Server("a stand-in", already, (53,)),
    "websockets": Server("websockets", already, (TargetPort.WEBSOCKET,), "websockets", pypi=True),
    "redis": Server("Redis", databases.redis, (Port.REDIS, Port.REDIS_TLS), "redis-server"),
    "redis cluster": Server("Redis", databases.redis_cluster, tuple(databases.NODES), "redis-server"),
    "postgresql": Server("PostgreSQL", databases.postgresql, (Port.POSTGRESQL,), databases.POSTGRES_PACKAGE),
    "mariadb": Server("MariaDB", databases.mariadb, (Port.MARIADB,), "mariadb-server"),
    "mosquitto": Server("mosquitto", brokers.mosquitto, (Port.MQTT,), "mosquitto"),
    "nats": Server("nats-server", brokers.nats, (Port.NATS,), "nats-server"),
    "rabbitmq": Server("RabbitMQ", brokers.rabbitmq, (Port.AMQP, Port.STOMP), "rabbitmq-server"),
    "zeromq": Server("libzmq", brokers.zeromq, (Port.ZEROMQ,)),
    "slapd": Server("OpenLDAP", services.slapd, (Port.LDAP,), "slapd"),
    "dovecot": Server("Dovecot", services.dovecot, (Port.IMAP, Port.POP3S), "dovecot-core"),
    "smtpd": Server("aiosmtpd", services.smtpd, (Port.SUBMISSION,), "aiosmtpd", pypi=True),
    "sshd": Server("OpenSSH", services.sshd, (Port.SSH,), "openssh-server"),
    "moto": Server("moto", services.moto, (Port.S3,), "moto", pypi=True),
    "rpyc": Server("rpyc", calls.rpyc, (Port.RPYC,), "rpyc", pypi=True),
    "grpc": Server("grpcio", calls.grpc, (Port.GRPC,), "grpcio", pypi=True),
    "nntp": standing_in("stand_ins", {Port.NNTP: "Nntp"}),
    "telegram": standing_in("stand_ins", {Port.TELEGRAM: "Telegram"}),
    "elasticsearch": standing_in(
        "stand_ins", {Port.ELASTICSEARCH: "Elasticsearch", Port.ELASTICSEARCH_OTHER: "Elasticsearch"}
    ),
    "kafka": standing_in("kafka", {Port.KAFKA: "Kafka", Port.KAFKA_LEADER: "Kafka"}),
    "mongodb": standing_in("mongo", {Port.MONGODB: "Mongo"}),
    "mongodb set": standing_in(
        "mongo", {Port.MONGODB_SECONDARY: "Secondary", Port.MONGODB_PRIMARY: "Primary"}, tls=True
    ),
}
