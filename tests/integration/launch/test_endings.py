"""How a program ends is what python makes of it: status, both outputs, the order of what runs at the end."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.support.both import OPTIONS, Both

ENDINGS = {
    "end": "print('done')",
    "exit()": "import sys; sys.exit()",
    "exit(3)": "import sys; sys.exit(3)",
    "exit(bye)": "import sys; sys.exit('bye')",
    "exit(tuple)": "raise SystemExit((1, 2))",
    "exit(big)": "raise SystemExit(1 << 40)",
    "os._exit": "import os; os._exit(7)",
    "raise": "def f():\n    1 / 0\n\n\nf()",
    "raise a group": "raise ExceptionGroup('all', [ValueError(1), KeyError('x')])",
    "chained": "try:\n    {}['x']\nexcept KeyError as e:\n    raise ValueError('no') from e",
    "in context": "try:\n    {}['x']\nexcept KeyError:\n    1 / 0",
    "noted": "e = ValueError('v')\ne.add_note('a note')\nraise e",
    "without traceback": "raise ValueError('v').with_traceback(None)",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "interrupt": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('not reached')",
    "KeyboardInterrupt": "def f():\n    raise KeyboardInterrupt\n\n\nf()",
    "KeyboardInterrupt subclass": "class Mine(KeyboardInterrupt): pass\n\n\nraise Mine",
    "BaseException": "raise BaseException('base')",
    "GeneratorExit": "raise GeneratorExit",
    "atexit": "import atexit\natexit.register(print, 'at exit')\nprint('end')",
    "atexit after raise": "import atexit\natexit.register(print, 'at exit')\n1 / 0",
    "atexit sees main": "import atexit\natexit.register(lambda: print(sorted(globals())))",
    "atexit sees main after raise": "import atexit\natexit.register(lambda: print(sorted(globals())))\n1 / 0",
    "atexit sees main after exit": "import atexit\natexit.register(lambda: print(sorted(globals())))\nraise SystemExit",
    "exit in atexit": "import atexit, sys\natexit.register(sys.exit, 5)",
    "raise in atexit": "import atexit\natexit.register(lambda: 1 / 0)",
    "thread outlives main": (
        "import atexit, threading\natexit.register(print, 'at exit')\n"
        "def late():\n    threading.main_thread().join()\n    print('thread', '__file__' in globals())\n\n\n"
        "threading.Thread(target=late).start()\nprint('end')"
    ),
    "raise in a thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='T')\nt.start()\nt.join()",
    "exit in a thread": "import sys, threading\nt = threading.Thread(target=sys.exit, args=(3,))\nt.start()\nt.join()",
    "del at the end": "class D:\n    def __del__(self):\n        print('gone', __name__)\n\n\nd = D()",
    "hook": "import sys\nsys.excepthook = lambda *a: print('hook', a, a[2].tb_frame.f_code)\n1 / 0",
    "hook on interrupt": "import sys\nsys.excepthook = lambda *a: print('hook', a[0])\nraise KeyboardInterrupt",
    "hook raises": "import sys\n\n\ndef hook(*a):\n    raise KeyError('hook')\n\n\nsys.excepthook = hook\n1 / 0",
    "hook exits": "import sys\nsys.excepthook = lambda *a: sys.exit(9)\n1 / 0",
    "hook is none": "import sys\nsys.excepthook = None\n1 / 0",
    "hook is missing": "import sys\ndel sys.excepthook\n1 / 0",
    "hook looks at sys": (
        "import sys\n\n\ndef hook(kind, value, tb):\n"
        "    print(sys.excepthook is hook, sys.last_value is value, sys.last_traceback is tb, sys.last_type is kind)\n"
        "    print(value.__traceback__ is tb, value.__context__, sys.exc_info())\n"
        "    print(getattr(sys, 'last_exc', value) is value)\n"
        "\n\nsys.excepthook = hook\n1 / 0"
    ),
    "last exception at exit": (
        "import atexit, sys, traceback\n"
        "atexit.register(lambda: (traceback.print_last(), print(sys.excepthook is sys.__excepthook__)))\n1 / 0"
    ),
    "no stderr": "import sys\nsys.stderr = None\n1 / 0",
    "warning": "import warnings\nwarnings.warn('careful')\nassert (1, 'always')",
    "unraisable": "class D:\n    def __del__(self):\n        1 / 0\n\n\nD()",
}


@pytest.mark.parametrize("program", ENDINGS.values(), ids=ENDINGS)
def test_a_script_ends_alike(both: Both, program: str) -> None:
    both.write("program.py", program)
    both.alike("program.py")


@pytest.mark.parametrize("program", ENDINGS.values(), ids=ENDINGS)
def test_a_module_ends_alike(both: Both, program: str) -> None:
    both.write("pkg/__init__.py", "")
    both.write("pkg/__main__.py", program)
    both.alike("-m", "pkg")
    both.alike("pkg")


@pytest.mark.parametrize("program", ENDINGS.values(), ids=ENDINGS)
def test_a_command_and_standard_input_end_alike(both: Both, program: str) -> None:
    both.alike("-c", program)
    both.alike("-", stdin=program.encode())


@pytest.mark.parametrize("name", ["raise", "exit(3)", "exit(bye)", "KeyboardInterrupt", "chained", "end"])
def test_the_console_script_ends_alike(both: Both, name: str) -> None:
    both.write("program.py", ENDINGS[name])
    expected, got = both.python("program.py"), both.console_script("program.py")
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("exit(3)", 3),
        ("exit(bye)", 1),
        ("raise", 1),
        ("interrupt", -signal.SIGINT),
        ("KeyboardInterrupt", -signal.SIGINT),
    ],
)
def test_the_statuses_that_everybody_knows(both: Both, name: str, status: int) -> None:
    both.write("program.py", ENDINGS[name])
    assert both.alike("program.py").returncode == status


def test_no_frame_of_ours_in_a_traceback(both: Both) -> None:
    both.write("program.py", ENDINGS["raise"])
    assert b"socksify" not in both.alike("program.py").stderr


@pytest.mark.parametrize(
    "words",
    [
        ["missing.py"],
        ["no/such/dir/x.py", "arg"],
        ["-m", "no_such_module"],
        ["-m", "no_such_package.mod"],
        ["-m", "json.no_such"],
        ["-m", "xml"],
        ["-m", ""],
        ["-m", ".relative"],
        ["-m", "script.py"],
        ["empty"],
        ["not_a_zip.zip"],
        ["secret.py"],
        [""],
    ],
    ids=str,
)
def test_what_cannot_be_run_is_told_in_the_same_words(both: Both, words: list[str]) -> None:
    both.write("script.py", "")
    both.write("empty/nothing", "")
    both.write("not_a_zip.zip", "print('a script after all')")
    (both.directory / "secret.py").symlink_to("secret.py")  # ELOOP: root may read everything else
    both.alike(*words)


def test_a_missing_script_is_status_2(both: Both) -> None:
    assert both.alike("missing.py").returncode == 2


def test_a_removed_working_directory(both: Both) -> None:
    script = both.write("program.py", "import sys; print(sys.argv, sys.path[0])")
    leave = "import os, sys\nos.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')\nos.execv(sys.executable, {})"
    for words in ([str(script)], ["-c", "import sys; print(sys.path[0])"]):
        expected = both.python("-c", leave.format([sys.executable, *words]))
        got = both.python("-c", leave.format([sys.executable, "-m", "socksify", *OPTIONS, *words]))
        assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_the_stack_below_the_program_is_a_few_frames_deeper(both: Both) -> None:
    """The one difference that cannot be had away from Python."""
    both.write("deep.py", "import sys\nn = 0\nf = sys._getframe()\nwhile f:\n    n, f = n + 1, f.f_back\nprint(n)")
    assert int(both.python("deep.py").stdout) == 1
    assert 1 < int(both.socksify("deep.py").stdout) <= 8


INDENTED = {
    "spaces": "\n    import sys\n    print(sys.argv)\n    ",
    "tabs": "\tx = 1\n\tprint(x)",
    "tabs and spaces": "  x = 1\n\tprint(x)",
    "tabs behind spaces": "  x = 1\n  \tprint(x)",
    "deeper": "   if 1:\n     print(1)\n   else:\n     print(2)",
    "a comment less deep": "  # c\n    print(1)",
    "a comment at the margin": "  print(1)\n# c\n  print(2)",
    "blank lines": "   \n  x = 1\n \n\n     \n  print(x)",
    "a text": '  print(repr("""a\n    b\n     \n  c"""))',
    "a text without a margin": 'print(repr("""a\n    b\n     \n  c"""))',
    "a text less deep": '    print("""a\n  b""")',
    "form feed": "\x0c  print(1)",
    "form feed behind": "  \x0c  print(1)",
    "vertical tab": "\n  \x0b\n  print(1)",
    "carriage returns": "  print(1)\r\n  print(2)\r\n",
    "a line goes on": "  \\\n  print(1)",
    "another blank": "  x\u00a0= 1",
    "not ASCII": "  print('\u00e9')",
    "raises": "\n    def f():\n        1 / 0\n\n    f()\n",
    "shows itself": "\n    import inspect, linecache\n    def f(): pass\n    print(linecache.getlines('<string>'))",
    "nothing": "   ",
    "nothing at all": "",
}


@pytest.mark.parametrize("command", INDENTED.values(), ids=INDENTED)
def test_an_indented_command_is_read_alike(both: Both, command: str) -> None:
    """From Python 3.14 on the indentation that all lines have is taken off."""
    both.alike("-c", command)
