"""The measured client: connects in one of several ways, then echoes a byte or moves mebibytes, and closes.

    python -m tests.bench.client WAY PROXY_PORT TARGET_PORT connections|mebibytes

What is under measurement is `plain`, which knows nothing of proxies and runs under `python -m socksify`, or
proxychains4. The other ways do by themselves what it is made to do. A count on each line of standard input; see worker.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from functools import partial

from tests.bench import baseline, worker
from tests.bench.baseline import Address

MEBIBYTE = 1 << 20
PIECE = 1 << 18


def plain(_: Address, target: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect(target)
    return sock


def pysocks(proxy: Address, target: Address) -> socket.socket:
    import socks

    sock = socks.socksocket(socket.AF_INET, socket.SOCK_STREAM)
    sock.set_proxy(socks.SOCKS5, *proxy)
    sock.connect(target)
    connected: socket.socket = sock
    return connected


def python_socks(proxy: Address, target: Address) -> socket.socket:
    from python_socks import ProxyType
    from python_socks.sync import Proxy

    sock: socket.socket = Proxy(ProxyType.SOCKS5, *proxy).connect(*target)
    return sock


WAYS = {"plain": plain, "baseline": baseline.connect, "PySocks": pysocks, "python-socks": python_socks}

Connect = Callable[[], socket.socket]


def connections(connect: Connect, count: int) -> None:
    """Connect, one byte there and back, close: `count` times."""
    for _ in range(count):
        sock = connect()
        sock.send(b"x")
        assert sock.recv(1) == b"x"
        sock.close()


def mebibytes(connect: Connect, count: int) -> None:
    """`count` mebibytes there, then as many back, on one connection."""
    sock = connect()
    sock.send((count * MEBIBYTE).to_bytes(8))
    buffer = memoryview(bytearray(PIECE))
    # A blocking send(2) ends when all is written and MSG_WAITALL when all is there: the number of calls is exact.
    for _ in range(count * MEBIBYTE // PIECE):
        assert sock.send(buffer) == PIECE
    for _ in range(count * MEBIBYTE // PIECE):
        assert sock.recv_into(buffer, PIECE, socket.MSG_WAITALL) == PIECE
    sock.close()


def main() -> None:
    way, proxy_port, target_port, what = sys.argv[1:]
    proxy, target = ("127.0.0.1", int(proxy_port)), ("127.0.0.1", int(target_port))
    work = {"connections": connections, "mebibytes": mebibytes}[what]
    worker.serve(partial(work, partial(WAYS[way], proxy, target)))


if __name__ == "__main__":
    main()
