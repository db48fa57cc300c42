"""UDP of sealed programs, with a pool of sockets and without: what they hear is what they would hear natively."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.network.namespaces import needs_root
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.unprivileged import as_user

MODES = pytest.mark.parametrize("mode", ["pool", "native"])
USERS = pytest.mark.parametrize("user", ["root", "nobody"])
# Nothing listens at the proxy, and nobody connects to it.
PROXY = "socks5h://127.0.0.1:9"


def sealed(mode: str, argv: list[str], user: str = "root", **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a program as `tests.support.sealed_datagrams` does. `python` stands for a Python that the user may run."""
    needs_root()
    command, python = as_user(user)
    program = [python if word == "python" else word for word in argv]
    text = json.dumps({"proxy": PROXY, **settings})
    return subprocess.run(
        [*command, python, "-m", "tests.support.sealed_datagrams", mode, text, *program],
        capture_output=True, text=True, timeout=60, cwd="/", env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=False,
    )  # fmt: skip


@MODES
@USERS
def test_the_resolver_of_libc_gets_fake_addresses(mode: str, user: str) -> None:
    done = sealed(mode, [require("getent"), "ahostsv4", "example.org"], user)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("198.18.", "198.19."))


@MODES
@pytest.mark.parametrize("server", ["9.9.9.9", "127.0.0.53", "2001:db8::53", "::1"])
def test_dig_hears_from_the_server_that_it_has_asked(mode: str, server: str) -> None:
    done = sealed(mode, [require("dig"), "+tries=1", "+time=5", "example.org", f"@{server}"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SERVER: {server}#53({server}) (UDP)" in done.stdout
