"""Ways of starting Python with the hook, and of importing `socket`. All are covered, and none is changed."""

from __future__ import annotations

import sysconfig
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from socksify.patches import c_extensions, executors
from socksify.patches.adapters import ADAPTERS
from socksify.patches.children import spawn_message
from tests.support.connecting_packages import write_package
from tests.support.environments import CONNECT, PROXIED, PROXY, Environment
from tests.support.servers import Server
from tests.support.targets import Target


def test_through_a_real_proxy(environment: Environment, microsocks: Server, http_server: Target) -> None:
    log = environment.directory / "log"
    environment.install("--proxy", microsocks.url(), "--route", "127.0.0.0/8=proxy", "--log", log)
    fetch = f"import urllib.request; print(urllib.request.urlopen('{http_server.url}').read().decode())"
    assert "hello" in environment.code(fetch)
    assert f"127.0.0.1:{http_server.port}" in log.read_text()


@pytest.mark.parametrize("flags", [(), "-I", "-E", "-s", "-P", "-O", "-b", ("-W", "error"), ("-X", "dev")], ids=str)
def test_options(hooked: Environment, flags: tuple[str, ...] | str) -> None:
    flags = (flags,) if isinstance(flags, str) else flags
    assert PROXIED in hooked.code(CONNECT, *flags)


def test_without_site_there_is_no_hook(hooked: Environment) -> None:
    assert hooked.code("import sys, socket; print('socksify_hook' in sys.modules)", "-S") == "False"


WAYS = {
    "socket": "import socket",
    "_socket": "import _socket",
    "what imports it": "import urllib.request",
    "its name": "import importlib; importlib.import_module('socket')",
    "its spec": "import importlib.util as u; s = u.find_spec('socket'); m = u.module_from_spec(s); import sys;"
    "sys.modules['socket'] = m; s.loader.exec_module(m)",
    "a thread": "import threading; t = threading.Thread(target=__import__, args=('socket',)); t.start(); t.join()",
    "our own package": "import socksify; socksify.ProxyError",
    "our own modules": "import socksify.tunnel.errors",
    "our own server": "import socksify.server.cli",
    "our own client": "import socksify.clients.rftp.cli",
    "a child that was forked before": "import os; pid = os.fork(); pid and os._exit(os.waitpid(pid, 0)[1])",
    "another directory, without variables": "import os; os.environ.clear(); os.chdir('/')",
    "modules that were unloaded": "import sys; [sys.modules.pop(n) for n in [*sys.modules] if 'socksify' in n]",
    "a path of its own": "import sys; sys.path[:] = [p for p in sys.path if 'packages' not in p and '/work' not in p]",
}


@pytest.mark.parametrize("code", WAYS.values(), ids=WAYS)
def test_ways_of_importing_it(hooked: Environment, code: str) -> None:
    assert PROXIED in hooked.code(f"{code}\n{CONNECT}")


LIBRARIES = sysconfig.get_path("platlib")


@pytest.mark.parametrize("name", [*ADAPTERS, *executors.EXECUTORS, *spawn_message.ADAPTED])
def test_what_is_adapted_imports_it_in_its_own_middle(hooked: Environment, name: str) -> None:
    """Some of these libraries do not import `socket` at all. They are adapted all the same, and can connect."""
    program = f"import {name}\n{CONNECT}"
    assert PROXIED in hooked.code(program, "-W", "ignore", PYTHONPATH=LIBRARIES)


def test_the_package_is_there_before_all_that_it_looks_after(hooked: Environment) -> None:
    looked_after = {name.partition(".")[0] for name in ADAPTERS} | {*c_extensions.MODULES, "concurrent.futures.process"}
    assert set(hooked.code("import socksify_hook; print(*socksify_hook._AHEAD)").split()) == looked_after


def test_what_connects_without_it_is_refused(hooked: Environment) -> None:
    """libzmq has its own sockets, so pyzmq does not need Python's."""
    program = """
import sys, zmq
assert "socket" in sys.modules
with zmq.Context() as context, context.socket(zmq.PUSH) as push:
    try:
        push.connect("tcp://192.0.2.1:80")
    except PermissionError as error:
        print(error)
"""
    assert "libzmq would go past the proxy" in hooked.code(program, PYTHONPATH=LIBRARIES)


def test_modules_with_network_code_of_their_own_are_named_and_under_strict_refused(
    hooked: Environment, tmp_path: Path
) -> None:
    """This holds even if the program imports nothing else."""
    write_package(tmp_path, "somelib")
    path = f"{tmp_path}:{LIBRARIES}"
    named = hooked.run("-c", "import somelib", PYTHONPATH=path)
    assert (named.returncode, named.stderr.count("somelib (somelib._cares) has network code")) == (0, 1), named.stderr
    program = f"""
try:
    import somelib
except ImportError as error:
    assert "refused by strict" in str(error), error
else:
    raise AssertionError
{CONNECT}"""
    assert PROXIED in hooked.code(program, PYTHONPATH=path, SOCKSIFY_STRICT="yes")


def test_other_extension_modules_install_nothing(hooked: Environment) -> None:
    program = "import msgpack._cmsgpack, sys; print('socket' in sys.modules)"
    assert hooked.code(program, PYTHONPATH=LIBRARIES) == "False"


