"""The programs that the report of sealed programs runs: commands in any language, and libraries with sockets in C.

A command is split as a shell does. These words in braces are replaced: {target} by the target's name, {python} by the
interpreter, {programs} by the directory of tests/programs, {built} by that of the compiled ones, {authority} by the
file of the TLS targets' authority, {ssh} by the ssh command with its options, {repository} by the path of a git
repository on the target, {apt_config} by the file of apt's settings. Each program starts in an empty directory of its
own.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.reports.compatibility.server_host import Port
from tests.reports.sealed.servers import FILES_PORT
from tests.support.network.addresses import NAME_SERVER, TARGET4, TARGET6
from tests.support.network.addresses import Port as TargetPort

STUB = "127.0.0.53"


@dataclass(frozen=True)
class Case:
    """One program: its command, its exit status, and the kinds of packets that it sends natively.

    A command that `is_script` is a Python program and its arguments. `server` is started for the case. A `usual` case
    is run by `make test`, the others by `make wire` alone.
    """

    command: str
    leaks: str = "dns tcp"
    server: str | None = None
    status: int = 0
    is_script: bool = False
    usual: bool = False

    @property
    def is_python(self) -> bool:
        return self.is_script or "{python}" in self.command

    def words(self, **values: str) -> list[str]:
        """Return the words of the command with these values."""
        return shlex.split(self.command.format_map(values))


@dataclass(frozen=True)
class Row:
    """A row of the README's table: `what` the programs of its cases have in common."""

    what: str
    cases: list[Case] = field(default_factory=list)


def commands(*lines: str, leaks: str = "dns tcp", server: str | None = None, usual: bool = True) -> list[Case]:
    return [Case(line, leaks, server, usual=usual) for line in lines]


def scripts(*lines: str, server: str | None = None, usual: bool = False) -> list[Case]:
    """Programs of tests/programs; the target's name follows the program's."""
    words = (line.partition(" ") for line in lines)
    return [
        Case(f"{{programs}}/{name}.py {{target}} {rest}", server=server, is_script=True, usual=usual)
        for name, _, rest in words
    ]


ROWS = [
    Row(
        "curl: by name, under TLS, ten at once, a refused port; by address (IPv4, IPv6)",
        [
            *commands(
                "curl -s http://{target}/",
                "curl -s --cacert {authority} https://{target}/",
                "curl --no-progress-meter -Z " + "http://{target}/ " * 10,
            ),
            # CURLE_COULDNT_CONNECT of libcurl-errors(3).
            Case("curl -s http://{target}:81/", status=7, usual=True),
            *commands(f"curl -s http://{TARGET4}/", f"curl -s http://[{TARGET6}]/", leaks="tcp"),
        ],
    ),
    Row(
        "wget; git over HTTP; `apt-get update`",
        [
            *commands("wget -q -O - http://{target}/"),
            *commands(
                f"/bin/sh -c 'git clone -q http://{{target}}:{FILES_PORT}/repository clone && cat clone/greeting'",
                "/bin/sh -c 'mkdir -p lists/partial && APT_CONFIG={apt_config} "
                "apt-get -qq -o Dir::State=$PWD -o Dir::Cache=$PWD update && cat lists/*Packages'",
                server="files",
            ),
        ],
    ),
    Row(
        "ssh: a command; git over ssh",
        commands(
            "{ssh} root@{target} echo hello",
            "/bin/sh -c 'GIT_SSH_COMMAND=\"{ssh}\" git clone -q root@{target}:{repository} clone'",
            server="sshd",
        ),
    ),
    Row(
        "dig: by UDP, by TCP, by the stub at 127.0.0.53; then curl to the address",
        commands(
            "/bin/sh -c 'curl -s http://$(dig +short {target})/'",
            "/bin/sh -c 'curl -s http://[$(dig +short AAAA {target})]/'",
            f"/bin/sh -c 'curl -s http://$(dig +short +tcp @{NAME_SERVER} {{target}})/'",
            f"/bin/sh -c 'curl -s http://$(dig +short @{STUB} {{target}})/'",
        ),
    ),
    Row(
        "libpq: psql, psycopg2, psycopg",
        [
            *commands(
                f"psql -At postgresql://user:secret@{{target}}:{Port.POSTGRESQL}/test -c 'SELECT 6 * 7'",
                server="postgresql",
            ),
            *scripts(f"psycopg2_query {Port.POSTGRESQL}", server="postgresql", usual=True),
            *scripts(f"psycopg_query {Port.POSTGRESQL}", server="postgresql"),
        ],
    ),
    Row(
        "C: linked with glibc, statically with glibc, statically with musl",
        commands(
            "{built}/fetch_glibc {target} 80", "{built}/fetch_static {target} 80", "{built}/fetch_musl {target} 80"
        ),
    ),
    Row("Go, statically linked", commands("{built}/fetch_go http://{target}/", usual=False)),
    Row("Node.js", commands("node {programs}/fetch.js http://{target}/")),
    Row("Java", commands("java -cp {built} Fetch http://{target}/", usual=False)),
    Row("libcurl in Python: pycurl, curl_cffi (c-ares)", scripts("pycurl_get 80", "curl_cffi_get 80")),
    Row("grpcio", scripts(f"grpc_call {Port.GRPC}", server="grpc")),
    Row("confluent-kafka", scripts(f"confluent_brokers {Port.KAFKA}", server="kafka")),
    Row("mysqlclient", scripts(f"mysqlclient_query {Port.MARIADB}", server="mariadb")),
    Row("S3 in Rust and C++: polars, pyarrow", scripts(f"polars_s3 {Port.S3}", f"pyarrow_s3 {Port.S3}", server="moto")),
    Row(
        "uvloop and `_socket`, in a Python without patches",
        commands(
            f"{{python}} -I {{programs}}/uvloop_stream.py {{target}} {TargetPort.ECHO}",
            f"{{python}} -I {{programs}}/underneath.py {{target}} {TargetPort.ECHO}",
        ),
    ),
    Row(
        "a shell: a pipeline, bash's own sockets, a daemon, 50 children at once",
        commands(
            "/bin/sh -c 'curl -s http://{target}/ | tr a-z A-Z | cat -n'",
            f"bash -c 'exec 3<>/dev/tcp/{{target}}/{TargetPort.ECHO}; echo hello >&3; head -n 1 <&3'",
            "setsid -f curl -s http://{target}/",
            "/bin/sh -c 'seq 50 | xargs -P 50 -I N curl -s http://{target}/'",
        ),
    ),
]


def usual_rows() -> list[Row]:
    """Return the rows with the cases that `make test` runs."""
    chosen = [replace(row, cases=[case for case in row.cases if case.usual]) for row in ROWS]
    return [row for row in chosen if row.cases]


def cases() -> Iterator[Case]:
    for row in ROWS:
        yield from row.cases
