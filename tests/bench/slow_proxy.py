"""A SOCKS proxy that relays well but thinks before each answer; holds thousands of handshakes at once.

    python tests/bench/slow_proxy.py [--delay 0.2] [--port 0]

Prints `listening on 127.0.0.1:PORT` when it is ready and ends on SIGTERM. It is a process of its own so that its work
is not measured as the client's; epoll through asyncio, so that 5,000 waiting handshakes cost no thread.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import resource
import signal
from asyncio import StreamReader, StreamWriter

BACKLOG = 8192


class SlowProxy:
    """Speaks SOCKS4, 4A and 5 without authentication, CONNECT only."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            version = (await reader.readexactly(1))[0]
            shake = self._socks5 if version == 5 else self._socks4
            host, port, success, failure = await shake(reader, writer)
            try:
                target = await asyncio.open_connection(host, port)
            except OSError:
                await self._answer(writer, failure)
            else:
                await self._answer(writer, success)
                await asyncio.gather(pump(reader, target[1]), pump(target[0], writer))
                target[1].close()
        writer.close()

    async def _socks5(self, reader: StreamReader, writer: StreamWriter) -> tuple[str, int, bytes, bytes]:
        await reader.readexactly((await reader.readexactly(1))[0])
        await self._answer(writer, b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        return host, port, b"\x05\0\0\x01" + bytes(6), b"\x05\x05\0\x01" + bytes(6)

    async def _socks4(self, reader: StreamReader, _: StreamWriter) -> tuple[str, int, bytes, bytes]:
        head = await reader.readexactly(7)
        await reader.readuntil(b"\0")
        host = str(ipaddress.ip_address(head[3:7]))
        if host.startswith("0.0.0."):
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        return host, int.from_bytes(head[1:3]), b"\0\x5a" + bytes(6), b"\0\x5b" + bytes(6)

    async def _answer(self, writer: StreamWriter, message: bytes) -> None:
        await asyncio.sleep(self._delay)
        writer.write(message)


async def pump(reader: StreamReader, writer: StreamWriter) -> None:
    """Passes bytes on to the end of file, and then that too."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def run(port: int, delay: float) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = await asyncio.start_server(SlowProxy(delay).serve, "127.0.0.1", port, backlog=BACKLOG)
    host, bound = server.sockets[0].getsockname()
    print(f"listening on {host}:{bound}", flush=True)
    await ended.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.2, help="seconds before each answer")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    # Two descriptors a connection.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(run(options.port, options.delay))


if __name__ == "__main__":
    main()
