"""The targets that the recorded network has not: OpenSSH with a git repository, and files over HTTP."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.server
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.reports.compatibility.server_host import ServerHost
from tests.support.network.namespaces import PROGRAMS
from tests.support.processes import require

SSH_PORT, FILES_PORT = 2222, 8088
GREETING = "hello from the repository\n"
PACKAGE = """\
Package: greeting
Version: 1
Architecture: all
Maintainer: nobody <nobody@target.example>
Filename: ./greeting.deb
Size: 0
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
Description: says hello
"""
# apt.conf(5): nothing of the machine's own settings is read.
APT_SETTINGS = """\
Dir::Etc {{ main "/dev/null"; parts "/dev/null"; sourceparts "/dev/null"; sourcelist "{sources}"; }};
Acquire::Languages "none";
"""
# What the files are called, in the directory of the host.
HOST_KEY, USER_KEY, REPOSITORY = "host_key", "user_key", "repository"
APT, APT_CONFIG, SOURCES = "apt", "apt.conf", "sources.list"
SECONDS = 30
# None of the machine's own settings.
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


@contextlib.contextmanager
def sshd(host: ServerHost) -> Iterator[None]:
    """Let root in, who has the user's key."""
    for key in (HOST_KEY, USER_KEY):
        _run(require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(host.directory / key))
    _make_repository(host.directory)
    # Debian's sshd needs the directory that its service file makes.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    options = {
        "Port": SSH_PORT, "HostKey": host.directory / HOST_KEY, "PidFile": "none",
        "AuthorizedKeysFile": host.directory / f"{USER_KEY}.pub",
        "PermitRootLogin": "prohibit-password", "StrictModes": "no", "UsePAM": "no", "UseDNS": "no",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    # Each of 50 clients at once is to be let in.
    argv = [require("sshd"), "-D", "-e", "-f", "/dev/null", "-o", "MaxStartups=100", *words]
    with host.running(argv, SSH_PORT):
        yield


@contextlib.contextmanager
def files(host: ServerHost) -> Iterator[None]:
    """Serve the host's directory: a git repository, and one of apt's."""
    _make_repository(host.directory)
    _make_apt_repository(host.directory)

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(host.directory))  # type: ignore[arg-type]

        def log_message(self, format: str, *arguments: object) -> None:
            """Print nothing into the output of the tests."""

    with host.serving({FILES_PORT: Files}, tls=False):
        yield


def _make_repository(directory: Path) -> None:
    """Make a bare git repository with one file. git serves it over ssh, and any HTTP server does (gitprotocol-http)."""
    work, bare = directory / "work", directory / REPOSITORY
    if bare.exists():
        return
    git, author = require("git"), ("-c", "user.name=nobody", "-c", "user.email=nobody@target.example")
    _run(git, "init", "-q", "-b", "main", str(work))
    (work / "greeting").write_text(GREETING)
    _run(git, "-C", str(work), "add", "greeting")
    _run(git, *author, "-C", str(work), "commit", "-q", "-m", "Say hello")
    _run(git, "clone", "-q", "--bare", str(work), str(bare))
    _run(git, "-C", str(bare), "update-server-info")


def _make_apt_repository(directory: Path) -> None:
    repository = directory / APT
    repository.mkdir()
    (repository / "Packages").write_text(PACKAGE)
    digest = hashlib.sha256(PACKAGE.encode()).hexdigest()
    date = email.utils.formatdate(usegmt=True)
    (repository / "Release").write_text(f"Date: {date}\nSHA256:\n {digest} {len(PACKAGE)} Packages\n")
    (directory / SOURCES).write_text(f"deb [trusted=yes] http://target.example:{FILES_PORT}/{APT}/ ./\n")
    (directory / APT_CONFIG).write_text(APT_SETTINGS.format(sources=directory / SOURCES))


def _run(*argv: str) -> None:
    subprocess.run(argv, env={**PROGRAMS, **GIT}, check=True, capture_output=True, timeout=SECONDS)


OWN: Mapping[str, Callable[[ServerHost], contextlib.AbstractContextManager[None]]] = {"sshd": sshd, "files": files}
