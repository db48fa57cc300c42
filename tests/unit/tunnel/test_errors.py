"""Each reply of each protocol is an errno, the builtin class that goes with it, and a story without a password."""

from __future__ import annotations

import errno
import os
import pickle
import socket
from pathlib import Path

import pytest

import socksify
from socksify.tunnel import errors
from tests.support.bad_proxy import BadProxy
from tests.support.processes import free_port
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import (
    CLOSE,
    READ_CREDENTIALS,
    READ_GREETING,
    READ_HTTP,
    READ_REQUEST,
    READ_SOCKS4,
    Send,
    good,
    socks4_reply,
)
from tests.support.targets import Target

TARGET = ("203.0.113.5", 80)
ANYWHERE = ("*=proxy",)

SOCKS5 = {
    1: errno.ECONNREFUSED,
    2: errno.EACCES,
    3: errno.ENETUNREACH,
    4: errno.EHOSTUNREACH,
    5: errno.ECONNREFUSED,
    6: errno.ETIMEDOUT,
    7: errno.EOPNOTSUPP,
    8: errno.EAFNOSUPPORT,
}
HTTP = {401: errno.EACCES, 403: errno.EACCES, 407: errno.EACCES}
HTTP |= {502: errno.EHOSTUNREACH, 503: errno.EHOSTUNREACH, 504: errno.ETIMEDOUT}
REPLIES = [
    *(("socks4", code, errno.ECONNREFUSED) for code in (91, 92, 93, 0, 1, 89, 255)),
    *(("socks4a", code, errno.ECONNREFUSED) for code in (91, 92, 93)),
    *(("socks5h", code, SOCKS5.get(code, errno.ECONNREFUSED)) for code in (*SOCKS5, 9, 90, 255)),
    *(("http", code, HTTP.get(code, errno.ECONNREFUSED)) for code in (*HTTP, 101, 301, 400, 404, 500, 999)),
]


def failure(*urls: str, target: tuple[str, int] = TARGET) -> socksify.ProxyError:
    with routed(*urls, routes=ANYWHERE), socket.socket() as sock, pytest.raises(socksify.ProxyError) as caught:
        sock.connect(target)
    return caught.value


def builtin(number: int) -> type:
    """The class that the builtin OSError makes of an errno."""
    return type(OSError(number, os.strerror(number)))


def test_every_reply_is_an_errno_and_its_builtin_class() -> None:
    scripts = {(scheme, code): good(scheme, reply=code) for scheme, code, _ in REPLIES}
    for scheme, code, number in REPLIES:
        with BadProxy(scripts[scheme, code]) as proxy:
            error = failure(proxy.url(scheme))
        assert (error.errno, error.reply) == (number, code), (scheme, code)
        assert isinstance(error, builtin(number)), (scheme, code)
        assert (error.proxy, error.target, error.hop) == (proxy.url(scheme), "203.0.113.5:80", 1)
        assert str(code) in str(error)
        assert proxy.url(scheme) in str(error)
        assert error.args == (error.errno, error.strerror)


def test_port_0_is_refused_as_a_kernel_refuses_it(danted: Server) -> None:
    """danted says that it is no address."""
    error = failure(danted.url(), target=("127.0.0.1", 0))
    assert (error.errno, error.reply) == (errno.ECONNREFUSED, 8)


@pytest.mark.parametrize(
    ("script", "reply"),
    [
        ([READ_GREETING, Send(b"\x05\xff"), CLOSE], 255),
        ([READ_GREETING, Send(b"\x05\x02"), READ_CREDENTIALS, Send(b"\x01\x01"), CLOSE], 1),
        ([READ_GREETING, Send(b"\x05\x02"), READ_CREDENTIALS, Send(b"\x01\xff"), CLOSE], 255),
    ],
    ids=["no method", "wrong password", "wrong password, 255"],
)
def test_authentication_refused_is_a_permission_error(script: list[object], reply: int) -> None:
    with BadProxy(script) as proxy:  # type: ignore[arg-type]
        error = failure(f"socks5h://alice:open%20sesame@127.0.0.1:{proxy.port}")
    assert isinstance(error, PermissionError)
    assert (error.errno, error.reply) == (errno.EACCES, reply)
    assert_no_password(error)


