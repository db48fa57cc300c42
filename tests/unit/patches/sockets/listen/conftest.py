"""A proxy that listens, a connection to a service that calls back, and a socket that is to listen."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.bind_proxy import (
    BindProxy,
    bind_proxy,
)


@pytest.fixture
def proxy() -> Iterator[BindProxy]:
    with bind_proxy() as proxy:
        yield proxy


@pytest.fixture
def control(proxy: BindProxy) -> Iterator[socket.socket]:
    with proxy.control() as control:
        yield control


@pytest.fixture
def listener(control: socket.socket) -> Iterator[socket.socket]:  # noqa: ARG001
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(10)
        yield listener
