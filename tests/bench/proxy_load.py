"""What a measured server is given to do, by a program of its own.

    python -m tests.bench.proxy_load PROXY_PORT TARGET_PORT one|many|stream|streams|trips|hold

A count on each line of standard input; see worker.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter

from tests.bench import baseline, client, worker
from tests.bench.baseline import Address

AT_ONCE = 64
STREAMS = 8

Connect = Callable[[], socket.socket]


def many(proxy: Address, target: Address, count: int) -> None:
    """Connections, AT_ONCE of them at a time: all are at the same step of it."""
    request = b"\x05\x01\x00\x01" + socket.inet_aton(target[0]) + target[1].to_bytes(2)
    for _ in range(count // AT_ONCE):
        streams = []
        for _ in range(AT_ONCE):
            stream = socket.socket()
            stream.connect(proxy)
            stream.send(baseline.GREETING)
            streams.append(stream)
        for said, length in ((request, len(baseline.CHOSEN)), (b"x", baseline.REPLY_LENGTH)):
            for stream in streams:
                assert len(stream.recv(length)) == length
                stream.send(said)
        for stream in streams:
            assert stream.recv(1) == b"x"
            stream.close()


def streams(connect: Connect, number: int, count: int) -> None:
    """`count` mebibytes there, and then back, on each of some connections."""
    threads = [threading.Thread(target=client.mebibytes, args=(connect, count)) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def trips(connect: Connect, count: int) -> dict[str, float]:
    """One byte there and back, `count` times: the 99th percentile of how long it takes."""
    stream = connect()
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken = []
    for _ in range(count):
        began = perf_counter()
        stream.send(b"x")
        assert stream.recv(1) == b"x"
        taken.append(perf_counter() - began)
    stream.close()
    return {"seconds": sorted(taken)[count * 99 // 100]}


def hold(connect: Connect, held: list[socket.socket], count: int) -> None:
    """Holds `count` idle connections, no more and no fewer."""
    while len(held) < count:
        held.append(connect())
    while len(held) > count:
        held.pop().close()


def main() -> None:
    proxy_port, target_port, what = sys.argv[1:]
    proxy, target = ("127.0.0.1", int(proxy_port)), ("127.0.0.1", int(target_port))
    connect = partial(baseline.connect, proxy, target)
    blocks: dict[str, worker.Block] = {
        "one": partial(client.connections, connect),
        "many": partial(many, proxy, target),
        "stream": partial(streams, connect, 1),
        "streams": partial(streams, connect, STREAMS),
        "trips": partial(trips, connect),
        "hold": partial(hold, connect, []),
    }
    worker.serve(blocks[what])


if __name__ == "__main__":
    main()
