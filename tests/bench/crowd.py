"""The measured crowd: many asyncio connects at once, and a ticker beside them that shows for how long the loop is deaf.

    python -m tests.bench.crowd plain|python-socks PROXY_PORT TARGET_PORT [uvloop]

`plain` knows nothing of proxies and runs as it is, or under `python -m socksify`; python-socks does it by itself. The
loop is asyncio's, or uvloop's, which connects in C.
A count of connections on each line of standard input; see worker. `late` is by how many seconds the ticker was late at
worst. Closing is not measured.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import perf_counter, process_time

from tests.bench import worker
from tests.bench.baseline import Address

TICK = 0.01


class Ticker:
    """Wants to run every 10 ms; `late` is the worst delay so far, in seconds."""

    def __init__(self) -> None:
        self.late = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self.late = max(self.late, loop.time() - due)


class Connected(asyncio.Protocol):
    """What a connection is for is not measured."""


async def plain(_: Address, target: Address) -> asyncio.BaseTransport:
    transport, _protocol = await asyncio.get_running_loop().create_connection(Connected, *target)
    return transport


async def python_socks(proxy: Address, target: Address) -> asyncio.BaseTransport:
    from python_socks import ProxyType
    from python_socks.async_.asyncio import Proxy

    sock = await Proxy(ProxyType.SOCKS5, *proxy).connect(*target)
    transport, _protocol = await asyncio.get_running_loop().create_connection(Connected, sock=sock)
    return transport


WAYS = {"plain": plain, "python-socks": python_socks}

Connect = Callable[[], Awaitable[asyncio.BaseTransport]]


async def crowd(connect: Connect, count: int) -> worker.Figures:
    ticker = Ticker()
    ticking = asyncio.create_task(ticker.run())
    await asyncio.sleep(0)
    began, used = perf_counter(), process_time()
    opened = await asyncio.gather(*(connect() for _ in range(count)))
    seconds, processor = perf_counter() - began, process_time() - used
    # If the last connection came while the ticker was due, that delay counts too.
    await asyncio.sleep(TICK)
    ticking.cancel()
    await close(opened)
    return {"seconds": seconds, "processor": processor, "late": ticker.late}


async def close(transports: Iterable[asyncio.BaseTransport]) -> None:
    for transport in transports:
        transport.close()
    # A transport closes its socket in the loop's next turn.
    await asyncio.sleep(0)


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def main() -> None:
    way, proxy_port, target_port, *uvloop = sys.argv[1:]
    connect = partial(WAYS[way], ("127.0.0.1", int(proxy_port)), ("127.0.0.1", int(target_port)))
    with asyncio.Runner(loop_factory=_uvloop if uvloop else None) as runner:
        worker.serve(lambda count: runner.run(crowd(connect, count)))


if __name__ == "__main__":
    main()
