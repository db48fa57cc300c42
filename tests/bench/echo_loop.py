"""The measured event loop: an echo server and its client, ping-pong, in one process, so that nobody else is timed.

    python -m tests.bench.echo_loop TARGET_PORT

Protocols instead of streams: there is less of asyncio around each turn of the loop, so ours shows more. An idle
connection to the target stays open meanwhile; under `python -m socksify` it is one through the proxy. A count of
round trips on each line of standard input; see worker.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from tests.bench import worker


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Pinger(asyncio.Protocol):
    """Sends a byte each time that one comes back, `count` times."""

    def __init__(self, count: int, done: asyncio.Event) -> None:
        self._left = count
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"x")

    def data_received(self, data: bytes) -> None:
        self._left -= 1
        if self._left:
            self._transport.write(data)
        else:
            self._done.set()


async def round_trips(count: int) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(lambda: Pinger(count, done), *server.sockets[0].getsockname())
    await done.wait()
    transport.close()
    server.close()
    await server.wait_closed()


def main() -> None:
    with (
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))),
        asyncio.Runner() as runner,
    ):
        worker.serve(lambda count: runner.run(round_trips(count)))


if __name__ == "__main__":
    main()
