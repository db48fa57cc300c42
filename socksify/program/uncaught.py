"""Let the interpreter report a program's uncaught exception, without our frames.

`PyErr_PrintEx()` does a dozen things (sys.last_exc, audit events, SystemExit from a hook, death by SIGINT after
KeyboardInterrupt), so the exception is left to propagate, and only the call of `sys.excepthook` is intercepted:
by then the stack is empty again, and the frames that propagation prepended can be cut off.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]

# Captured now: whatever the report needs later must not be imported while the interpreter is reporting.
_display: Hook = sys.__excepthook__


def leave_report_to_python(error: BaseException, afterwards: Callable[[], None]) -> None:
    """Arranges that `error`, which the caller now re-raises, is reported with the program's own frames alone.

    The hook that is set now is put back before it is called, so neither it nor an exit handler sees a difference.
    `afterwards` runs when the report is done.
    """
    traceback = _beyond_our_frames(error.__traceback__)
    hook: Hook = getattr(sys, "excepthook", _display_for_want_of_a_hook)

    def excepthook(kind: type[BaseException], value: BaseException, reported: TracebackType | None) -> None:
        sys.excepthook = hook
        if value is not error:  # another exception took its place on the way out
            hook(kind, value, reported)
            return
        sys.last_traceback = value.__traceback__ = traceback
        _call(hook, value, traceback)
        afterwards()

    sys.excepthook = excepthook


def _display_for_want_of_a_hook(kind: type[BaseException], value: BaseException, tb: TracebackType | None) -> None:
    sys.stderr.write("sys.excepthook is missing\n")
    _display(kind, value, tb)


def _beyond_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    while traceback and traceback.tb_frame.f_globals.get("__name__", "").startswith(__package__):
        traceback = traceback.tb_next
    return traceback


def _call(hook: Hook, value: BaseException, traceback: TracebackType | None) -> None:
    try:
        hook(type(value), value, traceback)
    except SystemExit:
        raise
    except BaseException as broken:
        # Python/pythonrun.c, _PyErr_PrintEx(), word for word.
        sys.stderr.write("Error in sys.excepthook:\n")
        inner = broken.__traceback__ and broken.__traceback__.tb_next
        _display(type(broken), broken.with_traceback(inner), inner)
        sys.stderr.write("\nOriginal exception was:\n")
        _display(type(value), value, traceback)
