"""Clients on asyncio's streams, for the loops of asyncio and of uvloop."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.bad_proxy import Script
from tests.support.stepping import TARGET, Stepping
from tests.support.steps import CLOSE, READ_GREETING, READ_REQUEST, Send, socks5_reply

# The target's first line, and a proxy that sends it in the same segment as its reply.
BANNER = b"220 hello\r\n"
GREETED: Script = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(socks5_reply(0) + BANNER), CLOSE]


async def first_line() -> bytes:
    """Return the first line that a connection to TARGET receives."""
    reader, writer = await asyncio.open_connection(*TARGET)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


async def given_up(steps: Stepping, how: str, stop: int) -> None:
    """Give a connection up while the proxy stands still at a stop. `how` is `cancel` or `wait_for`."""
    task = asyncio.create_task(asyncio.open_connection(*TARGET))
    while steps.stops <= stop:
        await asyncio.sleep(0.001)
        if steps.stops <= stop and steps.stops:
            steps.go()
    if how == "cancel":
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.01)
