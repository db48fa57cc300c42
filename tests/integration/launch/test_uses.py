"""What programs and tools do with `__main__` works: pickle, multiprocessing, inspect, debuggers, test runners."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys

import pytest

from tests.support.both import OPTIONS, Both

POOL = """
import multiprocessing, sys

class Point:
    def __init__(self, x):
        self.x = x

def double(point):
    return Point(point.x * 2), __name__, sys.argv, sys.path[0]

if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        point, name, argv, path = pool.apply(double, (Point(21),))
    pool.join()
    print(point.x, type(point) is Point, name, argv, path)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("words", [["pool.py", "a"], ["-m", "pkg.pool", "a"]], ids=str)
def test_multiprocessing_imports_main_again(both: Both, words: list[str], method: str) -> None:
    both.write("pool.py", POOL.format(method=method))
    both.write("pkg/pool.py", POOL.format(method=method))
    both.write("pkg/__init__.py", "")
    assert both.alike(*words).stdout.startswith(b"42 True __mp_main__")


def test_pickle_by_reference_to_main(both: Both) -> None:
    both.write("pickled.py", "import pickle\nclass C: pass\nprint(pickle.dumps(C), pickle.loads(pickle.dumps(C)) is C)")
    assert b"True" in both.alike("pickled.py").stdout


def test_inspect_finds_the_source(both: Both) -> None:
    both.write(
        "looks.py",
        "import inspect, sys\ndef f():\n    return 1\nprint(inspect.getsource(f))\nprint(inspect.getfile(f))",
    )
    assert b"return 1" in both.alike("looks.py").stdout


def test_future_statements_are_the_programs_own(both: Both) -> None:
    both.write("future.py", "def f(x: 1): pass\nprint(f.__annotations__, f.__code__.co_flags)")
    assert b"{'x': 1}" in both.alike("future.py").stdout
    both.alike("-c", "def f(x: 1): pass\nprint(f.__annotations__)")
    both.alike("-", stdin=b"def f(x: 1): pass\nprint(f.__annotations__)")


TOOLS = {
    "-m pdb": (["-m", "pdb", "program.py", "x"], b"b 3\nc\np a\nw\nq\n"),
    "-m unittest": (["-m", "unittest", "-v", "test_it.py"], b""),
    "-m timeit": (["-m", "timeit", "-n", "1", "-r", "1", "pass"], b""),
    "-m cProfile": (["-m", "cProfile", "-s", "name", "program.py", "x"], b""),
    "-m trace": (["-m", "trace", "--count", "--summary", "-C", "counts", "program.py"], b""),
    "-m runpy": (["-m", "runpy", "program", "x"], b""),
    "-m pytest": (["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"], b""),
}


@pytest.mark.parametrize(("words", "stdin"), TOOLS.values(), ids=TOOLS)
def test_tools_run_programs(both: Both, words: list[str], stdin: bytes) -> None:
    both.write("program.py", "import sys\na = sys.argv[1:]\nprint(a, __name__, __file__)\n")
    both.write("test_it.py", "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertTrue(1)\n")
    expected, got = both.python(*words, stdin=stdin), both.socksify(*words, stdin=stdin)
    assert got.returncode == expected.returncode
    assert timeless(got.stdout) == timeless(expected.stdout)
    assert timeless(got.stderr) == timeless(expected.stderr)


def timeless(output: bytes) -> bytes:
    """Without numbers, which are times and line counts, and without the launcher's frames below pdb's."""
    output = re.sub(rb"  /[^\n]*/socksify/[^\n]*\n->[^\n]*\n", b"", output)
    return re.sub(rb"\d+(\.\d+)?(e[+-]\d+)? ?(nsec|usec|msec|sec|s)?", b"0", output)


def test_breakpoint_in_a_script(both: Both) -> None:
    both.write("stops.py", "x = 1\nbreakpoint()\nx = 2\nprint(x)\n")
    both.alike("stops.py", stdin=b"p x\nn\np x\nc\n")


def test_warnings_as_errors_do_not_reach_the_launcher(both: Both) -> None:
    both.write("quiet.py", "print('quiet')")
    assert both.alike("quiet.py", flags=["-W", "error", "-X", "dev", "-b", "-b"]).stderr == b""


def test_interrupt_from_outside(both: Both) -> None:
    program = (
        "import os, signal, threading\n"
        "threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()\n"
        "signal.pause()\n"
    )
    both.write("waits.py", program)
    assert both.alike("waits.py").returncode == -2


def test_standard_input_is_read_to_its_end_and_no_more(both: Both) -> None:
    both.alike("-", stdin=b"import sys\nprint(repr(sys.stdin.read()), sys.argv)")
    both.alike("-c", "print(input())", stdin=b"line\nmore")
    script = both.write("from_file.py", "import sys\nprint(sys.stdin.buffer.tell())")
    outputs = []
    for command in ([sys.executable, "-"], [sys.executable, "-m", "socksify", *OPTIONS, "-"]):
        with script.open("rb") as stdin:
            outputs.append(
                subprocess.run(command, stdin=stdin, capture_output=True, timeout=60, cwd=both.directory).stdout
            )
    assert outputs[0] == outputs[1] != b""


def test_closed_standard_input_is_an_empty_program(both: Both) -> None:
    for start in ("", f"'-m', 'socksify', {', '.join(map(repr, OPTIONS))},"):
        result = both.python(
            "-c", f"import os, sys\nos.close(0)\nos.execv(sys.executable, [sys.executable, {start} '-'])"
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_a_terminal_gets_an_interactive_session(both: Both) -> None:
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "socksify", *OPTIONS, "-"], stdin=slave, stdout=slave, stderr=slave, cwd=both.directory
    )
    os.close(slave)
    os.write(master, b"print(6 * 7, __name__)\nraise SystemExit(4)\n")
    said = b""
    while child.poll() is None or select.select([master], [], [], 0)[0]:
        if select.select([master], [], [], 10)[0]:
            try:
                said += os.read(master, 4096)
            except OSError:  # EIO: the other end has been closed
                break
    os.close(master)
    assert child.wait(timeout=10) == 4
    assert b"42 __main__" in said
