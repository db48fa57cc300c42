"""What a handshake that was interrupted leaves in frames shows neither the user nor the password."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from types import TracebackType

import pytest

from socksify.patches import scope
from tests.integration.interrupts.walking import HERE, Interrupted, interrupted, leave_by
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.steps import (
    HANG,
    READ_CREDENTIALS,
    READ_GREETING,
    READ_HTTP,
    READ_REQUEST,
    READ_SOCKS4,
    Send,
    Step,
    http_reply,
    socks4_reply,
    socks5_reply,
)

USER, PASSWORD = "dorothea", "open-sesame"
# In the form of Basic authentication, too.
WORDS = (USER, PASSWORD, "ZG9yb3RoZWE6b3Blbi1zZXNhbWU")
STEP = 23
SCRIPTS: dict[str, list[Step]] = {
    "socks5h": [
        READ_GREETING,
        Send(b"\x05\x02"),
        READ_CREDENTIALS,
        Send(b"\x01\x00"),
        READ_REQUEST,
        Send(socks5_reply(0)),
        HANG,
    ],
    "socks4a": [READ_SOCKS4, Send(socks4_reply(90)), HANG],
    "http": [READ_HTTP, Send(http_reply(200)), HANG],
}


def shown(value: object, depth: int = 4) -> Iterator[str]:
    """What reports of errors show of a variable: its repr, and those of what a container holds."""
    with contextlib.suppress(AttributeError):  # half made
        yield repr(value)
    if depth and isinstance(value, Mapping):
        for key, item in list(value.items()):
            yield from shown(key, depth - 1)
            yield from shown(item, depth - 1)
    elif depth and isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray)):
        for item in list(value):
            yield from shown(item, depth - 1)


def variables(traceback: TracebackType | None) -> Iterator[tuple[str, str]]:
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_filename.startswith(HERE):
            for name, value in frame.f_locals.items():
                for text in shown(value):
                    yield f"{frame.f_code.co_name}: {name}", text
        traceback = traceback.tb_next


@pytest.mark.parametrize("scheme", SCRIPTS)
def test_no_variable_shows_credentials(scheme: str) -> None:
    credentials = f"{USER}:{PASSWORD}" if scheme != "socks4a" else USER
    with (
        BadProxy(SCRIPTS[scheme]) as proxy,
        routed(f"{scheme}://{credentials}@127.0.0.1:{proxy.port}", routes=("*=proxy",)),
    ):
        at, found, walked = 1 + sys.version_info.minor, set(), 0
        while True:
            # The messages are made anew.
            scope.installed.scope.router._known.clear()
            with socket.socket() as sock:
                sock.settimeout(10)
                try:
                    interrupted(at, leave_by(Interrupted), partial(sock.connect, ("203.0.113.5", 80)))
                except Interrupted as error:
                    told = variables(error.__traceback__)
                    found |= {name for name, text in told if any(word in text for word in WORDS)}
                    error.__traceback__ = None
                else:
                    break
            at += STEP
            walked += 1
        assert walked > 50
        assert not found
