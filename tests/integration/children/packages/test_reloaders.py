"""Web servers whose workers are children: werkzeug's and Django's reloaders, gunicorn.

Each serves on loopback, which stays direct, a page that it fetches from a host which only the proxy reaches.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.children.recording_proxy import RecordingProxy
from tests.support import processes
from tests.support.processes import free_port

APPLICATION = """
import socket, sys
def fetch(name):
    with socket.create_connection((name, 80), timeout=30) as stream:
        stream.sendall(b"GET")
        return stream.recv(1000).rpartition(b"\\r\\n")[2]
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [fetch(environ["PATH_INFO"][1:])]
"""
WERKZEUG = """
if __name__ == "__main__":
    from werkzeug.serving import run_simple
    run_simple("127.0.0.1", int(sys.argv[1]), application, use_reloader=True, reloader_interval=0.1)
"""
DJANGO = """
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
settings.configure(DEBUG=True, ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"])
urlpatterns = [path("<name>", lambda request, name: HttpResponse(fetch(name)))]
if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], "runserver", "--skip-checks", f"127.0.0.1:{sys.argv[1]}"])
"""
RELOADERS = {"werkzeug": APPLICATION + WERKZEUG, "django": APPLICATION + DJANGO}


@contextlib.contextmanager
def serving(proxy: RecordingProxy, directory: Path, *words: str, port: int) -> Iterator[None]:
    """Runs a server under socksify, in a session of its own, which ends with it: reloaders leave their child behind."""
    environ = {"PATH": os.defpath, "HOME": str(directory), "TMPDIR": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "socksify", "--proxy", proxy.url(), *words]
    with open(directory / "output", "wb") as output:
        server = subprocess.Popen(
            command, cwd=directory, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        assert processes._listens(server, ("127.0.0.1", port)), (directory / "output").read_text()
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def get(port: int, name: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/{name}", timeout=30) as answer:
        page: bytes = answer.read()
    return page


@pytest.mark.parametrize("package", RELOADERS)
def test_a_reloaders_child_goes_through_the_proxy(package: str, proxy: RecordingProxy, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(RELOADERS[package])
    port, name = free_port(), f"{package}.example"
    with serving(proxy, tmp_path, "app.py", str(port), port=port):
        assert get(port, name) == b"covered"
    assert proxy.asked_for(name) == 1


def test_gunicorns_workers_go_through_the_proxy(proxy: RecordingProxy, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    port, name = free_port(), "gunicorn.example"
    words = ["-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}", "app:application"]
    with serving(proxy, tmp_path, *words, port=port):
        assert [get(port, name) for _ in range(4)] == [b"covered"] * 4
    assert proxy.asked_for(name) == 4
