"""The measured crowd: many asyncio connects at once, and a ticker beside them that shows for how long the loop is deaf.

    python -m tests.bench.crowd TARGET_PORT

A count of connections on each line of standard input; see worker. `late` is by how many seconds the ticker was late
at worst. Closing is not measured.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamWriter
from collections.abc import Iterable
from time import perf_counter, process_time

from tests.bench import worker

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


async def crowd(port: int, count: int) -> worker.Figures:
    ticker = Ticker()
    ticking = asyncio.create_task(ticker.run())
    await asyncio.sleep(0)
    began, used = perf_counter(), process_time()
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    # One that was late when the last connection opened has to be heard yet.
    await asyncio.sleep(0)
    figures = {"seconds": perf_counter() - began, "processor": process_time() - used, "late": ticker.late}
    ticking.cancel()
    await close(writer for _, writer in opened)
    return figures


async def close(writers: Iterable[StreamWriter]) -> None:
    closing = []
    for writer in writers:
        writer.close()
        closing.append(writer.wait_closed())
    await asyncio.gather(*closing)


def main() -> None:
    port = int(sys.argv[1])
    with asyncio.Runner() as runner:
        worker.serve(lambda count: runner.run(crowd(port, count)))


if __name__ == "__main__":
    main()
