"""FTP's active mode, in which the server calls back: the standard library's client, danted and our sockd, and vsftpd.

The server reaches the proxy and not the client, so a data connection that comes about came through BIND.
"""

from __future__ import annotations

import ftplib
import io
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.ftpd import PASSWORD, USER, Ftpd, vsftpd
from tests.support.network import separated
from tests.support.network.separated import EVERYWHERE, NAME, SERVER, SERVER6, SeparatedNetwork
from tests.support.paths import ROOT
from tests.support.routing import routed
from tests.support.servers import Server

CLIENTS = ROOT / "tests/programs"
SECONDS = 20
# Python's client does not resume the control connection's TLS session for the data.
OPTIONS = "require_ssl_reuse=NO\n"
WAYS = {
    "socks5, an address": ("socks5", SERVER),
    "socks5h, a name": ("socks5h", NAME),
    "socks4": ("socks4", SERVER),
    "socks5, IPv6": ("socks5", SERVER6),
    "socks4a, a name": ("socks4a", NAME),
}
PROXIES = ("danted", "sockd")
DATA = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def network() -> Iterator[SeparatedNetwork]:
    with separated.separated_network() as network:
        yield network


@pytest.fixture(scope="module")
def proxies(network: SeparatedNetwork) -> Iterator[dict[str, Server]]:
    with separated.sockd(network.proxy) as sockd:
        yield {"danted": network.danted, "sockd": sockd}


@pytest.fixture(scope="module")
def ftpds(network: SeparatedNetwork) -> Iterator[dict[str, Ftpd]]:
    """By the host that a client asks for."""
    with ExitStack() as stack:
        with network.server.inside():
            servers = {host: stack.enter_context(vsftpd(OPTIONS, host, 21)) for host in (SERVER, SERVER6)}
        yield {**servers, NAME: servers[SERVER]}


def through(*schemes: str) -> list[tuple[str, str]]:
    """Each proxy with each scheme that it speaks: danted refuses 4A."""
    return [(proxy, scheme) for proxy in PROXIES for scheme in schemes if (proxy, scheme) != ("danted", "socks4a")]


def ways(*names: str) -> pytest.MarkDecorator:
    """For tests that these ways are enough for."""
    each = [(f"{proxy}-{name}", (proxy, *WAYS[name])) for name in names for proxy, _ in through(WAYS[name][0])]
    return pytest.mark.parametrize("way", [way for _, way in each], ids=[name for name, _ in each])


every_way = ways(*WAYS)
once = ways("socks5, an address")


@pytest.fixture
def host(
    network: SeparatedNetwork, proxies: dict[str, Server], ftpds: dict[str, Ftpd], way: tuple[str, str, str]
) -> Iterator[str]:
    """The server as one of the ways names it; the test runs at the client's place, its connections routed."""
    proxy, scheme, host = way
    ftpds[host].clear()
    with network.client.inside(), routed(proxies[proxy].url(scheme), routes=EVERYWHERE):
        yield host


@pytest.fixture
def ftp(host: str) -> Iterator[ftplib.FTP]:
    with ftplib.FTP(host, USER, PASSWORD, timeout=SECONDS) as ftp:
        ftp.set_pasv(False)
        yield ftp


def download(ftp: ftplib.FTP, name: str, rest: int | None = None) -> bytes:
    pieces: list[bytes] = []
    ftp.retrbinary(f"RETR {name}", pieces.append, rest=rest)
    return b"".join(pieces)


def test_the_server_cannot_reach_the_client(network: SeparatedNetwork) -> None:
    ping = ["ping", "-c1", "-W1", separated.CLIENT]
    assert subprocess.run(network.server.command(*ping), capture_output=True, timeout=30).returncode != 0


@every_way
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_up_down_and_listings(ftp: ftplib.FTP, passive: bool) -> None:
    ftp.set_pasv(passive)
    ftp.storbinary("STOR data", io.BytesIO(DATA))
    assert download(ftp, "data") == DATA
    assert ftp.nlst() == ["data"]
    lines: list[str] = []
    ftp.dir(lines.append)
    assert [line.split()[4] for line in lines] == [str(len(DATA))]
    ftp.storlines("STOR text", io.BytesIO(b"one\ntwo\n"))
    read: list[str] = []
    ftp.retrlines("RETR text", read.append)
    assert read == ["one", "two"]


@every_way
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_tls_on_both_connections(host: str, ftpds: dict[str, Ftpd], passive: bool) -> None:
    context: ssl.SSLContext = ftpds[host].certificates.client()
    # It was made for another name.
    context.check_hostname = False
    with ftplib.FTP_TLS(host, USER, PASSWORD, context=context, timeout=SECONDS) as ftp:
        ftp.prot_p()
        ftp.set_pasv(passive)
        ftp.storbinary("STOR data", io.BytesIO(DATA))
        assert download(ftp, "data") == DATA
        assert ftp.nlst() == ["data"]


@ways("socks5, an address", "socks4", "socks4a, a name")
def test_twenty_transfers_in_a_row(ftp: ftplib.FTP) -> None:
    for number in range(20):
        data = DATA[: number * 1000]
        ftp.storbinary("STOR data", io.BytesIO(data))
        assert download(ftp, "data") == data


@once
def test_rest(ftp: ftplib.FTP) -> None:
    ftp.storbinary("STOR data", io.BytesIO(DATA[:1000]))
    ftp.storbinary("STOR data", io.BytesIO(DATA[1000:]), rest=1000)
    assert download(ftp, "data", rest=999) == DATA[999:]


