"""The interactive session that `python -` is when standard input is a terminal."""

from __future__ import annotations

import sys


def interact(namespace: dict[str, object]) -> None:
    """Reads, evaluates and prints in `namespace` until the end of input, with line editing where there is any."""
    from code import interact

    if hasattr(sys, "__interactivehook__"):
        sys.__interactivehook__()
    hint = 'Type "help", "copyright", "credits" or "license" for more information.'
    interact(f"Python {sys.version} on {sys.platform}\n{hint}", local=namespace, exitmsg="")
