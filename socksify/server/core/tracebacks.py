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

# Whether the server is embedded in a program.
is_guest = False


def tell() -> None:
    """To be called in an `except` clause."""
    error = sys.exc_info()[1]
    is_closed = isinstance(error, OSError) and error.errno == EBADF
    if not is_guest or (_STDERR.fd is not None and not is_closed):
        traceback.print_exc()
