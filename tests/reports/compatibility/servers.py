"""The servers by name: how each is started, where it listens, and what it is called in the README's table."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.reports.compatibility import brokers, calls, databases, services
from tests.reports.compatibility.place import Place, Port
from tests.support.network.addresses import Port as TargetPort

Start = Callable[[Place], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Server:
    """`ports` are those that its clients connect to, the first of them the one that they are told of.

    `package` is Debian's, or on PyPI if `pypi`; without one it is part of the tests.
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


def debian(package: str) -> str:
    """The version of an installed package as its authors count: without Debian's epoch and revision."""
    query = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    version = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    return re.sub(r"^\d+:|[-+].*$", "", version)


@contextlib.contextmanager
def already(_: Place) -> Iterator[None]:
    """One of those that `tests.reports.wire` keeps running there."""
    yield


def standing_in(module: str, handlers: dict[int, str], tls: bool = False) -> Server:
    """A few lines of ours; their module is imported when they are started, since it wants what its clients want."""

    @contextlib.contextmanager
    def start(place: Place) -> Iterator[None]:
        found = importlib.import_module(f"tests.reports.compatibility.{module}")
        with place.serving({port: getattr(found, name) for port, name in handlers.items()}, tls):
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
    "nntp": standing_in("dialects", {Port.NNTP: "Nntp"}),
    "telegram": standing_in("dialects", {Port.TELEGRAM: "Telegram"}),
    "elasticsearch": standing_in(
        "dialects", {Port.ELASTICSEARCH: "Elasticsearch", Port.ELASTICSEARCH_OTHER: "Elasticsearch"}
    ),
    "kafka": standing_in("kafka", {Port.KAFKA: "Kafka", Port.KAFKA_LEADER: "Kafka"}),
    "mongodb": standing_in("mongo", {Port.MONGODB: "Mongo"}),
    "mongodb set": standing_in(
        "mongo", {Port.MONGODB_SECONDARY: "Secondary", Port.MONGODB_PRIMARY: "Primary"}, tls=True
    ),
}
