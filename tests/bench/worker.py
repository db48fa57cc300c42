"""What every measured program is: a process that runs a block on command, and says what it took.

Each contender is a process of its own, so that nothing which one imports, patches or leaves behind is paid for by
another; it lives long, so that blocks of all of them can take turns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from time import perf_counter, process_time

Figures = Mapping[str, float]
Block = Callable[[int], Figures | None]


def serve(block: Block) -> None:
    """For each line of standard input, a count, run the block and print its figures as a line of JSON.

    `seconds` is the time on the clock and `processor` the process's own time, unless the block gave its own.
    """
    for line in sys.stdin:
        began, used = perf_counter(), process_time()
        given = block(int(line))
        figures = {"seconds": perf_counter() - began, "processor": process_time() - used, **(given or {})}
        print(json.dumps(figures), flush=True)
