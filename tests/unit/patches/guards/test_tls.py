"""TLS over a tunnel: wrapped before or after connect(), by hand or by asyncio; the certificate is checked as ever."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

import socksify
from tests.support.bad_proxy import BadProxy
from tests.support.certificates import Certificates
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.stepping import TARGET, stepping
from tests.support.steps import HANG, READ_GREETING, good, trickled
from tests.support.targets import Server4


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def address(certificates: Certificates) -> Iterator[tuple[str, int]]:
    """An echo server behind TLS."""
    context = certificates.server()

    class Secure(Server4):
        def finish_request(self, request: object, _: object) -> None:
            with contextlib.suppress(OSError), context.wrap_socket(request, server_side=True) as stream:  # type: ignore[arg-type]
                while data := stream.recv(65536):
                    stream.sendall(data)
                stream.unwrap().close()

    with Secure(("127.0.0.1", 0), object) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield "127.0.0.1", server.server_address[1]
        server.shutdown()
        thread.join(10)


def speaks(stream: ssl.SSLSocket) -> bool:
    stream.sendall(b"ping")
    return stream.recv(4) == b"ping"


@pytest.mark.parametrize("timeout", [None, 10.0], ids=["blocking", "timeout"])
def test_wrapped_before_connect(
    timeout: float | None, proxy: Server, certificates: Certificates, address: tuple[str, int]
) -> None:
    with (
        routed(proxy.url()),
        certificates.client().wrap_socket(socket.socket(), server_hostname="target.example") as stream,
    ):
        stream.settimeout(timeout)
        stream.connect(address)
        assert type(stream) is ssl.SSLSocket
        assert stream.getpeername() == address
        assert stream.version() == "TLSv1.3"
        assert speaks(stream)
        with pytest.raises(ValueError, match="already-connected"):
            stream.connect(address)


def test_wrapped_after_connect(proxy: Server, certificates: Certificates, address: tuple[str, int]) -> None:
    with (
        routed(proxy.url()),
        socket.create_connection(address, timeout=10) as sock,
        certificates.client().wrap_socket(sock, server_hostname="localhost") as stream,
    ):
        assert sock.fileno() == -1
        assert stream.getpeername() == address
        assert speaks(stream)
        stream.shutdown(socket.SHUT_WR)


def test_connect_ex_of_a_wrapped_socket(certificates: Certificates, address: tuple[str, int]) -> None:
    with BadProxy(good("socks5h", reply=5), good("socks5h")) as proxy, routed(proxy.url()):
        for number in (111, 0):
            with certificates.client().wrap_socket(socket.socket(), server_hostname="target.example") as stream:
                assert stream.connect_ex(address) == number
                assert number or speaks(stream)


def test_a_failed_wrapped_socket_connects_the_second_time(certificates: Certificates, address: tuple[str, int]) -> None:
    with (
        BadProxy(good("socks5h", reply=5), good("socks5h")) as proxy,
        routed(proxy.url()),
        certificates.client().wrap_socket(socket.socket(), server_hostname="target.example") as stream,
    ):
        with pytest.raises(ConnectionRefusedError):
            stream.connect(address)
        assert isinstance(socksify.last_error(stream), ConnectionRefusedError)
        stream.connect(address)
        assert speaks(stream)


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_another_hosts_certificate_is_refused(
    before: bool, microsocks: Server, certificates: Certificates, address: tuple[str, int]
) -> None:
    context = certificates.client()
    with routed(microsocks.url()), socket.socket() as sock, contextlib.ExitStack() as stack:
        sock.settimeout(10)
        if not before:
            sock.connect(address)
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            stream = stack.enter_context(context.wrap_socket(sock, server_hostname="other.example"))
            stream.connect(address)
        assert "other.example" in str(caught.value)


def test_unwrap_gives_back_the_plain_connection(
    microsocks: Server, certificates: Certificates, address: tuple[str, int]
) -> None:
    with routed(microsocks.url()), socket.create_connection(address, timeout=10) as sock:
        stream = certificates.client().wrap_socket(sock, server_hostname="target.example")
        assert speaks(stream)
        with stream.unwrap() as plain:
            assert plain.getpeername() == address
            assert type(plain) is ssl.SSLSocket


def test_a_wrapped_socket_connects_without_blocking(certificates: Certificates, address: tuple[str, int]) -> None:
    """As event loops written by hand do: connect, wait until it can be written to, shake hands."""
    context = certificates.client()
    with (
        BadProxy(good("socks5h")) as proxy,
        routed(proxy.url()),
        context.wrap_socket(socket.socket(), server_hostname="target.example", do_handshake_on_connect=False) as stream,
    ):
        stream.setblocking(False)
        assert stream.connect_ex(address) == errno.EINPROGRESS
        assert isinstance(stream, ssl.SSLSocket)
        assert select.select([], [stream], [], 10) == ([], [stream], [])
        assert type(stream) is ssl.SSLSocket
        stream.settimeout(10)
        stream.do_handshake()
        assert stream.getpeername() == address
        assert speaks(stream)


@pytest.fixture
def unconnected(certificates: Certificates) -> Iterator[ssl.SSLSocket]:
    """Wrapped before connect(), and not blocking."""
    context = certificates.client()
    with context.wrap_socket(
        socket.socket(), server_hostname="target.example", do_handshake_on_connect=False
    ) as stream:
        stream.setblocking(False)
        yield stream


def test_who_writes_while_it_connects_is_told_to_wait(unconnected: ssl.SSLSocket) -> None:
    with stepping(), unconnected:
        assert unconnected.connect_ex(TARGET) == errno.EINPROGRESS
        calls = (lambda: unconnected.write(b"x"), unconnected.read, lambda: unconnected.send(b"x"))
        for call in (*calls, lambda: unconnected.recv(1), lambda: unconnected.recv_into(bytearray(1))):
            with pytest.raises(ssl.SSLWantWriteError) as caught:
                call()
            assert caught.value.errno == ssl.SSL_ERROR_WANT_WRITE


def test_a_loop_that_tries_and_waits_for_what_ssl_wants(unconnected: ssl.SSLSocket, address: tuple[str, int]) -> None:
    def until_done(call: Callable[[], object]) -> object:
        for _ in range(100):
            try:
                return call()
            except ssl.SSLWantWriteError:
                assert select.select([], [unconnected], [], 10)[1]
            except ssl.SSLWantReadError:
                assert select.select([unconnected], [], [], 10)[0]
        raise AssertionError("it goes round and round")

    with BadProxy(trickled(good("socks5"))) as proxy, routed(proxy.url()), unconnected:
        assert unconnected.connect_ex(address) == errno.EINPROGRESS
        assert until_done(lambda: unconnected.send(b"ping")) == 4
        assert until_done(lambda: unconnected.recv(4)) == b"ping"


def test_a_handshake_on_a_socket_that_never_connects_fails(certificates: Certificates) -> None:
    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url(), connect_timeout=0.2), socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", 443))
        context = certificates.client()
        with context.wrap_socket(sock, server_hostname="target.example", do_handshake_on_connect=False) as stream:
            stream.settimeout(10)
            with pytest.raises(OSError):
                stream.do_handshake()


def test_asyncio(proxy: Server, certificates: Certificates, address: tuple[str, int]) -> None:
    async def talk() -> object:
        context = certificates.client()
        reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="target.example")
        writer.write(b"ping")
        answer = await reader.readexactly(4)
        peer = writer.get_extra_info("peername")
        writer.close()
        await writer.wait_closed()
        return answer, peer

    with routed(proxy.url()):
        assert asyncio.run(asyncio.wait_for(talk(), 20)) == (b"ping", address)


def test_asyncio_refuses_another_hosts_certificate(
    microsocks: Server, certificates: Certificates, address: tuple[str, int]
) -> None:
    async def talk() -> None:
        await asyncio.open_connection(*address, ssl=certificates.client(), server_hostname="other.example")

    with routed(microsocks.url()), pytest.raises(ssl.SSLCertVerificationError):
        asyncio.run(asyncio.wait_for(talk(), 20))


def test_asyncio_starts_tls_in_the_middle(
    microsocks: Server, certificates: Certificates, address: tuple[str, int]
) -> None:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        await writer.start_tls(certificates.client(), server_hostname="target.example")
        writer.write(b"ping")
        answer = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return answer

    with routed(microsocks.url()):
        assert asyncio.run(asyncio.wait_for(talk(), 20)) == b"ping"
