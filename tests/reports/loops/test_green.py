"""What gevent and eventlet can be set to, and how they wait for sockets that do not block."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.reports.loops.behaviours import BEHAVIOURS
from tests.reports.loops.matrix import TICKS
from tests.reports.loops.runs import HERE, NAME, run, slow_proxy
from tests.reports.loops.servers import Servers
from tests.support.bad_proxy import BadProxy

SETTINGS = {
    "gevent": [
        ("GEVENT_LOOP", "libuv"),
        ("GEVENT_RESOLVER", "ares"),
        ("GEVENT_RESOLVER", "dnspython"),
    ],
    "eventlet": [
        ("EVENTLET_HUB", "poll"),
        ("EVENTLET_HUB", "asyncio"),
        ("EVENTLET_NO_GREENDNS", "yes"),
    ],
}


@pytest.mark.parametrize(
    ("name", "variable", "value"), [(name, *setting) for name, settings in SETTINGS.items() for setting in settings]
)
def test_settings(name: str, variable: str, value: str, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    report = run("on_green.py", name, "patched", servers=servers, late=False)
    results = report.results["launched"]
    assert results.keys() == BEHAVIOURS.keys()
    assert results == {
        **dict.fromkeys(BEHAVIOURS, "ping"),
        "connect": ["ping", True],
        "refusal": ["ConnectionRefusedError", 111],
        "timeout": ["TimeoutError", None],
        "cancel": "nothing is left",
        "200 at once": 200,
    }
    assert report.ticks[0] >= TICKS


def ended(program: str, *words: object, proxy: BadProxy | None = None) -> subprocess.CompletedProcess[str]:
    """A program that has run, with everything through `proxy` if there is one."""
    launcher = []
    if proxy is not None:
        launcher = ["-m", "socksify", "--strict", "--seal=off", "--proxy", proxy.url(), "--route", "*=proxy"]
    return subprocess.run(
        [sys.executable, *launcher, str(HERE / program), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *(("gevent", way) for way in ("select", "poll", "selector", "fd")),
        *(("eventlet", way) for way in ("select", "selector", "fd")),
    ],
)
def test_waiting_for_a_socket_that_does_not_block(name: str, way: str, servers: Servers) -> None:
    with slow_proxy(servers) as proxy:
        child = ended("green_polling.py", name, way, *servers.echo, proxy=proxy)
    assert (child.returncode, child.stderr) == (0, "")
    answer, ticks = child.stdout.split()
    assert answer == "ping"
    assert int(ticks) >= TICKS


SHARING = (
    "several_connect",
    "another_reads",
    "another_writes",
    "the_first_is_killed",
    "the_second_gives_up",
    "the_second_times_out",
    "tls_at_once",
    "tls_without_blocking",
)


@pytest.mark.parametrize("way", SHARING)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_socket_that_connects_is_used(name: str, way: str, servers: Servers) -> None:
    host, port = servers.tls if way.startswith("tls") else servers.echo
    with slow_proxy(servers) as proxy:
        child = ended("green_sharing.py", name, way, host, port, servers.authority, proxy=proxy)
        assert (child.returncode, child.stderr, child.stdout) == (0, "", "ping")
        assert [session.target for session in proxy.sessions] == [(host, port)]


@pytest.mark.parametrize("name", SETTINGS)
def test_via(name: str, servers: Servers) -> None:
    with slow_proxy(servers) as proxy:
        child = ended("green_via.py", name, proxy.url(), NAME, servers.echo[1])
        assert (child.returncode, child.stderr, child.stdout) == (0, "", "ping ping ping")
        assert [session.target for session in proxy.sessions] == [(NAME, servers.echo[1])] * 2
