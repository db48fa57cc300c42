"""Nothing is left of a thousand failures and some thousand successes, whatever way they end.

`make soak` does the same a hundred thousand times.
"""

from __future__ import annotations

import socket
from functools import partial

import pytest

from tests.support import leaks
from tests.support.bad_proxy import BadProxy, Script, Session
from tests.support.certificates import Certificates
from tests.support.processes import free_port
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import CLOSE, READ_GREETING, READ_REQUEST, Send, good, socks5_reply
from tests.support.targets import Target

ANYWHERE = ("*=proxy",)
TARGET = ("203.0.113.5", 80)
COUNT = 200


@pytest.mark.parametrize("ending", leaks.ENDINGS, ids=lambda ending: ending.__name__)
def test_nothing_is_left_of_successes(ending: leaks.Ending, microsocks: Server, echo_server: Target) -> None:
    with routed(microsocks.url()):
        leaks.quietly(lambda: leaks.cycle(echo_server.address, ending, COUNT))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_nothing_is_left_of_forks(microsocks: Server, echo_server: Target) -> None:
    with routed(microsocks.url()):
        leaks.cycle(echo_server.address, leaks.fork, 50)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ca"))


def test_nothing_is_left_of_tls(certificates: Certificates) -> None:
    context = certificates.server()

    def serve(session: Session) -> None:
        with context.wrap_socket(session.stream, server_side=True, suppress_ragged_eofs=True) as tls:
            tls.recv(1)
            tls.unwrap().close()

    script: Script = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(socks5_reply(0)), serve]
    with BadProxy(script) as proxy, routed(proxy.url(), routes=ANYWHERE):
        leaks.cycle(TARGET, leaks.tls(certificates.client()), 100)


FAILURES: dict[str, Script] = {
    "refused": good("socks5h", reply=5),
    "closed": [READ_GREETING, CLOSE],
    "nonsense": [READ_GREETING, Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), CLOSE],
}
ENDINGS = [leaks.close, leaks.forget, leaks.detach, leaks.copy, leaks.adopt]


@pytest.mark.parametrize("failure", FAILURES)
def test_nothing_is_left_of_failures(failure: str) -> None:
    with BadProxy(FAILURES[failure]) as proxy, routed(proxy.url(), routes=ANYWHERE):
        for ending in ENDINGS:
            leaks.quietly(partial(leaks.fail, TARGET, ending, 1000 // len(ENDINGS) // len(FAILURES)))


def test_nothing_is_left_of_a_proxy_that_is_not_there() -> None:
    with routed(f"socks5h://127.0.0.1:{free_port()}", routes=ANYWHERE):
        for ending in ENDINGS:
            leaks.quietly(partial(leaks.fail, TARGET, ending, 1000 // len(ENDINGS)))


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
def test_nothing_is_left_of_pending_connects(ending: leaks.Ending) -> None:
    with BadProxy([READ_GREETING, CLOSE]) as proxy, routed(proxy.url(), routes=ANYWHERE):

        def run() -> None:
            for _ in range(50):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(TARGET)
                ending(sock)
                del sock

        leaks.quietly(run)
