"""The programs of the report: a small, ordinary program for each common client library.

The arguments of a program are the target's name, a port and, if the program checks certificates, the authority's file.
"""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.reports.client_runs import AUTHORITY
from tests.reports.compatibility.server_host import Port
from tests.reports.compatibility.servers import SERVERS, Server
from tests.support.network.addresses import NAME_SERVER, TARGET
from tests.support.network.addresses import Port as TargetPort

# `make clients` installs older major versions there, beside their successors.
OLDER = Path(sys.prefix, "older")


@dataclass(frozen=True)
class Program:
    """`library` is a name on PyPI or a module of the standard library; `done` is the table's description.

    A `usual` program needs only libraries that `make test` installs. An `older` one uses the library's previous major
    version.
    """

    library: str
    done: str
    command: str
    server: Server
    usual: bool = False
    older: bool = False

    @property
    def version(self) -> str:
        return self._installed or f"Python {'.'.join(map(str, sys.version_info[:2]))}"

    @property
    def is_here(self) -> bool:
        """Whether this Python has the library, or the module of the standard library."""
        return self._installed is not None or self.library.partition(".")[0] in sys.stdlib_module_names

    @property
    def _installed(self) -> str | None:
        path = [str(OLDER)] if self.older else sys.path
        found = next(iter(importlib.metadata.distributions(name=self.library, path=path)), None)
        return None if found is None else found.version


def plain(library: str, done: str, program: str, server: str, *, usual: bool = False, older: bool = False) -> Program:
    """A program whose arguments are the target's name and the server's port."""
    found = SERVERS[server]
    return Program(library, done, f"{program} {TARGET} {found.ports[0]}", found, usual, older)


def secure(library: str, done: str, program: str, server: str, port: int, *, usual: bool = False) -> Program:
    """A program whose arguments are the target's name, a port and the authority's file."""
    return Program(library, done, f"{program} {TARGET} {port} {AUTHORITY}", SERVERS[server], usual)


