"""rftp in a network in which the server reaches the proxy, but not the client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import socksify
from tests.support.ftpd import PASSWORD, USER, Ftpd, vsftpd
from tests.support.network import separated
from tests.support.network.separated import NAME, SERVER, SERVER6, SeparatedNetwork
from tests.unit.clients.rftp.runs import knows

DATA = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def network() -> Iterator[SeparatedNetwork]:
    with separated.separated_network() as network:
        yield network


@pytest.fixture(scope="module")
def ftpds(network: SeparatedNetwork) -> Iterator[dict[str, Ftpd]]:
    """FTP servers by host. Their ports are not FTP's own."""
    with ExitStack() as stack, network.server.inside():
        servers = {host: stack.enter_context(vsftpd("", host)) for host in (SERVER, SERVER6)}
        yield {**servers, NAME: servers[SERVER]}


@pytest.mark.parametrize("mode", ["active", "passive"])
@pytest.mark.parametrize("tls", [[], ["--tls", "--no-verify"]], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("scheme", "host"), [("socks5h", NAME), ("socks5", SERVER), ("socks5", SERVER6), ("socks4", SERVER)]
)
def test_there_and_back(
    network: SeparatedNetwork, ftpds: dict[str, Ftpd], home: Path, scheme: str, host: str, mode: str, tls: list[str]
) -> None:
    ftpd = ftpds[host]
    ftpd.clear()
    knows(home, host, USER, PASSWORD)
    (home / "here").write_bytes(DATA)
    # The command that enters a namespace does not keep the working directory.
    commands = f"lcd {home}; {mode}; put here; ls; get here back; mget h*; append here"
    options = ["--proxy", network.url(scheme), *tls, "-c", commands]
    words = [sys.executable, "-m", "socksify.clients.rftp", *options, f"{USER}@{host}", str(ftpd.port)]
    environment = {"HOME": str(home), "PYTHONPATH": str(Path(socksify.__file__).parents[1])}
    done = subprocess.run(network.client.command(*words), capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert (home / "back").read_bytes() == DATA
    assert (ftpd.home / "here").read_bytes() == DATA * 2
