"""The originals are the stdlib's: what is ours already is not taken for one."""

from __future__ import annotations

import subprocess
import sys

TWICE = """
import importlib, socksify
from socksify import _originals
socksify.install("socks5h://192.0.2.1:1080")
importlib.reload(_originals)
"""


def test_an_original_that_is_ours_is_refused() -> None:
    ended = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=60)
    assert "RuntimeError" in ended.stderr
    assert "was patched by another copy of socksify" in ended.stderr
