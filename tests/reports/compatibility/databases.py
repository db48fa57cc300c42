"""Databases: Redis, alone, under TLS and as a cluster; PostgreSQL and MariaDB, each with a user and a database."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.reports.compatibility.server_host import Port, ServerHost
from tests.support.network.addresses import TARGET, TARGET4, TARGET6
from tests.support.processes import require

NODES = range(Port.REDIS_NODES, Port.REDIS_NODES + 3)
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql/15/bin"))
POSTGRES_PACKAGE = f"postgresql-{POSTGRES.parent.name}"
# initdb will not run as root, nor postgres.
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
# `user` alone is a word of SQL.
ACCOUNT = ("""CREATE USER "user" PASSWORD 'secret'""", """CREATE DATABASE test OWNER "user\"""")
MARIADB_ACCOUNT = """\
CREATE USER 'user'@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO 'user'@'%';
"""


@contextlib.contextmanager
def redis(host: ServerHost) -> Iterator[None]:
    """One that speaks plainly and, on another port, TLS."""
    certificate, key = host.certificate()
    tls = ["--tls-port", str(Port.REDIS_TLS), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    tls += ["--tls-ca-cert-file", str(host.authority), "--tls-auth-clients", "no"]
    with host.running([*_redis(Port.REDIS), *tls], Port.REDIS):
        yield


@contextlib.contextmanager
def redis_cluster(host: ServerHost) -> Iterator[None]:
    """Three nodes with a third of the keys each, which refer clients to one another by the target's name."""
    with contextlib.ExitStack() as stack:
        for port in NODES:
            cluster = ["--cluster-enabled", "yes", "--cluster-announce-hostname", TARGET]
            cluster += ["--cluster-preferred-endpoint-type", "hostname"]
            cluster += ["--dir", str(host.subdirectory(f"redis-{port}"))]
            stack.enter_context(host.running([*_redis(port), *cluster], port))
        nodes = [f"{TARGET4}:{port}" for port in NODES]
        _run(host, [require("redis-cli"), "--cluster", "create", *nodes, "--cluster-yes"])
        yield


def _redis(port: int) -> list[str]:
    alone = ["--save", "", "--protected-mode", "no", "--daemonize", "no"]
    return [require("redis-server"), "--port", str(port), "--bind", TARGET4, TARGET6, *alone]


@contextlib.contextmanager
def postgresql(host: ServerHost) -> Iterator[None]:
    """Wants a password; TLS for whoever asks for it."""
    data = host.subdirectory("postgresql", "nobody")
    initdb, postgres = (require(str(POSTGRES / name)) for name in ("initdb", "postgres"))
    _run(host, [*AS_NOBODY, initdb, "--pgdata", str(data), "--no-sync", "--locale=C.UTF-8", "--username=postgres"])
    single = [*AS_NOBODY, postgres, "--single", "-D", str(data), "postgres"]
    for statement in ACCOUNT:
        _run(host, single, input=statement)
    (data / "pg_hba.conf").write_text("host all all all scram-sha-256\n")
    certificate, key = host.certificate("nobody")
    options = {
        "listen_addresses": f"{TARGET4},{TARGET6}", "port": Port.POSTGRESQL, "unix_socket_directories": "",
        "fsync": "off", "ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key,
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with host.running([*AS_NOBODY, postgres, "-D", str(data), *words], Port.POSTGRESQL):
        yield


@contextlib.contextmanager
def mariadb(host: ServerHost) -> Iterator[None]:
    data = host.subdirectory("mariadb", "nobody")
    _run(host, [require("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--user=nobody"])
    account = host.directory / "account.sql"
    account.write_text(MARIADB_ACCOUNT)
    certificate, key = host.certificate("nobody")
    options = [f"--ssl-cert={certificate}", f"--ssl-key={key}", f"--datadir={data}", f"--init-file={account}"]
    options += ["--user=nobody", "--bind-address=*", f"--port={Port.MARIADB}", f"--socket={data}/socket"]
    with host.running([require("mariadbd"), "--no-defaults", *options], Port.MARIADB):
        yield


def _run(host: ServerHost, argv: list[str], input: str = "") -> None:
    """Runs to its end what prepares a server, where it will be."""
    command = host.network.namespace.command(*argv)
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=60, cwd="/")
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {done.stdout}{done.stderr}")
