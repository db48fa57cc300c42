"""How busy the machine is with other things: what no control shows, because it slows everybody alike.

Ratios of times bear that. A time against a clock, or against somebody's sleep, does not.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

SAMPLE_SECONDS = 1.0
# With more than this, what should run beside the proxy takes turns with somebody else.
BEARABLE = 0.25


def others() -> float:
    """The processors that run something, while we do nothing but look; 1.0 is one of them, all the time."""
    before = _busy_ticks()
    time.sleep(SAMPLE_SECONDS)
    return (_busy_ticks() - before) / SAMPLE_SECONDS / os.sysconf("SC_CLK_TCK")


def _busy_ticks() -> int:
    """proc(5), /proc/stat: "user nice system idle iowait irq softirq steal", in ticks of all processors together."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return user + nice + system + irq + softirq + steal
