"""`seal=on` of install(), of the hook and of a launcher: inside of a seal it is met, and outside it is an error."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import socksify
from socksify._hook_location import template
from tests.support.both import Both
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.sealed import SEAL
from tests.support.servers import Server
from tests.support.targets import Target

PROXY = "socks5h://127.0.0.1:9"
INSTALL = f"import socksify; socksify.install('{PROXY}', seal='on'); print('installed')"
CONNECT = "import socket; socket.socket().connect(('127.0.0.1', 9))"


def hooked(**variables: str) -> dict[str, str]:
    """The environment of a program whose Python finds the hook and these variables."""
    return {"PYTHONPATH": f"{template()}:{ROOT}", **variables}


def test_install_refuses_outside_of_a_seal() -> None:
    with pytest.raises(socksify.ConfigError) as caught:
        socksify.install(PROXY, seal="on")
    assert str(caught.value) == (
        "install(seal=): this process is not sealed, and a process that runs cannot be: its supervisor has to be its"
        " parent; start the program by python -m socksify --seal=on"
    )


@pytest.mark.usefixtures("sealed_system")
def test_install_is_content_in_a_seal(both: Both) -> None:
    done = both.socksify("--seal=on", "-c", INSTALL)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"installed\n", b"")


def test_the_hook_closes_the_network_outside_of_a_seal(both: Both) -> None:
    both.environment |= hooked(SOCKSIFY_PROXY=PROXY, SOCKSIFY_SEAL="on")
    done = both.python("-c", CONNECT)
    assert done.returncode == 1
    assert b"SOCKSIFY_SEAL: this process is not sealed" in done.stderr
    assert b"Errno 100" in done.stderr


@pytest.mark.usefixtures("sealed_system")
def test_the_hook_is_content_in_a_seal(both: Both) -> None:
    both.environment |= hooked(SOCKSIFY_PROXY=PROXY, SOCKSIFY_SEAL="on")
    done = both.socksify("sh", "-c", f'{sys.executable} -c "{CONNECT}"')
    assert b"ConnectionRefusedError" in done.stderr
    assert b"sealed" not in done.stderr


@pytest.mark.usefixtures("sealed_system")
@pytest.mark.parametrize("words", [["-c", "print('ran')"], ["echo", "ran"]], ids=["Python", "command"])
def test_a_launcher_with_a_hook_seals(both: Both, words: list[str]) -> None:
    """The hook would find that the launcher is not sealed."""
    both.environment |= hooked(SOCKSIFY_PROXY=PROXY, SOCKSIFY_SEAL="on")
    done = both.python("-m", "socksify", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ran\n", b"")


def nested(*words: str, inner: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a launcher in a seal whose proxy does not exist."""
    outer = (*SEAL, "--route", "127.0.0.0/8=proxy")
    argv = [sys.executable, "-m", "socksify", *outer, sys.executable, "-m", "socksify", *inner, *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environ, check=False)


@pytest.mark.usefixtures("sealed_system")
@pytest.mark.parametrize("seal", ["auto", "on", "off"])
def test_a_seal_in_a_seal_has_its_own_proxy(seal: str, microsocks: Server, http_server: Target) -> None:
    inner = ("--proxy", microsocks.url(), "--route", "127.0.0.0/8=proxy", f"--seal={seal}")
    done = nested(require("curl"), "-sS", http_server.url, inner=inner)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hello" in done.stdout
    fetch = f"import urllib.request; print(urllib.request.urlopen('{http_server.url}').read().decode())"
    done = nested("-c", fetch, inner=inner)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hello" in done.stdout


@pytest.mark.usefixtures("sealed_system")
def test_a_program_beside_it_has_the_outer_proxy(microsocks: Server, http_server: Target) -> None:
    inner = ("--proxy", microsocks.url(), "--route", "127.0.0.0/8=proxy")
    script = f"{sys.executable} -m socksify {' '.join(inner)} true && exec curl -sS {http_server.url}"
    outer = [sys.executable, "-m", "socksify", *SEAL, "--route", "127.0.0.0/8=proxy", "sh", "-c", script]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(outer, capture_output=True, text=True, timeout=60, env=environ, check=False)
    assert (done.returncode, done.stdout) == (7, "")
