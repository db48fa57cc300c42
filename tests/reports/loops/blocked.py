"""Connects and looks names up under blockbuster, which raises if a call would block the loop: LOOP HOST PORT."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

import aiodns
import uvloop
from blockbuster import blockbuster_ctx

from socksify.routing.hosts_file import SystemFile

# Every look-up then reads the files again.
SystemFile._FRESH = 0.0
NAMES = ("localhost", "ip6-localhost", "name.example", socket.gethostname())


async def main(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    resolver = aiodns.DNSResolver()
    for name in NAMES:
        with contextlib.suppress(OSError):
            await loop.getaddrinfo(name, 80)
    for name in NAMES[::2]:
        await resolver.gethostbyname(name, socket.AF_INET)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as sock:
            sock.setblocking(False)
            for where in ("localhost", "127.0.0.1", host):
                with contextlib.suppress(OSError):
                    sock.connect((where, 53))
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    writer.close()
    await writer.wait_closed()


factory = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[sys.argv[1]]
with blockbuster_ctx(), asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main(sys.argv[2], int(sys.argv[3])))
sys.stdout.write("never blocked\n")
