"""Clients of other authors, unmodified, through this server: each gets what it asks for."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import getpass
import glob
import http.server
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import python_socks.async_.asyncio
import python_socks.sync
import socks

from socksify.server.net import resolver
from tests.support import servers
from tests.support.paths import PROGRAMS
from tests.support.processes import free_port, require, unavailable
from tests.support.streams import receive
from tests.support.targets import PAGE, Target, serve
from tests.unit.server import client
from tests.unit.server.running import Running

USER, PASSWORD = "alice", "open sesame"


def run(argv: list[str], **variables: str) -> bytes:
    """Returns what a program prints. All environment variables that may name a proxy are removed."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        argv, capture_output=True, env={**environment, **variables}, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def proxy_of(running: Running) -> str:
    return f"{running.server.host}:{running.server.port}"


@pytest.mark.parametrize("option", ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_curl(option: str, host: str, proxy_of: str, http_server: Target) -> None:
    argv = [require("curl"), "-sS", "--noproxy", "", option, proxy_of, f"http://{host}:{http_server.port}/"]
    assert run(argv) == PAGE


@pytest.mark.parametrize("option", ["--socks5", "--socks5-hostname"])
def test_curl_with_a_password(option: str, guarded: Running, http_server: Target) -> None:
    place = f"{guarded.server.host}:{guarded.server.port}"
    argv = [require("curl"), "-sS", "--noproxy", "", option, place, http_server.url]
    assert run([*argv, "--proxy-user", f"{USER}:{PASSWORD}"]) == PAGE
    for stranger in ([], ["--proxy-user", f"{USER}:guess"]):
        assert subprocess.run([*argv, *stranger], capture_output=True, timeout=60).returncode == 97


def test_curl_over_ipv6(running: Running, http_server: Target) -> None:
    place = f"{running.server.host}:{running.server.port}"
    argv = [require("curl"), "-sS", "--noproxy", "", "--socks5", place, f"http://[::1]:{http_server.port}/"]
    assert run(argv) == PAGE


@pytest.fixture(scope="module")
def sshd() -> Iterator[tuple[int, Path]]:
    """The port of an ssh server that accepts `user_key` of the directory."""
    keygen = require("ssh-keygen")
    with servers._directory("sshd") as directory:
        for key in ("host_key", "user_key"):
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)], check=True)
        daemon = servers.Server("sshd", "127.0.0.1", free_port(), directory / "log")
        with daemon.running(servers._sshd_argv(require("sshd"), daemon, directory)):
            yield daemon.port, directory


@pytest.mark.parametrize("command", ["ncat4", "ncat5", "nc4", "nc5"])
def test_ssh_through_a_proxy_command(command: str, sshd: tuple[int, Path], proxy_of: str) -> None:
    port, directory = sshd
    proxies = {"ncat": "{} --proxy {} --proxy-type socks{} %h %p", "nc": "{} -x {} -X {} %h %p"}
    program = require("ncat") if command.startswith("ncat") else netcat()
    words = proxies[command[:-1]].format(program, proxy_of, command[-1])
    options = {
        "ProxyCommand": words,
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
    }
    argv = [require("ssh"), "-F", "none", "-i", str(directory / "user_key"), *servers._ssh_options(options)]
    argv += ["-p", str(port), f"{getpass.getuser()}@127.0.0.1", "seq 100000"]
    assert run(argv) == "".join(f"{number}\n" for number in range(1, 100_001)).encode()


def netcat() -> str:
    """The nc of OpenBSD, which has -X. ncat may be installed as nc, too."""
    for name in ("nc.openbsd", "nc"):
        with contextlib.suppress(pytest.skip.Exception, pytest.fail.Exception):
            path = require(name)
            if b"-X proxy_protocol" in subprocess.run([path, "-h"], capture_output=True).stderr:
                return path
    return unavailable("OpenBSD's netcat is not installed")


def test_git_clones(tmp_path: Path, running: Running) -> None:
    git = require("git")
    work, bare = tmp_path / "work", tmp_path / "served" / "it.git"
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    author = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    run([git, "init", "-q", str(work)], **settings)
    (work / "file").write_bytes(os.urandom(300_000))
    run([git, "-C", str(work), "add", "file"], **settings)
    run([git, "-C", str(work), "commit", "-q", "-m", "all"], **settings, **author)
    run([git, "clone", "-q", "--bare", str(work), str(bare)], **settings)
    run([git, "-C", str(bare), "update-server-info"], **settings)
    with serve(functools.partial(Quiet, directory=str(bare.parent))) as target:  # type: ignore[arg-type]
        proxy = f"http.proxy=socks5h://{running.server.host}:{running.server.port}"
        run([git, "-c", proxy, "clone", "-q", f"{target.url}/it.git", str(tmp_path / "clone")], **settings)
    assert (tmp_path / "clone" / "file").read_bytes() == (work / "file").read_bytes()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("rdns", [False, True])
