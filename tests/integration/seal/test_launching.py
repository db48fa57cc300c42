"""A sealed program is started, stopped and ended as it would be without a seal, and its world is the same."""

from __future__ import annotations

import json
import os
import resource
import select
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.both import Both
from tests.support.paths import ROOT
from tests.support.sealed import SEAL, SECONDS, Sealed, sealed
from tests.support.targets import Target
from tests.support.terminals import soon

# From version 3.5 on, libffi keeps its own file open. The seal imports ctypes, so the program does so natively as well.
WORLD = f"import ctypes\n{(ROOT / 'tests/integration/launch/world.py').read_text()}"


pytestmark = pytest.mark.usefixtures("sealed_system")

# Tells its number and that of its parent, then the signals that it gets, until its input ends.
LISTENING = """
import os, signal, sys
for number in (1, 2, 3, 10, 12, 15, 34):
    signal.signal(number, lambda number, _: os.write(1, f"{number}\\n".encode()))
print(os.getpid(), os.getppid(), flush=True)
for line in sys.stdin:
    exec(line)
"""


def family(program: Sealed) -> tuple[int, int]:
    """Read the numbers of the program and its supervisor."""
    number, parent = map(int, program.line().split())
    return number, parent


@pytest.mark.every_version
@pytest.mark.parametrize("program", ["", "raise SystemExit(3)", "1 / 0", "import os; os._exit(255)"])
def test_an_exit_status_is_the_same(both: Both, program: str) -> None:
    expected = both.python("-c", program)
    got = both.socksify("--seal=on", "-c", program)
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT, signal.SIGHUP])
def test_a_death_by_a_signal_is_the_same(both: Both, number: int) -> None:
    got = both.socksify("--seal=on", "sh", "-c", f"kill -{number} $$")
    assert (got.returncode, got.stdout, got.stderr) == (-number, b"", b"")


def test_a_dead_program_leaves_one_core_file_at_most(both: Both) -> None:
    """The launcher dies by the same signal, and leaves none of its own."""
    core = both.python("-c", "import os; os.abort()"), both.socksify("--seal=on", "-c", "import os; os.abort()")
    assert [result.returncode for result in core] == [-signal.SIGABRT] * 2
    assert len(list(both.directory.glob("core*"))) <= 2


# A child continues the program, or kills it, when the launcher has stopped as well.
STOPPED = """
import os, signal, sys, time
def status(number):
    with open(f"/proc/{number}/stat") as file:
        return file.read().rpartition(")")[2].split()
own, launcher = os.getpid(), int(status(os.getppid())[1])
if os.fork() == 0:
    os.kill(own, signal.SIGSTOP)
    while status(launcher)[0] != "T":
        time.sleep(0.01)
    os.kill(own, int(sys.argv[1]))
    os._exit(0)
os.wait()
"""


