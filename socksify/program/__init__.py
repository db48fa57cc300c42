"""Run a program as `python` itself would run it, in the `__main__` that is already there.

CPython's Modules/main.c and Python/pythonrun.c are the model: `pymain_run_python()` decides among a command, a
module, a directory or zip archive, a file and standard input; what it sets for each (`sys.argv`, `sys.path[0]`,
the contents of `__main__`) is set here, and where it calls a Python function, that same function is called.
One thing cannot be had from Python: our frames are *below* the program's, where `sys._getframe()` can see them.
Tracebacks do not show them.
"""

from __future__ import annotations

import os
import sys

# Already loaded in every interpreter.
from _frozen_importlib import BuiltinImporter
from _frozen_importlib_external import SourceFileLoader, SourcelessFileLoader

from socksify.program.main_module import absolute, forget, has_importer, lead_path, main_namespace, working_directory
from socksify.program.source import compile_file, dedented, is_bytecode, load_bytecode

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Prepared = tuple[Callable[[], object], tuple[str, ...]]


def run(words: Sequence[str]) -> None:
    """Runs the program that `words` name, as they would stand behind `python`, its own arguments included.

    `words` begin with a script, a directory, a zip archive, `-m module`, `-c code` or `-`. Returns when the program
    has ended. Raises SystemExit where python would end at once with a status, and whatever exception the program
    lets escape; when that reaches the interpreter, the report shows no frame of ours.
    """
    execute, temporary = _prepare(list(words))
    try:
        execute()
    except SystemExit:
        if sys.version_info >= (3, 14):
            forget(temporary)
        raise
    except BaseException as error:
        leave_report_to_python(error, afterwards=lambda: forget(temporary))
        raise
    forget(temporary)


def directory_of(words: Sequence[str]) -> str:
    """The directory in which the program's own imports will look first; empty when in none (-P, -I)."""
    if words[0] != "-" and not words[0].startswith(("-c", "-m")):
        path = os.path.realpath(words[0])
        if os.path.isdir(path):
            return path
        return "" if sys.flags.safe_path else os.path.dirname(path)
    return "" if sys.flags.safe_path else working_directory() or ""


def _prepare(words: list[str]) -> Prepared:
    """How to execute the program, and which names python deletes from `__main__` when it has ended."""
    if words[0].startswith(("-c", "-m")):
        start = _command if words[0].startswith("-c") else _module
        return start(*_operand(words))
    return _standard_input(words) if words[0] == "-" else _path(words)


def _operand(words: list[str]) -> tuple[str, list[str]]:
    """Splits `-c code ...` or, glued as getopt(3) allows, `-ccode ...`."""
    glued = words[0][2:]
    return (glued, words[1:]) if glued else (words[1], words[2:])


def _command(text: str, arguments: list[str]) -> Prepared:
    source = text + "\n"
    sys.audit("cpython.run_command", source)
    if sys.version_info >= (3, 14):
        source = dedented(source)
    sys.argv[:] = ["-c", *arguments]
    namespace = main_namespace()

    def execute() -> None:
        code = compile(source, "<string>", "exec", dont_inherit=True)
        if sys.version_info >= (3, 13):
            # Python/pythonrun.c, run_mod(): tracebacks of a command show its lines since 3.13.
            import linecache

            key = code if sys.version_info >= (3, 14) else "<string>"
            linecache._register_code(key, source, "<string>")  # type: ignore[attr-defined]
        lead_path("")
        exec(code, namespace)

    return execute, ()


def _module(name: str, arguments: list[str]) -> Prepared:
    sys.audit("cpython.run_module", name)
    sys.argv[:] = ["-m", *arguments]
    directory = working_directory()
    if directory is not None:
        lead_path(directory)
    return _by_runpy(name, alter_argv=True)


def _standard_input(words: list[str]) -> Prepared:
    sys.audit("cpython.run_stdin")
    sys.argv[:] = words
    if sys.stdin is not None and sys.stdin.isatty():
        lead_path("")
        namespace = main_namespace()
        return lambda: interact(namespace), ()
    return _file("<stdin>", BuiltinImporter, _read_standard_input, directory="")


def _read_standard_input() -> bytes:
    # As python does, from the descriptor to its end and past `sys.stdin`, whose buffer stays empty.
    try:
        with open(0, "rb", buffering=0, closefd=False) as stream:
            return stream.read()
    except OSError:  # a closed or unreadable standard input is an empty program to python
        return b""


def _path(words: list[str]) -> Prepared:
    sys.argv[:] = words
    path = absolute(words[0])
    if has_importer(path):  # a directory or an archive; leads the path even under -P
        sys.path.insert(0, path)
        return _by_runpy("__main__", alter_argv=False)
    sys.audit("cpython.run_file", path)
    data = _read(path)
    kind = SourcelessFileLoader if is_bytecode(path, data) else SourceFileLoader
    return _file(path, kind("__main__", path), lambda: data, os.path.dirname(os.path.realpath(path)))


def _read(path: str) -> bytes:
    import io

    try:
        with io.open_code(path) as file:
            return file.read()
    except OSError as error:
        # Modules/main.c, pymain_run_file_obj()
        reason = f"[Errno {error.errno}] {error.strerror}"
        sys.stderr.write(f"{sys.orig_argv[0]}: can't open file {path!r}: {reason}\n")
        raise SystemExit(2) from None


def _file(name: str, loader: object, read: Callable[[], bytes], directory: str) -> Prepared:
    namespace = main_namespace(loader)
    lent: dict[str, object] = {"__file__": name}
    if sys.version_info < (3, 15):
        lent["__cached__"] = None
    namespace.update(lent)

    def execute() -> None:
        data = read()
        code = load_bytecode(data) if is_bytecode(name, data) else compile_file(data, name)
        # Only now: what reading and compiling import must not come from the program's directory.
        lead_path(directory)
        exec(code, namespace)

    # Python/pythonrun.c, _PyRun_SimpleFile(): these names are gone when exit handlers run; up to Python 3.13 not where
    # the program ended with SystemExit.
    return execute, tuple(lent)


def _by_runpy(name: str, alter_argv: bool) -> Prepared:
    main_namespace()
    # Modules/main.c, pymain_run_module(): this very call, private as it is, so its frames and messages are python's.
    from runpy import _run_module_as_main  # type: ignore[attr-defined]

    return lambda: _run_module_as_main(name, alter_argv), ()


# The interactive session that `python -` is when standard input is a terminal.


def interact(namespace: dict[str, object]) -> None:
    """Reads, evaluates and prints in `namespace` until the end of input, with line editing where there is any."""
    from code import interact

    if hasattr(sys, "__interactivehook__"):
        sys.__interactivehook__()
    hint = 'Type "help", "copyright", "credits" or "license" for more information.'
    interact(f"Python {sys.version} on {sys.platform}\n{hint}", local=namespace, exitmsg="")


# Let the interpreter report a program's uncaught exception, without our frames.
#
# `PyErr_PrintEx()` does a dozen things (sys.last_exc, audit events, SystemExit from a hook, death by SIGINT after
# KeyboardInterrupt), so the exception is left to propagate, and only the call of `sys.excepthook` is intercepted:
# by then the stack is empty again, and the frames that propagation prepended can be cut off.


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