@ways("socks5, an address", "socks4", "socks4a, a name")
def test_abort(ftp: ftplib.FTP, host: str, ftpds: dict[str, Ftpd]) -> None:
    os.truncate(ftpds[host].give("endless", b""), 1 << 33)
    ftp.voidcmd("TYPE I")
    with ftp.transfercmd("RETR endless") as data:
        assert data.recv(1000) == bytes(1000)
        # What ftplib's abort() does, with the data connection closed first: the server is busy writing to it.
        data.close()
    ftp.putline("ABOR")
    answers = {ftp.getmultiline()[:3], ftp.getmultiline()[:3]}
    assert "426" in answers and answers & {"225", "226"}
    ftp.storbinary("STOR data", io.BytesIO(DATA))
    assert download(ftp, "data") == DATA


@once
def test_abort_as_ftplib_does(ftp: ftplib.FTP, host: str, ftpds: dict[str, Ftpd]) -> None:
    ftpds[host].give("small", b"x" * 10)
    ftp.voidcmd("TYPE I")
    with ftp.transfercmd("RETR small"):
        assert ftp.abort()[:3] in ("225", "226", "426")


@once
def test_a_refused_transfer_leaves_nothing_behind(ftp: ftplib.FTP) -> None:
    for _ in range(3):
        with pytest.raises(ftplib.error_perm, match="550"):
            download(ftp, "nothing-of-that-name")
    ftp.storbinary("STOR data", io.BytesIO(DATA))
    assert download(ftp, "data") == DATA


@ways("socks5, an address", "socks4", "socks4a, a name")
def test_many_clients_at_once_in_threads(host: str) -> None:
    outcomes: list[object] = []

    def run(number: int) -> None:
        try:
            with ftplib.FTP(host, USER, PASSWORD, timeout=SECONDS) as ftp:
                ftp.set_pasv(False)
                for _ in range(3):
                    ftp.storbinary(f"STOR {number}", io.BytesIO(DATA[number:]))
                    outcomes.append(download(ftp, str(number)) == DATA[number:])
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert outcomes == [True] * 18


# For anybody our sockd listens where the client reaches it, and there the server does not.
@pytest.mark.parametrize("way", [("danted", *WAYS["socks5h, a name"])])
def test_several_servers_from_one_thread(host: str, ftpds: dict[str, Ftpd]) -> None:
    """A listener that may be for any of several connections is open to all of them."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(ftplib.FTP(name, USER, PASSWORD, timeout=SECONDS)) for name in (host, SERVER, SERVER6)
        ]
        for number, ftp in enumerate([*clients, *clients]):
            ftp.set_pasv(False)
            ftp.storbinary(f"STOR {number}", io.BytesIO(DATA))
            assert download(ftp, str(number)) == DATA
    assert sorted(path.name for path in ftpds[host].home.iterdir()) == ["0", "1", "3", "4"]
    ftpds[SERVER6].clear()


@pytest.fixture
def url(proxies: dict[str, Server], proxy: str, scheme: str) -> str:
    return proxies[proxy].url(scheme)


def run(network: SeparatedNetwork, argv: list[str]) -> subprocess.CompletedProcess[str]:
    """A program at the client's place."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(network.client.command(*argv), capture_output=True, text=True, timeout=60, env=environ)


@pytest.mark.parametrize(("proxy", "scheme"), through("socks5h", "socks4"))
def test_an_unmodified_program_is_launched(network: SeparatedNetwork, ftpds: dict[str, Ftpd], url: str) -> None:
    ftpds[SERVER].clear()
    launched = [sys.executable, "-m", "socksify", "--proxy", url]
    done = run(network, [*launched, str(CLIENTS / "ftp_active.py"), SERVER, USER, PASSWORD])
    assert (done.returncode, done.stdout, done.stderr) == (0, "greeting.txt\nhello from the client\n", "")


@pytest.mark.parametrize(("proxy", "scheme"), through("socks5h", "socks4"))
def test_twisted(network: SeparatedNetwork, ftpds: dict[str, Ftpd], url: str) -> None:
    """It asks its port for its name before it listens, and again after."""
    ftpds[SERVER].clear()
    launched = [sys.executable, "-m", "socksify", "--proxy", url]
    done = run(network, [*launched, str(CLIENTS / "twisted_ftp.py"), SERVER, USER, PASSWORD])
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello from twisted\n", "")


@pytest.mark.parametrize("kind", ["blocking", "nonblocking"])
@pytest.mark.parametrize(("proxy", "scheme"), through("socks5", "socks4", "socks4a"))
def test_the_originals_contract(
    network: SeparatedNetwork, ftpds: dict[str, Ftpd], url: str, scheme: str, kind: str
) -> None:
    """A client that does literally what the original's documentation asks for."""
    ftpds[SERVER].clear()
    ftpds[SERVER].give("data", b"by the contract\n")
    launched = [sys.executable, "-m", "socksify", "--proxy", url, "--bind", "always"]
    host = NAME if scheme == "socks4a" else SERVER
    done = run(network, [*launched, str(CLIENTS / "contract.py"), host, "21", kind, "data"])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{SERVER}\nby the contract\n", "")


def test_without_bind_the_server_calls_in_vain(network: SeparatedNetwork, ftpds: dict[str, Ftpd]) -> None:  # noqa: ARG001
    """What shows that the tests above can fail."""
    launched = [sys.executable, "-m", "socksify", "--proxy", network.url("socks5h"), "--bind", "never"]
    done = run(network, [*launched, str(CLIENTS / "ftp_active.py"), SERVER, USER, PASSWORD])
    assert done.returncode == 1
    assert "ftplib.error_perm: 500 Illegal PORT command" in done.stderr or "425" in done.stderr
