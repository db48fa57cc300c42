"""Workers of Celery, pytest-xdist and Dask (with nannies). They talk to one another on loopback, past the proxy."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.children.recording_proxy import RecordingProxy

FETCH = """
import os, socket, sys
def fetch(name):
    with socket.create_connection((name, 80), timeout=30) as stream:
        stream.sendall(b"GET")
        return stream.recv(1000).decode().rpartition("\\r\\n")[2]
"""
CELERY = (
    FETCH
    + """
from celery import Celery
app = Celery("tasks", broker="filesystem://", backend="file://" + os.getcwd() + "/results")
app.conf.broker_transport_options = {
    "data_folder_in": os.getcwd() + "/queue", "data_folder_out": os.getcwd() + "/queue",
    "processed_folder": os.getcwd() + "/done", "control_folder": os.getcwd() + "/control", "polling_interval": 0.05,
}
@app.task
def work(name):
    return fetch(name)
"""
)
ASK_CELERY = "import sys, tasks; print(tasks.work.delay(sys.argv[1]).get(timeout=60, interval=0.05))"
XDIST = (
    FETCH
    + """
import pytest
@pytest.mark.parametrize("number", range(4))
def test_it(number, worker_id):
    assert worker_id.startswith("gw")
    assert fetch("xdist.example") == "covered"
"""
)
DASK = (
    FETCH
    + """
import distributed
if __name__ == "__main__":
    settings = dict(n_workers=1, threads_per_worker=1, dashboard_address=None, local_directory=os.getcwd())
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        assert all(type(nanny).__name__ == "Nanny" for nanny in cluster.workers.values())
        found = client.run(fetch, "dask.example")
        assert all(address.startswith("tcp://127.0.0.1:") for address in found)
        print(*found.values())
"""
)


UVLOOP = (
    FETCH
    + """
import asyncio, uvloop
async def main():
    words = [sys.executable, "-c", "import program; print(program.fetch('uvloop.example'), flush=True)"]
    for env in (None, {}, {"A": "b"}):
        await (await asyncio.create_subprocess_exec(*words, env=env)).wait()
    command = f"{sys.executable} -c 'import program; print(program.fetch(chr(120)), flush=True)'"
    await (await asyncio.create_subprocess_shell(command, env={})).wait()
    await (await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", "")).wait()
if __name__ == "__main__":
    uvloop.run(main())
"""
)


def environment(directory: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(directory), "TMPDIR": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}


def launcher(proxy: RecordingProxy) -> list[str]:
    return [sys.executable, "-m", "socksify", "--proxy", proxy.url()]


def run(command: list[str], directory: Path) -> str:
    ended = subprocess.run(
        command, cwd=directory, env=environment(directory), capture_output=True, text=True, timeout=90
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def only_asked_for(proxy: RecordingProxy, name: str, count: int) -> None:
    """As often as that, and nobody on loopback."""
    assert proxy.asked_for(name) == count
    assert not any(session.target is not None and session.target[0] == "127.0.0.1" for session in proxy.sessions)


def test_celerys_prefork_workers(proxy: RecordingProxy, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(CELERY)
    for folder in ("queue", "done", "control", "results"):
        (tmp_path / folder).mkdir()
    words = ["-m", "celery", "-A", "tasks", "worker", "--pool", "prefork", "--concurrency", "1"]
    words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with open(tmp_path / "output", "wb") as output:
        worker = subprocess.Popen(
            [*launcher(proxy), *words],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        answer = run([sys.executable, "-c", ASK_CELERY, "celery.example"], tmp_path)
        assert answer == "covered\n", (tmp_path / "output").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    only_asked_for(proxy, "celery.example", 1)


def test_xdists_workers(proxy: RecordingProxy, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(XDIST)
    # The plug-ins of this environment, which are loaded three times, take longer than all else.
    quick = ["env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"]
    words = ["-m", "pytest", "-q", "-p", "xdist", "-n", "2", "-p", "no:cacheprovider", "test_it.py"]
    assert "4 passed" in run([*quick, *launcher(proxy), *words], tmp_path)
    only_asked_for(proxy, "xdist.example", 4)


def test_dasks_workers_and_nannies(proxy: RecordingProxy, tmp_path: Path) -> None:
    (tmp_path / "cluster.py").write_text(DASK)
    assert run([*launcher(proxy), "cluster.py"], tmp_path) == "covered\n"
    only_asked_for(proxy, "dask.example", 1)


def test_uvloops_processes(proxy: RecordingProxy, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(UVLOOP)
    command = [*launcher(proxy), "--log", "log", "--allow", "uvloop", "program.py"]
    assert run(command, tmp_path) == "covered\n" * 4
    only_asked_for(proxy, "uvloop.example", 3)
    only_asked_for(proxy, "x", 1)
    assert "-I ignores PYTHONPATH" in (tmp_path / "log").read_text()
