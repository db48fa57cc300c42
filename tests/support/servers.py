"""Real SOCKS servers for the tests: danted, microsocks and `ssh -D`.

A client that works only with its own author's server proves nothing, so the tests start servers that people use. Each
function is a context manager. It yields a `Server` when a connection has succeeded, and ends the process afterwards.
The server's output is in `Server.log`, for the message of a failed test.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.support.processes import free_port, require, running, unavailable


@dataclass(frozen=True)
class Server:
    """A running SOCKS server on `host`:`port`. The file `log` has its output."""

    name: str
    host: str
    port: int
    log: Path
    user: str | None = None
    password: str | None = None

    def url(self, scheme: str = "socks5h") -> str:
        """Return the server's URL for a client, with the credentials that the server requires."""
        credentials = "" if self.user is None else f"{quote(self.user, '')}:{quote(self.password or '', '')}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{credentials}{host}:{self.port}"

    def running(self, argv: list[str]) -> contextlib.AbstractContextManager[None]:
        """Run the server for the length of the block."""
        return running(argv, self.name, (self.host, self.port), self.log)


@contextlib.contextmanager
def danted(
    user: str | None = None, password: str | None = None, host: str = "127.0.0.1", hosts: Path | None = None
) -> Iterator[Server]:
    """Dante's server: SOCKS4 and 5 with CONNECT, BIND and UDP, from and to loopback.

    With a user, it requires a name and a password (RFC 1929). `hosts` is the server's hosts(5) file.
    """
    binary = require("danted")
    with _directory("danted") as directory:
        server = Server("danted", host, free_port(host), directory / "log", user, password)
        config = directory / "danted.conf"
        config.write_text(_danted_config(server))
        argv = [binary, "-f", str(config)]
        if user is not None and password is not None:
            argv = with_account(argv, directory, user, password)
        if hosts is not None:
            argv = _with_hosts(argv, hosts)
        with server.running(argv):
            yield server


def _danted_config(server: Server) -> str:
    account = getpass.getuser()
    unprivileged = "nobody" if os.geteuid() == 0 else account
    return f"""\
logoutput: stderr
internal: {server.host} port = {server.port}
external: 127.0.0.1
external: ::1
clientmethod: none
socksmethod: {"none" if server.user is None else "username"}
user.privileged: {account}
user.unprivileged: {unprivileged}
client pass {{
    from: 0/0 to: 0/0
    log: error
}}
socks pass {{
    from: 0/0 to: 0/0
    command: bind connect udpassociate bindreply udpreply
    log: error connect disconnect
}}
"""


def with_account(
    argv: list[str],
    directory: Path,
    user: str,
    password: str,
    home: str = "/nonexistent",
    shell: str = "/usr/sbin/nologin",
) -> list[str]:
    """Return the command that runs `argv` on a system where `user` has an account with `password` and the uid 65533.

    Dante reads the system's password database. A database of its own is mounted over the real one, in a mount namespace
    that ends with the process. So no account is made on the machine.
    """
    if os.geteuid() != 0:
        unavailable(f"{argv[0]} with passwords needs root, to give it a password database of its own")
    digest = subprocess.run(
        [require("openssl"), "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True
    ).stdout.strip()
    entries = {"passwd": f"{user}:x:65533:65534::{home}:{shell}", "shadow": f"{user}:{digest}:1::::::"}
    for name, entry in entries.items():
        copy = directory / name
        copy.write_text(Path("/etc", name).read_text() + entry + "\n")
    script = 'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/shadow" /etc/shadow && exec "$@"'
    return [require("unshare"), "--mount", "sh", "-c", script, str(directory), *argv]


def _with_hosts(argv: list[str], hosts: Path) -> list[str]:
    """Return the command that runs `argv` in a mount namespace in which `hosts` is the hosts file."""
    if os.geteuid() != 0:
        unavailable("a server with a hosts file of its own needs root")
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return [require("unshare"), "--mount", "sh", "-c", script, str(hosts), *argv]


@contextlib.contextmanager
def microsocks(user: str | None = None, password: str | None = None, host: str = "127.0.0.1") -> Iterator[Server]:
    """microsocks: SOCKS5 with CONNECT alone. It needs each message complete in one segment."""
    binary = require("microsocks")
    with _directory("microsocks") as directory:
        server = Server("microsocks", host, free_port(host), directory / "log", user, password)
        credentials = [] if user is None else ["-u", user, "-P", password or ""]
        with server.running([binary, "-i", host, "-p", str(server.port), *credentials]):
            yield server


@contextlib.contextmanager
def ssh_dynamic() -> Iterator[Server]:
    """`ssh -D`: CONNECT of SOCKS4, 4A and 5 through an own sshd, with keys that are made here."""
    ssh, sshd = require("ssh"), require("sshd")
    with _directory("ssh") as directory:
        for key in ("host_key", "user_key"):
            keygen = [require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)]
            subprocess.run(keygen, check=True)
        daemon = Server("sshd", "127.0.0.1", free_port(), directory / "sshd.log")
        client = Server("ssh -D", "127.0.0.1", free_port(), directory / "log")
        tunnel = _ssh_argv(ssh, daemon, client, directory)
        with daemon.running(_sshd_argv(sshd, daemon, directory)), client.running(tunnel):
            yield client


def _sshd_argv(sshd: str, daemon: Server, directory: Path) -> list[str]:
    if os.geteuid() == 0:
        # As root, Debian's sshd needs the directory that its service file makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    options = {
        "ListenAddress": f"{daemon.host}:{daemon.port}",
        "HostKey": str(directory / "host_key"),
        "AuthorizedKeysFile": str(directory / "user_key.pub"),
        "PidFile": "none",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "UsePAM": "no",
        # The key's directory is in /tmp, to which every user may write.
        "StrictModes": "no",
    }
    return [sshd, "-D", "-e", "-f", "/dev/null", *_ssh_options(options)]


def _ssh_argv(ssh: str, daemon: Server, client: Server, directory: Path) -> list[str]:
    options = {
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
    }
    key, forward = ["-i", str(directory / "user_key")], ["-N", "-D", f"{client.host}:{client.port}"]
    where = ["-p", str(daemon.port), f"{getpass.getuser()}@{daemon.host}"]
    return [ssh, "-F", "none", *key, *forward, *_ssh_options(options), *where]


def _ssh_options(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


@contextlib.contextmanager
def _directory(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"socksify-{name}-") as path:
        yield Path(path)