def assert_no_password(error: BaseException | None) -> None:
    while error is not None:
        for text in (str(error), repr(error), repr(vars(error))):
            assert "sesame" not in text
            assert "b3Blbi" not in text
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_no_failure_tells_the_password(scheme: str) -> None:
    with BadProxy(good(scheme, reply=403 if scheme == "http" else 2)) as proxy:
        error = failure(f"{scheme}://alice:open%20sesame@127.0.0.1:{proxy.port}")
    assert "alice" in str(error)
    assert error.proxy is not None
    assert error.proxy.endswith(f"@127.0.0.1:{proxy.port}")
    assert_no_password(error)


def test_a_proxy_that_is_not_there_is_named() -> None:
    port = free_port()
    error = failure(f"socks5h://127.0.0.1:{port}")
    assert type(error) is socksify.ProxyConnectionRefusedError
    assert (error.hop, error.reply) == (1, None)
    assert f"127.0.0.1:{port}" in str(error)
    assert "the proxy itself cannot be reached" in str(error)


def test_a_proxy_that_has_no_address_is_unreachable() -> None:
    error = failure("socks5h://no-such-proxy.invalid:1080")
    assert (error.errno, error.hop, error.reply) == (errno.EHOSTUNREACH, 1, None)
    assert isinstance(error.__cause__, socket.gaierror)


def test_a_unix_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = failure(f"socks5h://localhost{tmp_path}/none")
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT
    assert f"{tmp_path}/none" in str(error)


def test_the_second_hop_is_named_by_its_own_url() -> None:
    with BadProxy(good("socks5h", reply=2)) as second, BadProxy(good("socks5h")) as first:
        error = failure(first.url(), second.url())
    assert (error.errno, error.hop, error.reply, error.proxy) == (errno.EACCES, 2, 2, second.url())
    assert error.target == "203.0.113.5:80"


def test_a_chain_that_breaks_at_its_first_hop_names_the_first() -> None:
    with BadProxy(good("socks5h", reply=5)) as first:
        error = failure(first.url(), "socks5h://203.0.113.9:1080")
    assert (error.errno, error.hop, error.reply, error.proxy) == (errno.ECONNREFUSED, 1, 5, first.url())


def test_what_a_proxy_has_no_words_for_is_refused_before_anything_is_sent() -> None:
    with BadProxy([READ_SOCKS4, Send(socks4_reply(90)), CLOSE]) as proxy:
        with (
            routed(proxy.url("socks4"), routes=ANYWHERE),
            socket.socket(socket.AF_INET6) as sock,
            pytest.raises(socksify.ProxyError) as caught,
        ):
            sock.connect(("2001:db8::1", 80))
        assert not proxy.sessions
    assert caught.value.errno == errno.EAFNOSUPPORT
    assert caught.value.reply is None
    assert "[2001:db8::1]:80" in str(caught.value)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN])
def test_a_broken_connection_is_a_reset_however_it_shows(number: int) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url(), routes=ANYWHERE):
        from socksify.patches import scope

        route = scope.current().router.decide(socket.AF_INET, TARGET)
    error = errors.broken(OSError(number, os.strerror(number)), route, 1)  # type: ignore[arg-type]
    assert type(error) is socksify.ProxyConnectionResetError
    assert error.errno == errno.ECONNRESET


def test_a_rule_that_blocks_is_a_permission_error() -> None:
    with BadProxy(good("socks5h")) as proxy:
        with routed(proxy.url(), routes=("203.0.113.0/24=block",)), socket.socket() as sock:
            with pytest.raises(socksify.ProxyPermissionError) as caught:
                sock.connect(TARGET)
            assert sock.connect_ex(TARGET) == errno.EACCES
        assert not proxy.sessions
    assert caught.value.errno == errno.EACCES
    assert "203.0.113.0/24=block" in str(caught.value)
    assert caught.value.target == "203.0.113.5:80"


def test_the_cause_is_the_protocols_error() -> None:
    with BadProxy([READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(b"no"), CLOSE]) as proxy:
        error = failure(proxy.url())
    assert type(error.__cause__).__name__ == "Closed"
    assert "awaiting the reply" in str(error)


def test_an_error_can_be_pickled() -> None:
    with BadProxy(good("socks5h", reply=2)) as proxy:
        error = failure(proxy.url())
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args, vars(copy)) == (type(error), error.args, vars(error))


def test_a_raised_error_keeps_no_frame_of_ours_but_the_last() -> None:
    """A traceback that is kept for last_error() would keep the client's socket from being collected."""
    with BadProxy(good("socks5h", reply=2)) as proxy, routed(proxy.url(), routes=ANYWHERE), socket.socket() as sock:
        with pytest.raises(PermissionError):
            sock.connect(TARGET)
        kept = socksify.last_error(sock)
        assert kept is not None
        assert kept.__traceback__ is None
        assert kept.__cause__ is not None
        assert kept.__cause__.__traceback__ is None


