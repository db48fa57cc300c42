"""Source files are refused with the same error as by python, for the faults that each of its two tokenizers finds."""

from __future__ import annotations

import marshal
import sys
from importlib.util import MAGIC_NUMBER

import pytest

from socksify.program.source import compile_file, is_bytecode, load_bytecode
from tests.support.both import Both

WRONG = {
    "invalid": b"x = = 1\n",
    "second line": b"x = 1\ny = = 2\n",
    "in brackets": b"x = (1,\n  2 3,\n 4)\n",
    "indentation": b"def f():\nx=1\n",
    "tabs": b"if 1:\n\tx=1\n        y=2\n",
    "unterminated string": b"x = 'abc\n",
    "unterminated text": b"a=1\nx='''abc\n",
    "unclosed": b"x = (1,\n2\n",
    "null byte": b"x=1\nprint(1)\0\n",
    "null byte at the end": b"x=1\n\0",
    "latin-1 undeclared": b"x=1\ny='\xe9'\n",
    "latin-1 in a comment": b"# caf\xe9\nprint(1)\n",
    "latin-1 far below": b"x=1\n" * 3000 + b"y='\xe9'\n",
    "utf-8 declared, latin-1 given": b"# coding: utf-8\nx='\xe9'\n",
    "ascii declared, utf-8 given": b"# coding: ascii\nx='\xc3\xa9'\n",
    "unknown encoding": b"# -*- coding: foobar -*-\nx=1\n",
    "utf-8 mark, latin-1 declared": b"\xef\xbb\xbf# coding: latin-1\nx=1\n",
    "utf-16": "x=1\n".encode("utf-16"),
    "wrong in latin-1": b"# coding: latin-1\nx='\xe9' =\n",
    "not a letter": "x = 1 \u20ac 2\n".encode(),
    "no end of line": b"x = 1\nif x:",
    "return outside": b"x=1\nreturn 5\n",
    "future": b"from __future__ import nope\n",
    "nonlocal": b"def f():\n    nonlocal x\n",
    "f-string": b"x = f'{a b}'\n",
    "escape": b"x='\\N{nope}'\n",
    "nesting": b"(" * 300 + b")" * 300,
    "dos": b"x=1\r\ny = = 2\r\n",
    "mac": b"x=1\ry = = 2\r",
}
RIGHT = {
    "empty": b"",
    "utf-8": "print('\u00e9')".encode(),
    "utf-8 mark": b"\xef\xbb\xbfprint('\xc3\xa9')",
    "latin-1": b"# coding: latin-1\nprint('\xe9')",
    "latin-1 in line two": b"#!/usr/bin/python\n# vim: set fileencoding=latin-1 :\nprint('\xe9')",
    "shift-jis": "# coding: shift-jis\nprint('\u30bd')".encode("shift-jis"),
    "dos": b"x = '''a\r\nb'''\r\nprint(repr(x))\r\n",
    "mac": b"x = 1\rprint(x)\r",
    "form feed": b"\x0cprint(1)",
    "no end of line": b"if 1:\n  print(1)",
    "warnings": b"print('\\d', 1 is 1)\nassert (1, 'x')\n",
}
# From a pipe, which it cannot read again from its start, python takes no other encoding than UTF-8.
NOT_FROM_PIPES = {"latin-1", "latin-1 in line two", "shift-jis", "wrong in latin-1"}
# From Python 3.14 on it tries to go back to the start of the pipe in order to show the line, and says ESPIPE instead.
ILLEGAL_SEEK = {"ascii declared, utf-8 given", "unknown encoding"} if sys.version_info >= (3, 14) else set()


@pytest.mark.parametrize("source", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_alike(both: Both, source: bytes) -> None:
    both.write("wrong.py", source)
    assert both.alike("wrong.py").returncode == 1


@pytest.mark.parametrize("name", sorted({*WRONG, *RIGHT} - NOT_FROM_PIPES))
def test_standard_input_is_read_alike(both: Both, name: str) -> None:
    source = WRONG.get(name) or RIGHT[name]
    if name not in ILLEGAL_SEEK:
        both.alike("-", stdin=source)
        return
    expected, got = both.python("-", stdin=source), both.socksify("-", stdin=source)
    assert b"Illegal seek" in expected.stderr
    assert (got.returncode, got.stdout) == (expected.returncode, expected.stdout)
    assert b"SyntaxError" in got.stderr


def test_a_pipe_may_hold_another_encoding_for_us(both: Both) -> None:
    result = both.socksify("-", stdin=RIGHT["latin-1"])
    assert (result.returncode, result.stdout) == (0, "\u00e9\n".encode())


@pytest.mark.parametrize("source", RIGHT.values(), ids=RIGHT)
def test_a_right_file_runs_alike(both: Both, source: bytes) -> None:
    both.write("right.py", source)
    assert both.alike("right.py").returncode == 0


def test_what_compiling_imports_is_not_the_programs(both: Both) -> None:
    """The error for an undeclared encoding needs tokenize and ctypes, but not files of these names beside it."""
    for name in ("ctypes", "tokenize", "struct", "token", "os"):
        both.write(f"{name}.py", f"print('hijacked by {name}')")
    both.write("wrong.py", b"x = '\xe9'")
    result = both.socksify("wrong.py")
    assert result.stdout == b""
    assert b"SyntaxError: Non-UTF-8 code" in result.stderr


def test_bytecode_that_is_not(both: Both) -> None:
    both.write("text.pyc", "print(1)")
    both.write("good.py", "print(1)")
    assert b"Bad magic number" in both.alike("text.pyc").stderr
    both.python("-c", "import py_compile; py_compile.compile('good.py', 'good.pyc')")
    good = (both.directory / "good.pyc").read_bytes()
    for name, data in {"cut": good[:20], "empty": good[:16], "number": good[:16] + marshal.dumps(5)}.items():
        both.write(f"{name}.pyc", data)
        assert b"Bad code object" in both.alike(f"{name}.pyc").stderr
    for length in (0, 3, 4, 15):
        both.write("short.pyc", good[:length])
        both.alike("short.pyc")
    both.write("raises.py", "def f():\n    1 / 0\n\n\nf()")
    both.python("-c", "import py_compile; py_compile.compile('raises.py', 'raises.pyc')")
    both.alike("raises.pyc")


def test_bytecode_is_known_by_name_or_by_magic() -> None:
    compiled = compile_file(b"answer = 6 * 7", "x.py")
    data = MAGIC_NUMBER + bytes(12) + marshal.dumps(compiled)
    assert is_bytecode("x.pyc", b"")
    assert is_bytecode("x", data)
    assert not is_bytecode("x.py", b"print(1)")
    namespace: dict[str, object] = {}
    exec(load_bytecode(data), namespace)
    assert namespace["answer"] == 42


def test_an_encoding_must_be_declared() -> None:
    with pytest.raises(SyntaxError, match=r"Non-UTF-8 code starting with '\\xe9' in file x.py on line"):
        # Python 3.14 and later let a single comment pass, and count the lines otherwise.
        compile_file(b"x = 1\n# \xe9", "x.py")
