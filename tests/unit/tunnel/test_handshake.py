"""Exactly the proxy's bytes are taken from the socket: what comes glued to its reply is the client's."""

from __future__ import annotations

import socket

import pytest

from tests.support.bad_proxy import BadProxy, Script, Session
from tests.support.certificates import Certificates
from tests.support.routing import routed
from tests.support.steps import (
    HANG,
    READ_GREETING,
    READ_HTTP,
    READ_REQUEST,
    READ_SOCKS4,
    Send,
    http_reply,
    socks4_reply,
)

ANYWHERE = ("*=proxy",)
BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
NAMES = [b"", b"x", b"name.example", b"n" * 255]
SOCKS5_REPLIES = {
    "IPv4": b"\x05\0\0\x01\xc0\0\x02\x09\x30\x39",
    "IPv6": b"\x05\0\0\x04" + bytes(15) + b"\x01\x30\x39",
    **{f"a name of {len(name)}": b"\x05\0\0\x03" + bytes([len(name)]) + name + b"\x30\x39" for name in NAMES},
}
HTTP_REPLIES = {
    "plain": http_reply(200),
    "bare": b"HTTP/1.0 200\r\n\r\n",
    "line feeds": b"HTTP/1.1 200 OK\nVia: x\n\n",
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 Fine\r\n\r\n",
    "as long as a piece": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (4096 - 25) + b"\r\n\r\n",
    "the empty line across two pieces": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (4096 - 22) + b"\r\n\r\n",
    "63 KiB": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (63 * 1024) + b"\r\n\r\n",
}
SOCKS5 = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST]
GLUED = [
    *(pytest.param("socks5h", SOCKS5, reply, id=f"socks5h-{name}") for name, reply in SOCKS5_REPLIES.items()),
    *(pytest.param(scheme, [READ_SOCKS4], socks4_reply(90), id=scheme) for scheme in ("socks4", "socks4a")),
    *(pytest.param("http", [READ_HTTP], reply, id=f"http-{name}") for name, reply in HTTP_REPLIES.items()),
]


@pytest.mark.parametrize("timeout", [None, 5.0], ids=["blocking", "timeout"])
@pytest.mark.parametrize(("scheme", "asked", "reply"), GLUED)
def test_a_banner_glued_to_the_reply_is_the_clients(
    scheme: str, asked: Script, reply: bytes, timeout: float | None
) -> None:
    with (
        BadProxy([*asked, Send(reply + BANNER), HANG]) as proxy,
        routed(proxy.url(scheme), routes=ANYWHERE),
        socket.socket() as sock,
    ):
        sock.settimeout(timeout)
        sock.connect(("203.0.113.5", 22))
        sock.settimeout(10)
        assert sock.recv(len(BANNER), socket.MSG_WAITALL) == BANNER
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


def test_two_hops_and_a_banner_may_come_in_one_segment() -> None:
    """The first proxy has read ahead: the answers of the second come glued to its own."""
    second = b"\x05\0", SOCKS5_REPLIES["a name of 1"] + BANNER
    script: Script = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(SOCKS5_REPLIES["IPv6"] + second[0])]
    with (
        BadProxy([*script, READ_GREETING, READ_REQUEST, Send(second[1]), HANG]) as proxy,
        routed(proxy.url(), "socks5h://203.0.113.9:1080", routes=ANYWHERE),
        socket.socket() as sock,
    ):
        sock.settimeout(10)
        sock.connect(("203.0.113.5", 22))
        assert sock.recv(len(BANNER), socket.MSG_WAITALL) == BANNER


@pytest.mark.parametrize("reply", SOCKS5_REPLIES)
def test_the_address_in_the_reply_is_what_getsockname_tells(reply: str) -> None:
    script: Script = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(SOCKS5_REPLIES[reply]), HANG]
    with BadProxy(script) as proxy, routed(proxy.url(), routes=ANYWHERE), socket.socket() as sock:
        sock.settimeout(10)
        sock.connect(("203.0.113.5", 22))
        host, port = sock.getsockname()
        # A name, or an address of another family, is none that the socket could have.
        assert host == {"IPv4": "192.0.2.9", "IPv6": "0.0.0.0"}.get(reply, "127.0.0.1")
        assert port == 12345 or reply not in ("IPv4", "IPv6")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ca"))


def test_tls_of_a_target_that_speaks_first_gets_every_byte(certificates: Certificates) -> None:
    """As SMTP with STARTTLS, or a TLS server that answers a client's early hello: a plain line, then TLS."""

    def serve(session: Session) -> None:
        with certificates.server().wrap_socket(session.stream, server_side=True, suppress_ragged_eofs=True) as tls:
            tls.sendall(tls.recv(4))

    script: Script = [
        READ_GREETING,
        Send(b"\x05\0"),
        READ_REQUEST,
        Send(SOCKS5_REPLIES["IPv4"] + b"220 ready\r\n"),
        serve,
    ]
    with BadProxy(script) as proxy, routed(proxy.url(), routes=ANYWHERE), socket.socket() as sock:
        sock.settimeout(10)
        sock.connect(("203.0.113.5", 25))
        assert sock.recv(11, socket.MSG_WAITALL) == b"220 ready\r\n"
        with certificates.client().wrap_socket(sock, server_hostname="target.example") as tls:
            tls.sendall(b"ping")
            assert tls.recv(4) == b"ping"
