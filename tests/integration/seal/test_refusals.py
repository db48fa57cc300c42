"""The errno of a connect that a proxy refuses, breaks off or does not understand, on blocking sockets and others."""

from __future__ import annotations

import subprocess
import sys
from errno import (
    EACCES,
    EAFNOSUPPORT,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    ENETUNREACH,
    EOPNOTSUPP,
    ETIMEDOUT,
    errorcode,
)

import pytest

from tests.support.bad_proxy import BadProxy, Script
from tests.support.paths import ROOT
from tests.support.processes import free_port
from tests.support.steps import (
    CLOSE,
    HANG,
    READ_GREETING,
    READ_REQUEST,
    RESET,
    Send,
    garbage,
    good,
    http_reply,
    socks4_reply,
    socks5_reply,
)

pytestmark = pytest.mark.usefixtures("sealed_system")

TARGET = ("203.0.113.5", "80")
SOCKS5 = {
    1: ECONNREFUSED,
    2: EACCES,
    3: ENETUNREACH,
    4: EHOSTUNREACH,
    5: ECONNREFUSED,
    6: ETIMEDOUT,
    7: EOPNOTSUPP,
    8: EAFNOSUPPORT,
    9: ECONNREFUSED,
    255: ECONNREFUSED,
}
SOCKS4 = dict.fromkeys((91, 92, 93, 7), ECONNREFUSED)
HTTP = {
    403: EACCES,
    404: ECONNREFUSED,
    407: EACCES,
    500: ECONNREFUSED,
    502: EHOSTUNREACH,
    503: EHOSTUNREACH,
    504: ETIMEDOUT,
}
METHOD = Send(b"\5\0")
BROKEN: list[tuple[Script, int]] = [
    ([CLOSE], ECONNRESET),
    ([RESET], ECONNRESET),
    ([READ_GREETING, CLOSE], ECONNRESET),
    ([READ_GREETING, RESET], ECONNRESET),
    ([READ_GREETING, METHOD, READ_REQUEST, CLOSE], ECONNRESET),
    ([READ_GREETING, METHOD, READ_REQUEST, Send(socks5_reply(0)[:6]), CLOSE], ECONNRESET),
    ([READ_GREETING, METHOD, READ_REQUEST, Send(socks5_reply(0)[:6]), RESET], ECONNRESET),
    ([READ_GREETING, Send(b"\5\xff"), CLOSE], EACCES),
    ([READ_GREETING, Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), CLOSE], ECONNABORTED),
    ([READ_GREETING, garbage(), CLOSE], ECONNABORTED),
    ([READ_GREETING, METHOD, READ_REQUEST, garbage(), CLOSE], ECONNABORTED),
]
SCRIPTS: dict[str, list[tuple[Script, int]]] = {
    "socks5h": [(good("socks5h", reply=code), number) for code, number in SOCKS5.items()],
    "socks4a": [(good("socks4a", reply=code), number) for code, number in SOCKS4.items()],
    "http": [(good("http", reply=code), number) for code, number in HTTP.items()],
    "socks5": BROKEN,
}
YES = {"socks5h": socks5_reply(0), "socks4a": socks4_reply(90), "http": http_reply(200), "socks5": socks5_reply(0)}


@pytest.mark.parametrize("scheme", SCRIPTS)
def test_the_errno_is_that_of_the_refusal(scheme: str) -> None:
    refusals = [refusal for refusal in SCRIPTS[scheme] for _ in ("blocking", "non-blocking")]
    # The first steps of one that works, without a target.
    *steps, _, _, _ = good(scheme)
    with BadProxy(*(script for script, _ in refusals), [*steps, Send(YES[scheme]), HANG]) as proxy:
        assert _outcomes("until_one_succeeds", proxy.url(scheme)) == [
            *(errorcode[number] for _, number in refusals),
            "ok",
        ]


def test_a_proxy_that_is_not_there() -> None:
    assert _outcomes("twice", f"socks5h://127.0.0.1:{free_port()}") == ["ECONNREFUSED"] * 2


def test_a_proxy_that_says_nothing() -> None:
    with BadProxy([HANG]) as proxy:
        assert _outcomes("twice", proxy.url(), "--connect-timeout", "0.2") == ["ETIMEDOUT"] * 2


def test_a_destination_that_is_blocked() -> None:
    with BadProxy([HANG]) as proxy:
        assert _outcomes("twice", proxy.url(), "--route", "203.0.113.0/24=block") == ["EACCES"] * 2
        assert proxy.sessions == []


def _outcomes(case: str, url: str, *options: str) -> list[str]:
    """What the connects of a sealed program come to."""
    program = [sys.executable, "-S", "-E", "-m", "tests.support.socket_calls", f"refused.{case}", *TARGET]
    command = [sys.executable, "-m", "socksify", "--seal=on", "--proxy", url, *options, *program]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout.split()