KILLED = """
import os, signal, time
own = os.getpid()
if os.fork() == 0:
    os.kill(own, signal.SIGSTOP)
    while open(f"/proc/{own}/stat").read().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
    # The launcher has time to stop, if it does.
    time.sleep(0.2)
    os.kill(own, signal.SIGKILL)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGCONT, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_program_that_another_process_continues(both: Both, number: int, status: int) -> None:
    # A group whose members have all their parents in it is orphaned, and the kernel does not stop a launcher there.
    job = replace(both, process_group=0)
    assert job.socksify("--seal=on", "-c", STOPPED, str(int(number))).returncode == status


def test_a_stopped_program_that_is_killed_leaves_its_group_alone(both: Both) -> None:
    """setpgid(2): a group that becomes orphaned, and has a stopped process, gets SIGHUP."""
    words = [sys.executable, "-m", "socksify", "--proxy", "socks5h://127.0.0.1:9", "--seal=on", "-c", KILLED]
    script = f"{shlex.join(words)}; echo $?"
    ended = subprocess.run(
        ["sh", "-c", script], capture_output=True, start_new_session=True, timeout=60, cwd=both.directory
    )
    assert (ended.returncode, ended.stdout) == (0, b"137\n")


def test_interrupting_ends_as_under_python(both: Both) -> None:
    program = "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nfinally:\n    print('finally')"
    expected = both.python("-c", program)
    got = both.socksify("--seal=on", "-c", program)
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)


@pytest.mark.parametrize("words", [["script.py", "a"], ["-m", "script"], ["-c", WORLD]], ids=["file", "-m", "-c"])
def test_a_python_sees_the_same_world(both: Both, words: list[str]) -> None:
    both.write("script.py", WORLD)
    expected = both.python(*words, stdin=b"left")
    got = both.socksify("--seal=on", *words, stdin=b"left")
    assert (got.returncode, got.stderr) == (0, b"")
    theirs, ours = json.loads(expected.stdout), json.loads(got.stdout)
    # Patched code may import more.
    assert {name: ours[name] for name in theirs} == theirs


def inheritance() -> None:
    os.umask(0o027)
    os.nice(3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
    for number in (signal.SIGHUP, signal.SIGCHLD, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


TOLD = """
umask; nice; ulimit -n; ulimit -Hn; pwd; readlink /proc/self/fd/*
grep -E '^(Sig[^Q]|Shd|NSsid|NSpgid)' /proc/self/status
"""


def test_a_command_inherits_the_same(tmp_path: Path) -> None:
    """Limits, signals, descriptors, directory, session and process group are those of the launcher."""
    (tmp_path / "passed").touch()
    with open(tmp_path / "passed") as passed, open(tmp_path / "out", "w+") as output:
        told = []
        for before in ([], [sys.executable, "-m", "socksify", *SEAL, "--no-children"]):
            output.truncate(0)
            output.seek(0)
            subprocess.run(
                [*before, "sh", "-c", TOLD],
                stdin=passed,
                stdout=output,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=(passed.fileno(),),
                preexec_fn=inheritance,
                check=True,
                timeout=SECONDS,
            )
            told.append((tmp_path / "out").read_text())
    assert told[0].split("\n") == told[1].split("\n")


@pytest.mark.parametrize("options", [["--seal=on", "-c", ""], ["--strict", "-c", ""], ["cat"]], ids=" ".join)
def test_a_log_that_cannot_be_opened_is_an_error_of_its_own(both: Both, options: list[str]) -> None:
    refused = both.socksify("--log", "missing/log", *options)
    path = both.directory / "missing/log"
    assert refused.returncode == 2
    assert refused.stderr.decode() == f"socksify: --log: [Errno 2] No such file or directory: '{path}'\n"


def test_a_log_has_the_connections_of_all_processes(both: Both, echo_server: Target) -> None:
    script = f"exec 3<>/dev/tcp/127.0.0.1/{echo_server.port}"
    done = both.socksify("--log", "log", "bash", "-c", f"{script}; bash -c '{script}'")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (both.directory / "log").read_text().count(f"connect 127.0.0.1:{echo_server.port} direct") == 2


@pytest.mark.parametrize("name", ["LISTEN_PID", "WATCHDOG_PID"])
def test_a_service_manager_means_the_program(name: str) -> None:
    """It has written the number of the launcher."""
    script = f"export {name}=$$; exec {sys.executable} -m socksify {' '.join(SEAL)} sh -c 'echo ${name} $$'"
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=True)
    told, own = done.stdout.split()
    assert told == own


@pytest.mark.parametrize("number", [1, 2, 3, 10, 12, 15, 34])
def test_a_signal_to_the_launcher_reaches_the_program_once(number: int) -> None:
    with sealed("-c", LISTENING) as program:
        family(program)
        program.process.send_signal(number)
        assert program.line() == str(number)
        program.tell("print('no more', flush=True)")
        assert program.line() == "no more"


@pytest.mark.parametrize("sending", ["os.kill(0, 15)", "__import__('subprocess').run(['sh', '-c', SCRIPT])"])
def test_a_signal_to_the_whole_group_reaches_the_program_once(sending: str) -> None:
    """A program that handles SIGTERM by a signal to its group would otherwise go on for ever."""
    with sealed("-c", LISTENING, start_new_session=True) as program:
        family(program)
        # The shell that sends the signal survives it, since the launcher looks at the sender.
        program.tell("SCRIPT = 'trap : TERM; kill -15 0; sleep 0.2'")
        program.tell(sending)
        assert program.line() == "15"
        program.tell("__import__('time').sleep(0.2); print('no more', flush=True)")
        assert program.line() == "no more"


def test_a_signal_during_the_start_is_not_lost() -> None:
    """Whenever it comes, the launcher ends by it."""
    for delay in range(0, 200, 20):
        with sealed("sleep", "60") as program:
            time.sleep(delay / 1000)
            program.process.terminate()
            assert program.ends() in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_killing_the_launcher_kills_the_program() -> None:
    with sealed("-c", LISTENING) as program:
        number, _ = family(program)
        pidfd = os.pidfd_open(number)
        program.process.kill()
        assert program.ends() == -signal.SIGKILL
        assert select.select([pidfd], [], [], SECONDS)[0]
        os.close(pidfd)


def test_killing_the_supervisor_closes_the_network(echo_server: Target) -> None:
    connect = f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {echo_server.port})), flush=True)"
    with sealed("-c", LISTENING) as program:
        _, supervisor = family(program)
        program.tell(connect)
        assert program.line() == "0"
        os.kill(supervisor, signal.SIGKILL)
        program.tell(f"while os.getppid() == {supervisor}: pass")
        program.tell(connect)
        assert program.line() == "38"
        program.process.send_signal(signal.SIGUSR1)
        assert program.line() == "10"
        program.tell("os._exit(7)")
        assert program.ends() == 7
        assert program.errors == (
            "socksify: the supervisor of the seal has ended, and the network of the program is closed\n"
        )


DAEMON = """
import os, socket, sys
if os.fork():
    os._exit(5)
os.setsid()
with open(sys.argv[1]) as fifo:
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    fifo.read()
with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as sock:
    sock.sendall(b"from the daemon")
    answer = sock.recv(100)
with open(sys.argv[3], "wb") as file:
    file.write(answer)
"""


def test_a_daemon_is_served_after_the_end_of_the_program(tmp_path: Path, echo_server: Target) -> None:
    os.mkfifo(tmp_path / "fifo")
    result = tmp_path / "result"
    with sealed("-c", DAEMON, str(tmp_path / "fifo"), str(echo_server.port), str(result)) as program:
        fifo = os.open(tmp_path / "fifo", os.O_WRONLY)
        assert program.ends() == 5
        # Neither the launcher nor the supervisor keeps the pipes of the program open.
        assert program.process.stdout is not None
        assert program.process.stdout.read() == program.errors == ""
        os.close(fifo)
        soon(lambda: result.exists() and result.read_bytes() == b"from the daemon", "the daemon is not served")


def test_a_reader_sees_the_end_of_an_output_that_the_program_closes() -> None:
    with sealed("-c", "import os, sys; os.close(1); sys.stdin.read()") as program:
        assert program.line() == ""
        assert program.process.poll() is None


def test_a_writer_gets_sigpipe_if_its_reader_ends() -> None:
    with sealed("yes") as program:
        assert program.line() == "y"
        assert program.process.stdout is not None
        program.process.stdout.close()
        assert program.ends() == -signal.SIGPIPE


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2)])
def test_streams_that_are_closed_stay_closed(tmp_path: Path, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for fd in closed:
            os.close(fd)

    told = tmp_path / "told"
    program = f"import ctypes, os; open({str(told)!r}, 'a').write(f'{{os.listdir(\"/proc/self/fd\")}}\\n')"
    for words in (["-c", program], ["-m", "socksify", *SEAL, "-c", program]):
        subprocess.run([sys.executable, *words], preexec_fn=close, cwd=ROOT, timeout=SECONDS, check=True)
    natively, under_seal = told.read_text().splitlines()
    assert under_seal == natively


@pytest.mark.parametrize("limit", [20, 28, 40])
def test_a_supervisor_at_its_limit_of_open_files_ends_with_the_program(limit: int) -> None:
    """It cannot serve the program, and refuses its calls."""
    program = "import socket, sys; sys.exit(socket.socket().connect_ex(('203.0.113.5', 80)) == 0)"
    argv = ["-m", "socksify", *SEAL, sys.executable, "-S", "-E", "-c", program]
    limited = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", sys.executable, *argv]
    # The supervisor keeps standard error open until the program ends.
    done = subprocess.run(limited, cwd=ROOT, stderr=subprocess.PIPE, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