def http_answer(*fields: str, status: int = 407) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} No", "Server: x", *fields, "", ""]).encode()


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (['Proxy-Authenticate: Digest realm="a, Basic b", nonce="x=", qop="auth,auth-int"'], "Digest"),
        (["Proxy-Authenticate: NTLM"], "NTLM"),
        (["proxy-authenticate:Negotiate", "Proxy-Authenticate: NTLM"], "Negotiate or NTLM"),
        (["Proxy-Authenticate: Negotiate, NTLM , Kerberos"], "Negotiate or NTLM or Kerberos"),
        (["Proxy-Authenticate: Negotiate YIIGeQ=="], "Negotiate"),
        (['Proxy-Authenticate: Digest realm = "x", algorithm = MD5', "WWW-Authenticate: Basic"], "Digest"),
        (["Proxy-Authenticate: DIGEST", "Proxy-Authenticate: digest"], "DIGEST"),
    ],
)
@pytest.mark.parametrize("user", ["", "me:pw@"])
def test_a_scheme_that_is_not_spoken_is_named(fields: list[str], wanted: str, user: str) -> None:
    with BadProxy([READ_HTTP, Send(http_answer(*fields)), CLOSE]) as proxy:
        error = failure(f"http://{user}127.0.0.1:{proxy.port}")
    assert isinstance(error, PermissionError)
    advice = f"the proxy wants {wanted}, which is not spoken here; have it accept Basic"
    assert str(error).endswith(advice)


@pytest.mark.parametrize(
    ("user", "status", "fields", "advice"),
    [
        ("", 407, ["Proxy-Authenticate: Basic realm=x"], "put the user and password into the proxy's URL"),
        ("", 407, [], "put the user and password into the proxy's URL"),
        ("me:pw@", 407, ["Proxy-Authenticate: NTLM, basic"], "check the user and password in the proxy's URL"),
        ("me:pw@", 407, [], "check the user and password in the proxy's URL"),
        ("", 401, ["WWW-Authenticate: Basic"], "as a web server does, so check its port as well"),
        ("me:pw@", 401, [], "as a web server does, so check its port as well"),
        ("me:pw@", 401, ["WWW-Authenticate: NTLM"], "the proxy wants NTLM, which is not spoken here"),
    ],
)
def test_credentials_that_are_missing_or_wrong(user: str, status: int, fields: list[str], advice: str) -> None:
    with BadProxy([READ_HTTP, Send(http_answer(*fields, status=status)), CLOSE]) as proxy:
        error = failure(f"http://{user}127.0.0.1:{proxy.port}")
    assert isinstance(error, PermissionError)
    assert (error.errno, error.reply) == (errno.EACCES, status)
    assert advice in str(error)
    assert "scheme" not in str(error)


@pytest.mark.parametrize(
    ("user", "method", "advice"),
    [
        ("", 2, "put the user and password into the proxy's URL"),
        ("", 1, "the proxy wants GSSAPI, which is not spoken here; have it accept user and password"),
        ("me:pw@", 1, "the proxy wants GSSAPI, which is not spoken here; have it accept user and password"),
        ("me:pw@", 0x86, "the proxy wants method 0x86, which"),
        ("", 0xFF, "put the user and password into the proxy's URL"),
        ("me:pw@", 0xFF, "the proxy wants another method, which is not spoken here; have it accept user and password"),
    ],
)
def test_a_method_of_socks5_that_is_missing_is_named(user: str, method: int, advice: str) -> None:
    with BadProxy([READ_GREETING, Send(bytes((5, method))), CLOSE]) as proxy:
        error = failure(f"socks5h://{user}127.0.0.1:{proxy.port}")
    assert advice in str(error)
    assert "check the proxy's scheme" not in str(error)


def test_the_advice_is_good(echo_server: Target) -> None:
    """A proxy that wants user and password gets them where they were put into its URL."""
    with BadProxy([READ_GREETING, Send(b"\x05\x02"), CLOSE], good("socks5h", password=True)) as proxy:
        assert "put the user and password into the proxy's URL" in str(failure(proxy.url("socks5h")))
        with (
            routed(f"socks5h://me:@127.0.0.1:{proxy.port}", routes=ANYWHERE),
            socket.create_connection(echo_server.address, 10) as stream,
        ):
            stream.sendall(b"ping")
            assert stream.recv(4, socket.MSG_WAITALL) == b"ping"
        assert b"\x01\x02me\x00" in proxy.sessions[1].received
