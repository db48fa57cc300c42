"""How a reader walks through the files who follows one connect(): each file is visited a few times, not over and over.

A visit is one function of another file that calls into the file; it may call several times, as a loop over rules does.
`_signal_safety` does not count: its locks lead nowhere else.
"""

from __future__ import annotations

import socket
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from tests.support.bad_proxy import BadProxy
from tests.support.paths import ROOT
from tests.support.routing import routed
from tests.support.steps import HANG, READ_GREETING, READ_REQUEST, Send, Step, socks5_reply

PACKAGE = str(ROOT / "socksify") + "/"
OPEN: list[Step] = [READ_GREETING, Send(b"\x05\x00"), READ_REQUEST, Send(socks5_reply(0)), HANG]
WRITES = {"send", "sendto", "write"}
# How often the whole connect() enters files of tunnel/. The objects that own their state account for most of it.
WHOLE_WALK = 26


class Walk:
    """The files of the package into which a call leads: until the first byte is written, and in all."""

    def __init__(self) -> None:
        # With the frames themselves, so that no two of them have the same place in memory.
        self.to_the_wire: set[tuple[str, FrameType | None]] = set()
        self.entries: list[str] = []
        self._is_written = False

    def follow(self, call: Callable[[], object]) -> None:
        sys.setprofile(self._step)
        try:
            call()
        finally:
            sys.setprofile(None)

    def _step(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in WRITES and not hasattr(called.__self__, "gi_frame"):
            self._is_written = True
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(PACKAGE) or file.endswith("/_signal_safety.py"):
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
            caller = caller.f_back
        if caller is None or caller.f_code.co_filename != file:
            self.entries.append(file.removeprefix(PACKAGE))
            if not self._is_written:
                self.to_the_wire.add((self.entries[-1], caller))


def test_a_blocking_connect_visits_each_file_three_times_at_most_on_its_way_to_the_wire() -> None:
    walk = Walk()
    with BadProxy(OPEN) as proxy, routed(proxy.url(), routes=()):
        # What is looked up once, such as the proxy's address, is no part of the walk.
        with socket.socket() as first:
            first.connect(("target.example", 80))
        with socket.socket() as sock:
            walk.follow(lambda: sock.connect(("target.example", 80)))
    visits = Counter(file for file, _ in walk.to_the_wire)
    assert {"patches/sockets/connect.py", "tunnel/connect.py", "tunnel/first_hop.py"} < visits.keys()
    assert {file: count for file, count in visits.items() if count > 3} == {}
    assert sum(file.startswith("tunnel/") for file in walk.entries) <= WHOLE_WALK
