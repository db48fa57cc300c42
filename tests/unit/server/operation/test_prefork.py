"""Several worker processes on one port: how they start, end, and die."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import free_port
from tests.support.running_sockd import Sockd, ask, sockd
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client


def children(server: Sockd) -> list[int]:
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """True if a process ends soon. The process is not a child, so it must be polled."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def serve_one(server: Sockd, target: Target) -> int:
    """The process that has served the last connection."""
    with server.connect() as stream:
        assert client.ask(stream, 5, *target.address) == 0
    line = server.line(" connect ")
    return int(line.partition("sockd[")[2].partition("]")[0])


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        lines = [line.rpartition(" ") for line in response.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_they_share_a_port_and_the_work(echo_server: Target) -> None:
    with sockd("--workers", "3") as server:
        served = Counter(serve_one(server, echo_server) for _ in range(40))
        assert set(served) <= set(children(server))
        # The kernel spreads connections by a hash of their addresses. All 40 go to one worker with probability 3e-19.
        assert len(served) > 1


def test_the_parent_itself_serves_nobody_and_holds_the_port(echo_server: Target) -> None:
    with sockd("--workers", "2") as server:
        told = ask("--listen", "{}:{}".format(*server.address))
        assert "Address already in use" in told.stderr
        assert serve_one(server, echo_server) != server.process.pid


def test_one_that_crashes_is_replaced_and_the_others_go_on(echo_server: Target) -> None:
    port = free_port()
    with sockd("--workers", "2", "--metrics", f"127.0.0.1:{port}") as server:
        before = set(children(server))
        with server.connect() as stream:
            assert client.ask(stream, 5, *echo_server.address) == 0
            busy = serving(before)
            [idle] = before - {busy}
            os.kill(idle, signal.SIGKILL)
            assert f"worker {idle} ended by itself (signal 9)" in server.line("another takes its place")
            stream.sendall(b"still here")
            assert receive(stream, 10) == b"still here"
        for _ in range(20):
            assert serve_one(server, echo_server) in {busy, *children(server)}
        assert server.process.poll() is None
        until(lambda: len(children(server)) == 2)
        assert metrics(port)["sockd_worker_restarts_total"] == 1


def test_those_that_have_died_leave_nothing_with_the_parent() -> None:
    with sockd("--workers", "2") as server:
        descriptors = Path(f"/proc/{server.process.pid}/fd")
        before = len(os.listdir(descriptors))
        for _ in range(3):
            [pid, _other] = children(server)
            os.kill(pid, signal.SIGKILL)
            server.line("another takes its place")
            until(lambda pid=pid: len({*children(server)} - {pid}) == 2)  # type: ignore[misc]
        until(lambda: len(os.listdir(descriptors)) == before)


def test_one_that_cannot_be_replaced_at_once_is_replaced_later(echo_server: Target) -> None:
    """If the machine lacks a resource for a moment, the missing workers are started later."""
    with sockd("--workers", "2") as server:
        parent = server.process.pid
        _, most = resource.prlimit(parent, resource.RLIMIT_NOFILE)
        before = children(server)
        resource.prlimit(parent, resource.RLIMIT_NOFILE, (3, most))
        os.kill(before[0], signal.SIGKILL)
        server.line("no new worker for now: Too many open files")
        assert serve_one(server, echo_server) == before[1]
        resource.prlimit(parent, resource.RLIMIT_NOFILE, (most, most))
        until(lambda: len(children(server)) == 2)
        until(lambda: serve_one(server, echo_server) != before[1])


def serving(workers: set[int]) -> int:
    """The worker that has the only connection: it has more sockets than the others."""
    return max(workers, key=lambda pid: len(os.listdir(f"/proc/{pid}/fd")))


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition by polling, up to a limit."""
    for _ in range(500):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to be")


def test_counters_outlive_the_worker_that_counted(echo_server: Target) -> None:
    port = free_port()
    with sockd("--workers", "2", "--metrics", f"127.0.0.1:{port}") as server:
        for _ in range(6):
            serve_one(server, echo_server)
        for pid in children(server):
            os.kill(pid, signal.SIGKILL)
            server.line("another takes its place")
        until(lambda: metrics(port)["sockd_serving_processes"] == 2)
        assert serve_one(server, echo_server) in children(server)
        found = metrics(port)
        assert found['sockd_sessions_total{command="connect",outcome="done"}'] == 7
        assert found["sockd_worker_restarts_total"] == 2


def test_one_that_is_asked_to_end_drains_and_is_replaced(echo_server: Target) -> None:
    with sockd("--workers", "2") as server, server.connect() as stream:
        assert client.ask(stream, 5, *echo_server.address) == 0
        busy = serving(set(children(server)))
        os.kill(busy, signal.SIGTERM)
        server.line("1 sessions are live")
        for _ in range(10):
            assert serve_one(server, echo_server) != busy
        stream.sendall(b"still here")
        assert receive(stream, 10) == b"still here"
        stream.close()
        server.line(f"worker {busy} ended by itself (status 0)")
        until(lambda: len(children(server)) == 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_drain_and_a_second_signal_ends_them(number: signal.Signals, echo_server: Target) -> None:
    with sockd("--workers", "2") as server, server.connect() as stream:
        assert client.ask(stream, 5, *echo_server.address) == 0
        workers = children(server)
        server.process.send_signal(number)
        server.line("1 sessions are live")
        stream.sendall(b"still here")
        assert receive(stream, 10) == b"still here"
        server.process.send_signal(number)
        said = server.end()
        assert server.process.returncode == 0
        assert "ended" in said
        assert "another takes its place" not in said
        assert all(gone(pid) for pid in workers)


def test_without_sessions_all_end_at_once() -> None:
    with sockd("--workers", "3") as server:
        workers = children(server)
        server.process.terminate()
        server.end()
        assert server.process.returncode == 0
        assert all(gone(pid) for pid in workers)


def test_they_end_with_their_parent(echo_server: Target) -> None:
    with sockd("--workers", "2") as server, server.connect() as stream:
        assert client.ask(stream, 5, *echo_server.address) == 0
        workers = children(server)
        server.process.kill()
        server.process.wait(10)
        stream.sendall(b"still here")
        assert receive(stream, 10) == b"still here"
        stream.close()
        assert all(gone(pid) for pid in workers)


def test_ctrl_c_reaches_all_and_ends_none_too_early(echo_server: Target) -> None:
    """A terminal sends SIGINT to all processes at once."""
    with sockd("--workers", "2", prefix=("setsid",)) as server, server.connect() as stream:
        assert client.ask(stream, 5, *echo_server.address) == 0
        os.killpg(server.process.pid, signal.SIGINT)
        server.line("1 sessions are live")
        stream.sendall(b"still here")
        assert receive(stream, 10) == b"still here"
        stream.close()
        server.end()
        assert server.process.returncode == 0


def test_a_reload_reaches_all_of_them_and_those_to_come(tmp_path: Path, echo_server: Target) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text("")
    with sockd("--config", str(path), "--workers", "2") as server:
        path.write_text("[[rules]]\naction = 'deny'\n")
        server.process.send_signal(signal.SIGHUP)
        server.line("read again")
        until(lambda: all(refused(server, echo_server) for _ in range(10)))
        for pid in children(server):
            os.kill(pid, signal.SIGKILL)
            server.line("another takes its place")
        until(lambda: len(children(server)) == 2)
        until(lambda: reachable(server))
        assert refused(server, echo_server)


def refused(server: Sockd, target: Target) -> bool:
    """True if a rule refuses the connection. A rule that denies everything to all clients closes it at once."""
    with server.connect() as stream:
        try:
            return client.ask(stream, 5, *target.address) == 2
        except (AssertionError, ConnectionError):
            return True


def reachable(server: Sockd) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_bad_reload_is_refused_by_the_parent_once(tmp_path: Path, echo_server: Target) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text("")
    with sockd("--config", str(path), "--workers", "2") as server:
        path.write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        server.line("the configuration is as before")
        serve_one(server, echo_server)
        server.process.terminate()
        assert "as before" not in server.end()


def test_status_tells_of_all(tmp_path: Path, echo_server: Target) -> None:
    with sockd("--workers", "2", "--status-directory", str(tmp_path)) as server, server.connect() as stream:
        assert client.ask(stream, 5, *echo_server.address) == 0
        until(lambda: len([*tmp_path.iterdir()]) == 2)
        told = json.loads(ask("--status", "json", "--status-directory", str(tmp_path)).stdout)
        assert {process["pid"] for process in told} == set(children(server))
        assert sum(len(process["sessions"]) for process in told) == 1


def test_systemd_hears_ready_when_all_serve_and_from_the_parent_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)
        with sockd("--workers", "2", NOTIFY_SOCKET=path) as server:
            assert manager.recv(1024).startswith(b"READY=1\n")
            assert len(children(server)) == 2
            server.process.terminate()
            assert manager.recv(1024) == b"STOPPING=1"
            server.end()
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(1024)


def test_descriptors_are_not_passed_from_one_to_the_next(echo_server: Target) -> None:
    """If a worker held the channel of another one, that one would not see the end of the parent."""
    with sockd("--workers", "4") as server:
        counts = {len(os.listdir(f"/proc/{pid}/fd")) for pid in children(server)}
        assert len(counts) == 1
        serve_one(server, echo_server)


def test_nothing_is_left_behind_in_development_mode() -> None:
    with sockd("--workers", "2", PYTHONDEVMODE="1") as server:
        server.process.terminate()
        said = server.end()
    assert "Warning" not in said
    assert "Traceback" not in said
