"""The settings of an environment compared with variables, options, files, and install() in the program."""

from __future__ import annotations

import pytest

from tests.support.environments import CONNECT, PROXIED, PROXY, TEMPLATE, Environment


def test_the_launchers_options_win(hooked: Environment) -> None:
    (hooked.directory / "client.py").write_text(CONNECT + "\nimport sys; print(sys.modules['socksify_hook'].state)")
    launched = hooked.run("-m", "socksify", "--proxy", "socks5h://127.0.0.1:8", "client.py")
    assert "proxy socks5h://127.0.0.1:8 for 192.0.2.1:80" in launched.stdout
    assert launched.stderr == ""


@pytest.mark.parametrize("first", ["", "import socket\n"])
def test_install_in_the_program_replaces_the_settings(hooked: Environment, first: str) -> None:
    code = f"{first}import socksify; socksify.install('socks5h://127.0.0.1:8'){CONNECT}"
    assert "proxy socks5h://127.0.0.1:8 for 192.0.2.1:80" in hooked.code(code)


def test_via_in_the_program(hooked: Environment) -> None:
    """via() needs an installation, and the hook may not have installed yet."""
    code = f"import socksify\nwith socksify.via('socks5h://127.0.0.1:8'):\n    exec({CONNECT!r})"
    assert "proxy socks5h://127.0.0.1:8 for 192.0.2.1:80" in hooked.code(code)


def test_what_a_parent_passes_on_is_no_matter_of_the_programs(hooked: Environment) -> None:
    """The same holds for a program without a socket. Its own values for its children stay."""
    code = """
import os, subprocess, sys
if len(sys.argv) > 1:
    import socket
    try:
        socket.create_connection(("192.0.2.1", 80), 5)
    except OSError as error:
        print(str(error).partition(" for ")[0])
else:
    print([name for name in os.environ if "INHERITED" in name])
    os.environ["SOCKSIFY_PROXY"] = "socks5h://127.0.0.1:8"
    sys.stdout.flush()
    subprocess.run([sys.executable, "-c", sys.orig_argv[-1], "child"])
"""
    parent = f"import socket, subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    assert hooked.code(parent).splitlines() == ["[]", "[Errno 111] proxy socks5h://127.0.0.1:8"]


def test_uninstall_before_any_socket(hooked: Environment) -> None:
    code = "import socksify; socksify.uninstall(); import socket; print('connect' in vars(socket.socket))"
    assert hooked.code(code) == "False"


def test_uninstall_in_the_program(hooked: Environment) -> None:
    code = """
import socket, socksify
covered = vars(socket.socket).copy()
socksify.uninstall()
print("connect" in covered, "connect" in vars(socket.socket))
"""
    assert hooked.code(code) == "True False"


def test_it_installs_once(hooked: Environment) -> None:
    """A directory on PYTHONPATH and the environment make one installation, whichever copy of the hook is loaded."""
    code = """
import sys
installed = []
sys.addaudithook(lambda event, _: event == "socksify.install" and installed.append(event))
import socket, sitecustomize
print(len(installed), sys.modules["socksify_hook"].state)
"""
    for variables in ({}, {"SOCKSIFY_PROXY": PROXY}):
        assert hooked.code(code, PYTHONPATH=str(TEMPLATE), **variables) == "1 installed"


def test_variables_outrank_the_settings_file(environment: Environment) -> None:
    (environment.directory / "other.toml").write_text('proxy = "socks5h://127.0.0.1:7"')
    environment.install("--proxy", PROXY, "--udp", "direct")
    udp = "import socket; from socksify.patches.scope import current; s = current().settings; print(s.udp, s.proxy[0])"
    assert environment.code(udp) == f"direct {PROXY}"
    assert environment.code(udp, SOCKSIFY_UDP="block") == f"block {PROXY}"
    assert environment.code(udp, SOCKSIFY_PROXY="socks5h://127.0.0.1:8") == "direct socks5h://127.0.0.1:8"
    other = str(environment.directory / "other.toml")
    assert environment.code(udp, SOCKSIFY_CONFIG=other) == "block socks5h://127.0.0.1:7"


def test_a_file_in_the_working_directory_is_not_the_environments(environment: Environment) -> None:
    (environment.directory / "socksify.toml").write_text('direct = ["*"]')
    environment.install("--proxy", PROXY)
    assert PROXIED in environment.code(CONNECT)


def test_one_that_takes_the_environments_place_says_so(environment: Environment) -> None:
    """The launcher and install() replace the settings of the environment, and report it."""
    (environment.directory / "socksify.toml").write_text('proxy = "socks5h://127.0.0.1:8"')
    environment.install("--proxy", PROXY)
    for words in (("-m", "socksify", "-c", CONNECT), ("-c", f"import socksify; socksify.install(){CONNECT}")):
        result = environment.run(*words)
        assert "proxy socks5h://127.0.0.1:8 for 192.0.2.1:80" in result.stdout
        assert f"its proxy takes the place of that of {environment.hook}/settings.toml" in result.stderr


OFF = {
    "disabled": {"SOCKSIFY_DISABLE": "1", "SOCKSIFY_PROXY": PROXY},
    "disabled in words": {"SOCKSIFY_DISABLE": "true"},
    "no settings": {},
    "an empty variable": {"SOCKSIFY_PROXY": ""},
    "a switch alone": {"SOCKSIFY_ON_ERROR": "exit", "SOCKSIFY_DISABLE": "0"},
}


@pytest.mark.parametrize("variables", OFF.values(), ids=OFF)
def test_off(environment: Environment, variables: dict[str, str]) -> None:
    environment.install(*(["--proxy", PROXY] if "SOCKSIFY_DISABLE" in variables and len(variables) < 2 else []))
    hook = "import sys, socket; print(getattr(sys.modules.get('socksify_hook'), 'state', 'off: not even loaded'))"
    assert environment.code(hook, **variables).startswith("off: ")
    assert environment.code("import sys, socket; print('socksify' in sys.modules)", **variables) == "False"


def test_only_variables(environment: Environment) -> None:
    environment.install()
    assert PROXIED in environment.code(CONNECT, SOCKSIFY_PROXY=PROXY)
    assert PROXIED in environment.code(CONNECT, SOCKSIFY_PROXY=PROXY, SOCKSIFY_DISABLE="0")


def test_what_is_left_behind_alone_says_nothing(environment: Environment) -> None:
    import shutil

    environment.install("--proxy", PROXY)
    shutil.rmtree(environment.hook)
    assert environment.code("print('fine')") == "fine"


def test_the_system_wide_copy_and_the_environments_start_once(environment: Environment) -> None:
    """The site module reads the .pth files of a virtual environment twice, and a user may start the hook as well."""
    environment.install("--proxy", PROXY)
    code = "import socksify_hook, sys; socksify_hook.start(); socksify_hook.start()"
    finders = "print(sum(type(f).__module__ == 'socksify_hook' for f in sys.meta_path))"
    assert environment.code(f"{code}; {finders}") == "1"
