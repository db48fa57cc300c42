"""SOCKSIFY_ON_ERROR decides about a program if the hook cannot install. A later install() opens the network again."""

from __future__ import annotations

import pytest

from tests.support.environments import PROXY, STATE, Environment
from tests.support.targets import Target


def test_exit_ends_the_program(broken: Environment) -> None:
    assert broken.code("print('no sockets')", SOCKSIFY_ON_ERROR="exit") == "no sockets"
    ended = broken.run("-c", "import socket; print('went on')", SOCKSIFY_ON_ERROR="exit")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"socksify: {broken.hook}/settings.toml: ")
    assert ended.stderr.count("\n") == 1


def test_exit_closes_too_where_nobody_ends(broken: Environment) -> None:
    program = """
try:
    import socket
except SystemExit:
    import socket
try:
    socket.socket().connect(("127.0.0.1", 9))
except OSError as error:
    print(error)
"""
    ended = broken.run("-c", program, SOCKSIFY_ON_ERROR="exit")
    assert "the network is closed" in ended.stdout


def test_allow_goes_on_without_a_proxy_and_says_so(broken: Environment, http_server: Target) -> None:
    fetch = f"import urllib.request; print(urllib.request.urlopen('{http_server.url}').read().decode())"
    went_on = broken.run("-c", fetch, SOCKSIFY_ON_ERROR="allow")
    assert "hello" in went_on.stdout
    assert went_on.stderr.count("\n") == 1
    assert "connections go direct, as SOCKSIFY_ON_ERROR=allow has it" in went_on.stderr
    assert broken.code("pass", SOCKSIFY_ON_ERROR="allow") == ""


def test_another_word_closes(broken: Environment) -> None:
    told = broken.code(STATE, SOCKSIFY_ON_ERROR="ignore")
    assert told.endswith("; SOCKSIFY_ON_ERROR='ignore': expected close, exit or allow")
    assert told.startswith("closed: ")


def test_a_switch_is_no_unknown_variable(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    assert environment.code(STATE, SOCKSIFY_ON_ERROR="exit", SOCKSIFY_DISABLE="no") == "installed"


@pytest.mark.parametrize("how", ["install", "launcher"])
def test_settings_that_can_be_used_open_it_again(broken: Environment, http_server: Target, how: str) -> None:
    fetch = f"import urllib.request; print(urllib.request.urlopen('{http_server.url}').read().decode())"
    if how == "install":
        result = broken.run("-c", f"import socket, socksify; socksify.install('{PROXY}'); {fetch}")
    else:
        result = broken.run("-m", "socksify", "--proxy", PROXY, "-c", fetch)
    assert (result.stderr, result.returncode) == ("", 0)
    assert "hello" in result.stdout


def test_settings_that_cannot_be_used_leave_it_closed(broken: Environment) -> None:
    program = """
import socksify, sys
try:
    socksify.install("gopher://gw")
except ValueError:
    import socket
print(sys.modules["socksify_hook"].state.partition(":")[0])
"""
    assert broken.code(program) == "closed"
