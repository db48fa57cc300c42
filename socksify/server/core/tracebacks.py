"""Tells of mistakes of the server's own, as a traceback on standard error, and goes on.

Where the server is embedded, what Python takes for standard error may be a file of the program's by now, and its
descriptors may have been closed by the program, which is no mistake.
"""

from __future__ import annotations

import sys
import traceback
from errno import EBADF

from socksify._descriptors import Stderr

_STDERR = Stderr()

# True if the server is embedded in a program; it stays so for the rest of the process.
_is_guest = False


def become_guest() -> None:
    """Note that the server is embedded in a program."""
    global _is_guest
    _is_guest = True


def tell() -> None:
    """To be called in an `except` clause."""
    error = sys.exc_info()[1]
    is_closed = isinstance(error, OSError) and error.errno == EBADF
    if not _is_guest or (_STDERR.fd is not None and not is_closed):
        traceback.print_exc()
