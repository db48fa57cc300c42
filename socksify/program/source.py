"""Turns the file of a program into code, with the same errors as python.

`compile()` uses the tokenizer for strings, and `python file` uses the tokenizer for files. They differ in two things:
the text of a few errors (encodings, null bytes, a last line without an end), and a comment that is not UTF-8, which
only the tokenizer for files refuses.
"""

from __future__ import annotations

import builtins
import os
import sys
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType


def is_bytecode(path: str, data: bytes) -> bool:
    """Return True for a .pyc: by its name, or by the first half of the magic number, as maybe_pyc_file() does."""
    return path.endswith(".pyc") or data[:2] == MAGIC_NUMBER[:2]


def load_bytecode(data: bytes) -> CodeType:
    """Return the code object of a .pyc. Raises RuntimeError or EOFError, as run_pyc_file() does, for other data."""
    import marshal
    from types import CodeType

    if data[:4] != MAGIC_NUMBER and (len(data) >= 4 or sys.version_info < (3, 13)):
        raise RuntimeError("Bad magic number in .pyc file")
    if len(data) < 16:
        raise EOFError("EOF read where not expected")
    try:
        code = marshal.loads(data[16:])
    except (ValueError, EOFError, TypeError):
        code = None
    if not isinstance(code, CodeType):
        raise RuntimeError("Bad code object in .pyc file")
    return code


def compile_file(data: bytes, name: str) -> CodeType:
    """Return the code object of the source file `name` with this content. Raises SyntaxError as `python name` does."""
    refusal: Exception | None = None
    try:
        if _is_readable(data):
            return compile(data, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        refusal = error
    _raise_as_python(data, name)
    raise refusal or SyntaxError(f"Non-UTF-8 code in file {name}, but no encoding declared")


def dedented(command: str) -> str:
    """Return the text of `-c` without the blanks at the beginning of all lines, as Python 3.14 and later read it.

    This is _PyUnicode_Dedent(), which differs from textwrap.dedent(): only spaces and tabs are blanks, and if the lines
    have no blanks in common, lines of blanks alone stay as they are.
    """
    lines = command.split("\n")
    blanks = [line[: -len(line.lstrip(" \t"))] for line in lines if line.strip(" \t")]
    # A prefix that the first and the last line in sorted order have in common is common to all lines.
    common = "".join(a for a, b in zip(min(blanks, default=""), max(blanks, default=""), strict=False) if a == b)
    if not common:
        return command
    return "\n".join(line.removeprefix(common) if line.strip(" \t") else "" for line in lines)


def _is_readable(data: bytes) -> bool:
    """Return True if the bytes are UTF-8, or declare another encoding."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        from tokenize import detect_encoding

        lines = iter(data.splitlines(keepends=True))
        return detect_encoding(lambda: next(lines, b""))[0] not in ("utf-8", "utf-8-sig")
    return True


def _raise_as_python(data: bytes, name: str) -> None:
    """Read the data again with the tokenizer for files, which raises the same error as python.

    Return if this tokenizer cannot be called.
    """
    try:
        import ctypes

        fdopen, run_file = ctypes.CDLL(None).fdopen, ctypes.pythonapi.PyRun_FileExFlags
        # A real descriptor is necessary: with a declared encoding, python reads by io.open(fileno(file)).
        descriptor = os.memfd_create("program")
    except (ImportError, OSError, AttributeError):
        return
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fdopen.restype, fdopen.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_char_p)
    pointer, integer, value = ctypes.c_void_p, ctypes.c_int, ctypes.py_object
    run_file.restype, run_file.argtypes = value, (pointer, ctypes.c_char_p, integer, value, value, integer, pointer)
    py_file_input, close_it = 257, 1
    # No code runs, because both tokenizers refuse this source. The builtins are for the codec that it imports.
    namespace: dict[str, object] = {"__builtins__": builtins}
    run_file(fdopen(descriptor, b"r"), os.fsencode(name), py_file_input, namespace, namespace, close_it, None)