def test_pysocks(version: int, rdns: bool, running: Running, echo_server: Target) -> None:
    kind = {4: socks.SOCKS4, 5: socks.SOCKS5}[version]
    with socks.socksocket() as stream:
        stream.set_proxy(kind, running.server.host, running.server.port, rdns)
        stream.connect(("localhost", echo_server.port))
        stream.sendall(b"ping")
        assert receive(stream, 4) == b"ping"


def test_pysocks_with_a_password(guarded: Running, echo_server: Target) -> None:
    with socks.socksocket() as stream:
        stream.set_proxy(socks.SOCKS5, guarded.server.host, guarded.server.port, True, USER, PASSWORD)
        stream.connect(echo_server.address)
        stream.sendall(b"ping")
        assert receive(stream, 4) == b"ping"


def test_pysocks_datagrams(running: Running) -> None:
    with socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as inner, udp_target() as target:
        inner.settimeout(10)
        inner.set_proxy(socks.SOCKS5, running.server.host, running.server.port)
        inner.sendto(b"question", target.getsockname())
        question, outside = target.recvfrom(100)
        assert question == b"question"
        target.sendto(b"answer", outside)
        assert inner.recvfrom(100) == (b"answer", target.getsockname())


@contextlib.contextmanager
def udp_target() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.settimeout(10)
        target.bind(("127.0.0.1", 0))
        yield target


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
@pytest.mark.parametrize("rdns", [False, True])
def test_python_socks(scheme: str, rdns: bool, running: Running, echo_server: Target) -> None:
    proxy = python_socks.sync.Proxy.from_url(f"{scheme}://{running.server.host}:{running.server.port}", rdns=rdns)
    with proxy.connect("localhost", echo_server.port, timeout=10) as stream:
        stream.sendall(b"ping")
        assert receive(stream, 4) == b"ping"


def test_python_socks_in_asyncio_with_a_password(guarded: Running, echo_server: Target) -> None:
    async def talk() -> bytes:
        url = f"socks5://{USER}:{PASSWORD.replace(' ', '%20')}@{guarded.server.host}:{guarded.server.port}"
        stream = await python_socks.async_.asyncio.Proxy.from_url(url).connect(*echo_server.address, timeout=10)
        reader, writer = await asyncio.open_connection(sock=stream)
        writer.write(b"ping")
        answer = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return bytes(answer)

    assert asyncio.run(talk()) == b"ping"


@pytest.mark.parametrize("version", ["socks4", "socks5"])
def test_proxychains(version: str, tmp_path: Path, running: Running, http_server: Target) -> None:
    config = tmp_path / "proxychains.conf"
    config.write_text(f"strict_chain\nproxy_dns\n[ProxyList]\n{version} {running.server.host} {running.server.port}\n")
    argv = [require("proxychains4"), "-q", "-f", str(config), require("curl"), "-sS", http_server.url]
    assert run(argv) == PAGE
    assert running.report().target == f"127.0.0.1:{http_server.port}"


def test_dantes_socksify(
    tmp_path: Path, running: Running, http_server: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its library is used: its command has the name of ours. It would reach a loopback address directly."""
    libraries = glob.glob("/usr/lib/*/libdsocksd.so*") + glob.glob("/usr/lib*/libdsocks.so*")
    library = libraries[0] if libraries else unavailable("Dante's client library is not installed")
    config = tmp_path / "socks.conf"
    config.write_text(
        f"resolveprotocol: fake\nroute {{ from: 0/0 to: . via: {running.server.host} port = {running.server.port}\n"
        "proxyprotocol: socks_v5\nprotocol: tcp\ncommand: connect\n}\n"
    )
    monkeypatch.setattr(resolver, "look_up", lambda name: [(socket.AF_INET, ("127.0.0.1", name.port))])
    url = f"http://only.the.proxy.knows.example:{http_server.port}/"
    argv = [require("curl"), "-4", "-sS", "--max-time", "20", url]
    assert run(argv, LD_PRELOAD=library, SOCKS_CONF=str(config)) == PAGE
    assert running.report().target == f"only.the.proxy.knows.example:{http_server.port}"


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_ours(scheme: str, running: Running, echo_server: Target) -> None:
    proxy = f"{scheme}://{running.server.host}:{running.server.port}"
    route = f"127.0.0.1:{echo_server.port}=proxy"
    program = PROGRAMS / "stream.py"
    argv = [sys.executable, "-m", "socksify", "--proxy", proxy, "--route", route, str(program)]
    assert run([*argv, "AF_INET", *map(str, echo_server.address)]) == b"hello\n"
    assert running.report().target == f"127.0.0.1:{echo_server.port}"


def test_literals_that_come_as_names_as_torsocks_sends_them(running: Running, echo_server: Target) -> None:
    for host in ("127.0.0.1", "::1"):
        stream = running.connect()
        port = echo_server.port.to_bytes(2)
        stream.sendall(client.GREETING + b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + port + b"ping")
        assert receive(stream, 2) == b"\x05\x00"
        assert client.reply(stream, 5)[0] == 0
        assert receive(stream, 4) == b"ping"
