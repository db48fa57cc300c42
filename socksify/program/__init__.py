"""Runs a program as `python` itself would run it, in the existing `__main__`.

The model is CPython's Modules/main.c and Python/pythonrun.c. `pymain_run_python()` distinguishes a command, a module, a
directory or zip archive, a file, and standard input. This module sets the same things for each (`sys.argv`,
`sys.path[0]`, the content of `__main__`), and calls the same Python functions. One difference cannot be avoided: our
frames are *below* the frames of the program, and `sys._getframe()` can see them.

Tracebacks do not show our frames. `PyErr_PrintEx()` does a dozen things (sys.last_exc, audit events, SystemExit from a
hook, death by SIGINT after KeyboardInterrupt). Therefore an uncaught exception propagates to the interpreter, and only
the call of `sys.excepthook` is intercepted: by then the stack is empty again, and our frames can be cut off.
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
    from types import TracebackType

    Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]
    # How to execute a program, and the names that python deletes from `__main__` when the program has ended.
    Prepared = tuple[Callable[[], object], tuple[str, ...]]

# Read at import time, because the report of an exception must not need another import.
_display: Hook = sys.__excepthook__


def run(words: Sequence[str]) -> None:
    """Run the program that `words` name: the words that follow `python` on its command line.

    `words` begin with a script, a directory, a zip archive, `-m module`, `-c code` or `-`. Return when the program has
    ended. Raises SystemExit if python would exit at once, and every exception that the program does not catch. If such
    an exception reaches the interpreter, the report shows no frame of ours.
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
    """Return the directory in which imports of the program look first; "" without one (-P, -I)."""
    if words[0] != "-" and not words[0].startswith(("-c", "-m")):
        path = os.path.realpath(words[0])
        if os.path.isdir(path):
            return path
        return "" if sys.flags.safe_path else os.path.dirname(path)
    return "" if sys.flags.safe_path else working_directory() or ""


def _prepare(words: list[str]) -> Prepared:
    if words[0].startswith(("-c", "-m")):
        start = _command if words[0].startswith("-c") else _module
        return start(*_operand(words))
    return _standard_input(words) if words[0] == "-" else _path(words)


def _operand(words: list[str]) -> tuple[str, list[str]]:
    """Split `-c code ...`, or `-ccode ...` without a blank, as getopt(3) allows it."""
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
    # Like python, this reads the descriptor to its end, and not `sys.stdin`, whose buffer stays empty.
    try:
        with open(0, "rb", buffering=0, closefd=False) as stream:
            return stream.read()
    except OSError:  # to python, a standard input that is closed or cannot be read is an empty program
        return b""


def _path(words: list[str]) -> Prepared:
    sys.argv[:] = words
    path = absolute(words[0])
    if has_importer(path):  # a directory or an archive is first on the path even under -P
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
    temporary: dict[str, object] = {"__file__": name}
    if sys.version_info < (3, 15):
        temporary["__cached__"] = None
    namespace.update(temporary)

    def execute() -> None:
        data = read()
        code = load_bytecode(data) if is_bytecode(name, data) else compile_file(data, name)
        # The path is changed after reading and compiling, which must not import modules from the program's directory.
        lead_path(directory)
        exec(code, namespace)

    # Python/pythonrun.c, _PyRun_SimpleFile(): these names are deleted before exit handlers run. Up to Python 3.13 they
    # stay if the program has ended with SystemExit.
    return execute, tuple(temporary)


def _by_runpy(name: str, alter_argv: bool) -> Prepared:
    main_namespace()
    # Modules/main.c, pymain_run_module() calls this private function. So the frames and messages are those of python.
    from runpy import _run_module_as_main  # type: ignore[attr-defined]

    return lambda: _run_module_as_main(name, alter_argv), ()


def interact(namespace: dict[str, object]) -> None:
    """Run the interactive session of `python -` on a terminal, in `namespace`, until the end of input."""
    from code import interact

    if hasattr(sys, "__interactivehook__"):
        sys.__interactivehook__()
    hint = 'Type "help", "copyright", "credits" or "license" for more information.'
    interact(f"Python {sys.version} on {sys.platform}\n{hint}", local=namespace, exitmsg="")


def leave_report_to_python(error: BaseException, afterwards: Callable[[], None]) -> None:
    """Arrange that `error`, which the caller re-raises, is reported without our frames.

    The current hook is restored before it is called, so neither the hook nor an exit handler sees a difference.
    `afterwards` is called after the report.
    """
    traceback = _beyond_our_frames(error.__traceback__)
    hook: Hook = getattr(sys, "excepthook", _display_without_hook)

    def excepthook(kind: type[BaseException], value: BaseException, reported: TracebackType | None) -> None:
        sys.excepthook = hook
        if value is not error:  # another exception has replaced it
            hook(kind, value, reported)
            return
        sys.last_traceback = value.__traceback__ = traceback
        _call(hook, value, traceback)
        afterwards()

    sys.excepthook = excepthook


def _display_without_hook(kind: type[BaseException], value: BaseException, tb: TracebackType | None) -> None:
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
        # The text is that of Python/pythonrun.c, _PyErr_PrintEx().
        sys.stderr.write("Error in sys.excepthook:\n")
        inner = broken.__traceback__ and broken.__traceback__.tb_next
        _display(type(broken), broken.with_traceback(inner), inner)
        sys.stderr.write("\nOriginal exception was:\n")
        _display(type(value), value, traceback)
