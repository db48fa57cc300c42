"""The measured look-ups: one host again and again, or ever new names.

    python -m tests.bench.look_up HOST      # getaddrinfo() of HOST, as often as is said
    python -m tests.bench.look_up           # of so many names that nobody has asked for before

The latter tells the `bytes` that Python has allocated meanwhile and keeps. A count on each line of standard input; see
worker.
"""

from __future__ import annotations

import itertools
import socket
import sys
import tracemalloc
from collections.abc import Mapping

from tests.bench import worker


def one(host: str, count: int) -> None:
    for _ in range(count):
        socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)


def many(numbers: itertools.count[int], count: int) -> Mapping[str, float]:
    before, _ = tracemalloc.get_traced_memory()
    for number in itertools.islice(numbers, count):
        socket.getaddrinfo(f"host-{number}.example", 80, socket.AF_INET, socket.SOCK_STREAM)
    return {"bytes": tracemalloc.get_traced_memory()[0] - before}


def main() -> None:
    if len(sys.argv) > 1:
        worker.serve(lambda count: one(sys.argv[1], count))
    else:
        tracemalloc.start()
        numbers = itertools.count()
        worker.serve(lambda count: many(numbers, count))


if __name__ == "__main__":
    main()
