"""By every start method a child's connections go through the proxy, or the log says that they do not."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from tests.integration.children.parent_program import LOOPBACK, ParentProgram, log_of, name_of, verdict
from tests.integration.children.recording_proxy import RecordingProxy
from tests.integration.children.start_methods import START_METHODS, StartMethod
from tests.support.paths import ROOT

PASSWORD = "S3cr3t-pass-w0rd"
SPELLINGS = (PASSWORD.encode(), PASSWORD.encode().hex().encode(), b64encode(PASSWORD.encode())[:-2])


@pytest.fixture(scope="session")
def other() -> str:
    """A Python of another version, or, where there is none, the one that this one's environment was made with."""
    found = subprocess.run([ROOT / ".ci" / "pythons"], capture_output=True, text=True, check=True).stdout.split()
    paths = dict(zip(found[::2], found[1::2], strict=True))
    own = "{}.{}".format(*sys.version_info[:2])
    return next((path for version, path in paths.items() if version != own), os.path.realpath(sys.executable))


@pytest.fixture
def parent(tmp_path: Path, plain: Path, other: str) -> ParentProgram:
    return ParentProgram(tmp_path, plain, other)


@pytest.mark.parametrize("method", START_METHODS)
def test_launched(method: str, parent: ParentProgram, proxy: RecordingProxy) -> None:
    name, log = name_of(method, "launched"), parent.directory / "log"
    config = parent.directory / "settings.toml"
    config.write_text(f'proxy = "{proxy.url().replace("://", f"://joe:{PASSWORD}@")}"')
    launcher = [
        sys.executable,
        *START_METHODS[method].flags,
        "-m",
        "socksify",
        "--config",
        str(config),
        *LOOPBACK,
        "--log",
        str(log),
    ]
    said = parent.run(launcher, START_METHODS[method], name, log)
    assert verdict(proxy, name, said) == ("covered" if START_METHODS[method].launched else "named"), said
    # Some that are named do not start on every Python.
    assert (
        not START_METHODS[method].launched
        or "CHILD" not in START_METHODS[method].program
        or (parent.directory / "seen").exists()
    )
    assert not any(text in parent.seen() + said.encode() for text in SPELLINGS)


@pytest.mark.parametrize("method", START_METHODS)
def test_hooked(method: str, parent: ParentProgram, proxy: RecordingProxy, hooked: Path) -> None:
    name = name_of(method, "hooked")
    log_of(hooked).unlink(missing_ok=True)
    said = parent.run([hooked, *START_METHODS[method].flags], START_METHODS[method], name, log_of(hooked))
    assert verdict(proxy, name, said) == ("covered" if START_METHODS[method].hooked else "named"), said


def test_no_children(parent: ParentProgram, proxy: RecordingProxy) -> None:
    """Without children, the child of a program is named."""
    name, log = name_of("subprocess.run", "no children"), parent.directory / "log"
    launcher = [
        sys.executable,
        "-m",
        "socksify",
        "--proxy",
        proxy.url(),
        *LOOPBACK,
        "--no-children",
        "--log",
        str(log),
    ]
    said = parent.run(launcher, START_METHODS["subprocess.run"], name, log)
    assert "ConnectionRefusedError" in said
    assert not proxy.asked_for(name)
    assert said.count("is not covered: the settings are passed on to no child") == 2, "on stderr and in the log"


def test_a_subinterpreter_is_no_child(parent: ParentProgram, proxy: RecordingProxy) -> None:
    name, log = name_of("a subinterpreter", "no children"), parent.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--proxy", proxy.url(), *LOOPBACK, "--no-children"]
    parent.run(launcher, START_METHODS["a subinterpreter"], name, log)
    assert proxy.asked_for(name) == 1


def test_a_hook_that_is_off_for_the_parent(parent: ParentProgram, proxy: RecordingProxy) -> None:
    """A user who calls the launcher all the same means the children, too, unless the program itself sets the switch."""
    name, log = name_of("subprocess.run", "disabled"), parent.directory / "log"
    launcher = ["env", "SOCKSIFY_DISABLE=1", sys.executable, "-m", "socksify", "--proxy", proxy.url(), *LOOPBACK]
    assert "Traceback" not in parent.run([*launcher], START_METHODS["subprocess.run"], name, log)
    assert proxy.asked_for(name) == 1
    program = f"import os; os.environ['SOCKSIFY_DISABLE'] = '1'; {START_METHODS['subprocess.run'].program}"
    assert "ConnectionRefusedError" in parent.run([*launcher], StartMethod(program), name, log)
    assert proxy.asked_for(name) == 1


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return next(place.glob("*.whl"))


@pytest.mark.parametrize("method", ["subprocess.run", "no environment", "multiprocessing's spawn", "os.execv"])
def test_from_an_archive(method: str, wheel: Path, plain: Path, parent: ParentProgram, proxy: RecordingProxy) -> None:
    """Python imports from a wheel, or an archive of its own with socksify in it, as it is."""
    name, log = name_of(method, "archive"), parent.directory / "log"
    launcher = [str(plain), "-m", "socksify", "--proxy", proxy.url(), *LOOPBACK, "--log", str(log)]
    said = parent.run(["env", f"PYTHONPATH={wheel}", *launcher], START_METHODS[method], name, log)
    assert verdict(proxy, name, said) == "covered", said


INSTALL = "import socksify; socksify.install({url!r}, routes=['127.0.0.0/8=proxy'], children=True, log='log')\n"


@pytest.mark.parametrize("method", ["subprocess.run", "no environment", "-I", "multiprocessing's spawn", "os.execv"])
def test_installed(method: str, parent: ParentProgram, proxy: RecordingProxy) -> None:
    """Late, when subprocess has been imported."""
    name, log = name_of(method, "installed"), parent.directory / "log"
    program = (
        f"import multiprocessing.util, subprocess\n{INSTALL.format(url=proxy.url())}{START_METHODS[method].program}"
    )
    said = parent.run([sys.executable], StartMethod(program), name, log)
    assert verdict(proxy, name, said) == ("covered" if START_METHODS[method].launched else "named"), said


def test_a_password_is_in_no_command_line(parent: ParentProgram, proxy: RecordingProxy) -> None:
    """The words of a child's command are the program's, too."""
    program = """import os, subprocess
code = "print(open('/proc/self/cmdline').read().split(chr(0)), file=open('seen', 'w'))"
subprocess.run([PY, "-c", code, "a"])
assert open("seen").read() == str([PY, "-c", code, "a", ""]) + chr(10)
subprocess.run([PY, CHILD, NAME])"""
    url = proxy.url().replace("://", "://joe:S3cr3t@")
    launcher = [sys.executable, "-m", "socksify", "--proxy", url, *LOOPBACK]
    said = parent.run(launcher, StartMethod(program), name_of("", "password"), parent.directory / "log")
    assert "AssertionError" not in said
    assert "S3cr3t" not in said
