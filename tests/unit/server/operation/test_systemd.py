"""The datagrams of sd_notify(3), as a service manager receives them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from socksify.server.operation.systemd import READY, Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_what_is_told_arrives(abstract: bool, tmp_path: Path) -> None:
    name = f"@socksify-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0", 1))
        environ = {"NOTIFY_SOCKET": name, "OTHER": "x"}
        notifier = Notifier(environ)
        assert environ == {"OTHER": "x"}
        notifier.tell(READY, "STATUS=fine")
        assert manager.recv(1024) == b"READY=1\nSTATUS=fine"
        notifier.reloading()
        reloading, time = manager.recv(1024).decode().split("\n")
        assert reloading == "RELOADING=1"
        assert int(time.removeprefix("MONOTONIC_USEC=")) > 0


def test_nobody_is_told_when_nobody_asked() -> None:
    Notifier({}).tell(READY)


def test_a_manager_that_is_gone_or_busy_is_no_error(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": path})
    notifier.tell(READY)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        for _ in range(2_000):
            notifier.tell(READY)
        assert manager.recv(16) == b"READY=1"


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_fed_twice_a_period(variables: dict[str, str], seconds: float) -> None:
    environ = dict(variables)
    assert Notifier(environ).watchdog_seconds == seconds
    assert environ == {}