COVERED = [
    plain("requests", "two requests on one connection", "requests_get", "http", usual=True),
    plain("urllib3", "a pool manager", "urllib3_get", "http", usual=True),
    plain("urllib3", "a pool manager", "urllib3_get", "http", older=True),
    plain("httpx", "blocking", "httpx_get", "http"),
    plain("httpx", "asyncio: three requests at once", "httpx_async", "http", usual=True),
    secure("httpx", "asyncio: HTTP/2, twenty requests at once, TLS", "httpx_http2", "hypercorn", Port.HTTP2),
    plain("aiohttp", "its own look-ups, in threads", "aiohttp_get threads", "http", usual=True),
    plain("aiohttp", "WebSockets, happy eyeballs", "aiohttp_websocket", "websockets", usual=True),
    plain("tornado", "five requests at once", "tornado_get", "http", usual=True),
    secure(
        "twisted",
        "`Agent`: two requests on one connection, TLS",
        "twisted_agent",
        "https",
        TargetPort.HTTPS,
        usual=True,
    ),
    secure("pyOpenSSL", "without blocking: a request", "pyopenssl_get", "https", TargetPort.HTTPS, usual=True),
    plain("botocore", "S3: a bucket, ten objects by threads", "botocore_s3", "moto"),
    plain("minio", "S3: a bucket, an object", "minio_objects", "moto"),
    plain("elasticsearch", "finds the nodes; index, search", "elasticsearch_index", "elasticsearch"),
    plain("python-telegram-bot", "polls, answers", "telegram_poll", "telegram"),
    plain("requests", "long polls", "long_poll", "telegram", usual=True),
    plain("xmlrpc.client", "a call", "xmlrpc_call", "xmlrpc"),
    plain("grpclib", "ten calls at once", "grpclib_call", "grpc"),
    plain("rpyc", "calls, a callback", "rpyc_call", "rpyc"),
    plain("websockets", "asyncio", "websockets_echo", "websockets", usual=True),
    plain("websockets", "threads", "websockets_sync", "websockets"),
    plain("websocket-client", "a message, a ping", "websocket_client_echo", "websockets"),
    plain("paramiko", "a command, SFTP", "paramiko_sftp", "sshd", usual=True),
    plain("asyncssh", "two commands, a forwarded port, SFTP", "asyncssh_run", "sshd"),
    plain("redis", "pipeline, subscription in a thread, reconnect", "redis_pubsub", "redis", usual=True),
    secure("redis", "asyncio: twenty at once, TLS", "redis_tls", "redis", Port.REDIS_TLS, usual=True),
    plain("redis", "cluster: referred to three nodes by name", "redis_cluster", "redis cluster"),
    secure("asyncpg", "a pool of five, TLS, NOTIFY, cancel", "asyncpg_pool", "postgresql", Port.POSTGRESQL),
    secure("pg8000", "a table, TLS", "pg8000_query", "postgresql", Port.POSTGRESQL, usual=True),
    secure("PyMySQL", "a table, TLS, reconnect", "pymysql_query", "mariadb", Port.MARIADB),
    plain("mysql-connector-python", "`use_pure=True`: a query", "mysql_connector_query", "mariadb"),
    secure("aiomysql", "a pool of three, TLS", "aiomysql_pool", "mariadb", Port.MARIADB),
    plain("pymongo", "insert, find", "pymongo_insert", "mongodb"),
    plain("pymongo", "asyncio: ten at once", "pymongo_async", "mongodb"),
    secure("pymongo", "a replica set, TLS", "pymongo_replicas", "mongodb set", Port.MONGODB_SECONDARY),
    secure("ldap3", "StartTLS, add, search, delete", "ldap3_search", "slapd", Port.LDAP),
    plain("pika", "publish, consume", "pika_publish", "rabbitmq"),
    plain("aio-pika", "robust: publish, consume", "aio_pika_publish", "rabbitmq"),
    Program("stomp.py", "subscribe, send", f"stomp_send {TARGET} {Port.STOMP}", SERVERS["rabbitmq"]),
    plain("paho-mqtt", "a loop in a thread, reconnect", "paho_publish", "mosquitto", usual=True),
    secure("nats-py", "requests, TLS", "nats_request", "nats", Port.NATS),
    plain("kafka-python", "two brokers by name: produce, consume", "kafka_produce", "kafka"),
    secure("smtplib", "STARTTLS, login, message", "smtplib_secure", "smtpd", Port.SUBMISSION),
    secure("aiosmtplib", "STARTTLS, login, message", "aiosmtplib_send", "smtpd", Port.SUBMISSION),
    secure("imaplib", "STARTTLS, append, search, fetch", "imaplib_append", "dovecot", Port.IMAP),
    secure("poplib", "TLS, listing", "poplib_list", "dovecot", Port.POP3S),
    plain("ftplib", "passive", "ftplib_passive", "ftp", usual=True),
    plain("socket", "NNTP in lines", "nntp_raw", "nntp", usual=True),
    Program("dnspython", "TCP", f"dnspython_query tcp A {TARGET} {NAME_SERVER}", SERVERS["names"], usual=True),
]


@dataclass(frozen=True)
class Uncovered(Program):
    """A program that no patch reaches. Importing `module` prints a message with its name; under strict it fails."""

    module: str = ""


def uncovered(library: str, done: str, program: str, server: str, module: str, *, usual: bool = False) -> Uncovered:
    found = SERVERS[server]
    return Uncovered(library, done, f"{program} {TARGET} {found.ports[0]}", found, usual, module=module)


UNCOVERED = [
    uncovered("psycopg2-binary", "a query", "psycopg2_query", "postgresql", "psycopg2", usual=True),
    uncovered("psycopg", "a query", "psycopg_query", "postgresql", "psycopg"),
    uncovered("pycurl", "a request", "pycurl_get", "http", "pycurl"),
    uncovered("curl_cffi", "a request", "curl_cffi_get", "http", "curl_cffi"),
    uncovered("grpcio", "a call", "grpc_call", "grpc", "grpc"),
    uncovered("confluent-kafka", "the brokers", "confluent_brokers", "kafka", "confluent_kafka"),
]
