"""Fixtures: rtelnet with a real telnetd, and with servers that do not speak telnet, through danted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.inetd import Service, service
from tests.support.processes import require
from tests.support.servers import Server
from tests.unit.clients.rtelnet.runs import Rtelnet


@pytest.fixture
def rtelnet(danted: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rtelnet:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SOCKS"):
            monkeypatch.delenv(name)
    return Rtelnet(danted, tmp_path)


@pytest.fixture(scope="session")
def telnetd() -> Iterator[Service]:
    """telnetd with a shell without a login; the prompt is `:`."""
    with service(require("telnetd"), "-h", "-E", "/usr/bin/env PS1=: /bin/sh") as found:
        yield found
