"""Runs one case: `python -S -E -m tests.support.socket_calls MODULE.FUNCTION HOST PORT`.

-S and -E keep out every hook, so that no patch of Python's sockets takes part. The case prints what its calls return.
"""

from __future__ import annotations

import importlib
import sys

module, _, function = sys.argv[1].partition(".")
getattr(importlib.import_module(f"tests.support.socket_calls.{module}"), function)((sys.argv[2], int(sys.argv[3])))