def test_an_extension_module_that_fails_fails_as_without_the_hook(hooked: Environment, tmp_path: Path) -> None:
    (tmp_path / f"broken{EXTENSION_SUFFIXES[0]}").write_bytes(b"\x7fELF" + b"\0" * 100)
    ended = hooked.run("-c", "import broken", PYTHONPATH=str(tmp_path))
    without = hooked.run("-c", "import broken", PYTHONPATH=str(tmp_path), SOCKSIFY_DISABLE="1")
    assert (ended.returncode, ended.stderr) == (without.returncode, without.stderr)


def test_what_starts_children_looks_as_it_does_after_the_install(hooked: Environment) -> None:
    program = """
import inspect, os, pickle
def looks():
    same = pickle.loads(pickle.dumps(os.system))
    return [inspect.signature(os.execve), same.__name__, os.execve in os.supports_fd, os.execv.__doc__]
before = looks()
import socket
print(before == looks(), before[2])
"""
    assert hooked.code(program) == "True True"


def test_what_starts_children_does_not_become_a_method(hooked: Environment) -> None:
    """Functions in C do not become methods. The program has kept this one since before the install."""
    program = """
import os
class Shell:
    run = os.system
print(repr(os.system), os.system.__text_signature__, flush=True)
print(Shell().run("exit 3") >> 8, Shell.run("exit 4") >> 8)
"""
    assert hooked.code(program).splitlines() == ["<built-in function system> ($module, /, command)", "3 4"]


def test_a_reload_of_socket_is_covered(hooked: Environment) -> None:
    assert PROXIED in hooked.code(f"import importlib, socket; importlib.reload(socket)\n{CONNECT}")


SUBINTERPRETER = f"""
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
made = interpreters.create()
interpreters.run_string(made, {CONNECT!r})
interpreters.destroy(made)
"""


def test_a_subinterpreter_has_a_hook_of_its_own(hooked: Environment) -> None:
    assert PROXIED in hooked.code(SUBINTERPRETER)


def test_subinterpreters_before_and_after(environment: Environment) -> None:
    """No settings file: reading one imports datetime, and two interpreters with it crash Python 3.12 and 3.13."""
    environment.install()
    assert environment.code(f"{SUBINTERPRETER}{CONNECT}{SUBINTERPRETER}", SOCKSIFY_PROXY=PROXY).count(PROXIED) == 3


def test_socket_is_what_it_would_be(hooked: Environment) -> None:
    program = """
import socket, _socket, importlib.util, sys
for module in (socket, _socket):
    spec = importlib.util.find_spec(module.__name__)
    print(module.__spec__ == spec, module.__loader__ is module.__spec__.loader, type(module.__loader__).__module__)
print(module.__spec__._initializing if hasattr(module.__spec__, "_initializing") else False)
print([type(finder).__module__ for finder in sys.meta_path if type(finder).__module__.startswith("socksify")])
"""
    plain = hooked.run("-S", "-c", program).stdout
    told = hooked.code(program)
    assert told.splitlines()[:3] == plain.splitlines()[:3]
    # The import of the adapters.
    assert told.splitlines()[3] == "['socksify.patches.post_import']"


def test_scripts_modules_archives_and_startup_files(hooked: Environment, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(CONNECT)
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", CONNECT)
    (tmp_path / "startup.py").write_text("import socket")
    for words in (["script.py"], ["-m", "script"], ["app.pyz"], ["-X", "importtime", "script.py"]):
        assert PROXIED in hooked.run(*words, cwd=tmp_path).stdout
    interactive = hooked.run("-i", "-c", CONNECT, cwd=tmp_path, PYTHONSTARTUP=str(tmp_path / "startup.py"))
    assert PROXIED in interactive.stdout


def test_a_package_of_our_name_in_the_programs_directory_is_not_ours(hooked: Environment, tmp_path: Path) -> None:
    (tmp_path / "socksify.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "script.py").write_text(CONNECT)
    assert PROXIED in hooked.run("script.py", cwd=tmp_path).stdout


def test_a_venv_made_inside_is_one_without_a_hook(hooked: Environment, tmp_path: Path) -> None:
    made = hooked.run("-m", "venv", "--without-pip", str(tmp_path / "inner"))
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    inner = Environment(tmp_path / "inner")
    assert inner.code("import sys, socket; print('socksify_hook' in sys.modules)") == "False"


def test_files_called_as_modules_of_the_standard_library_are_the_programs_alone(
    hooked: Environment, tmp_path: Path
) -> None:
    """Reading the settings imports tomllib, which imports `string` and `datetime`."""
    for name in ("string", "datetime", "tomllib"):
        (tmp_path / f"{name}.py").write_text(f"print('my {name}')\n")
    (tmp_path / "script.py").write_text(f"{CONNECT}\nimport string, datetime, tomllib; print(string.__file__)")
    result = hooked.run("script.py", cwd=tmp_path)
    assert result.stderr == ""
    told = result.stdout.splitlines()
    assert PROXIED in told[0]
    assert told[1:] == ["my string", "my datetime", "my tomllib", str(tmp_path / "string.py")]
