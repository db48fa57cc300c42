"""However a child is made, its connections go through the proxy, or the log says of it that they do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.children.conftest import log_of
from tests.integration.children.gateway import Gateway
from tests.integration.children.ways import WAYS, Way
from tests.support.paths import ROOT

# What others may read of it, it writes down.
CHILD = """\
import os, socket, sys

def connect(name):
    with open(SEEN, "ab") as seen:
        for file in ("environ", "cmdline"):
            seen.write(open(f"/proc/self/{file}", "rb").read())
    with socket.create_connection((name, 1), timeout=30) as stream:
        stream.sendall(b"GET")
        stream.recv(100)

if __name__ == "__main__":
    connect(sys.argv[1])
"""
PASSWORD = "S3cr3t-pass-w0rd"
SPELLINGS = (PASSWORD.encode(), PASSWORD.encode().hex().encode(), b64encode(PASSWORD.encode())[:-2])
LOOPBACK = ["--route", "127.0.0.0/8=proxy"]
NOT_COVERED = ("is not covered", "is no Python")


@pytest.fixture(scope="session")
def other() -> str:
    """A Python of another version, or, where there is none, the one that this one's environment was made with."""
    found = subprocess.run([ROOT / ".ci" / "pythons"], capture_output=True, text=True, check=True).stdout.split()
    paths = dict(zip(found[::2], found[1::2], strict=True))
    own = "{}.{}".format(*sys.version_info[:2])
    return next((path for version, path in paths.items() if version != own), os.path.realpath(sys.executable))


class Parents:
    """Programs that start children."""

    def __init__(self, directory: Path, plain: Path, other: str) -> None:
        self.directory = directory
        self._names = {"PLAIN": str(plain), "OTHER": other}
        self.log = directory / "log"

    def run(self, command: Sequence[str | Path], way: Way, name: str, log: Path) -> str:
        """What was said of the children."""
        child = self.directory / "child.py"
        code = CHILD.replace("SEEN", repr(str(self.directory / "seen")))
        child.write_text(code)
        marked = self.directory / "marked"
        marked.mkdir(exist_ok=True)
        (marked / "marked.py").touch()
        statement = f"{code.partition('if __name__')[0]}connect({name!r})"
        names = self._names | {"CHILD": str(child), "NAME": name, "CODE": code, "STATEMENT": statement}
        names |= {"MARKED": str(marked), "CONNECTOR": str(shutil.copy("/bin/true", self.directory / "connector"))}
        program = self.directory / "program.py"
        given = "\n".join(f"{name} = {value!r}" for name, value in names.items())
        program.write_text(f"import sys\nPY = sys.executable\n{given}\n{way.program}\n")
        ended = subprocess.run(
            [*command, program],
            cwd=self.directory,
            env={"PATH": os.defpath, "HOME": str(self.directory), "TMPDIR": str(self.directory)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.stdout.strip() in ("", "nohup: ignoring input"), ended.stdout
        return ended.stderr + (log.read_text() if log.exists() else "")

    def seen(self) -> bytes:
        """Of its children's environments and command lines."""
        seen = self.directory / "seen"
        return seen.read_bytes() if seen.exists() else b""


@pytest.fixture
def parents(tmp_path: Path, plain: Path, other: str) -> Parents:
    return Parents(tmp_path, plain, other)


def verdict(gateway: Gateway, name: str, said: str) -> str:
    """What became of the child."""
    if gateway.asked_for(name):
        return "covered"
    return "named" if any(words in said for words in NOT_COVERED) else f"neither: {said}"


def name_of(way: str, how: str) -> str:
    """A target of its own for each child: on loopback, where nobody listens, if it goes direct."""
    return "127.{1}.{2}.{3}".format(*(zlib.crc32(f"{how} {way}".encode()) | 0x010000).to_bytes(4, "big"))


@pytest.mark.parametrize("way", WAYS)
def test_launched(way: str, parents: Parents, gateway: Gateway) -> None:
    name, log = name_of(way, "launched"), parents.directory / "log"
    config = parents.directory / "settings.toml"
    config.write_text(f'proxy = "{gateway.url().replace("://", f"://joe:{PASSWORD}@")}"')
    launcher = [
        sys.executable,
        *WAYS[way].flags,
        "-m",
        "socksify",
        "--config",
        str(config),
        *LOOPBACK,
        "--log",
        str(log),
    ]
    said = parents.run(launcher, WAYS[way], name, log)
    assert verdict(gateway, name, said) == ("covered" if WAYS[way].launched else "named"), said
    # Some that are named do not start on every Python.
    assert not WAYS[way].launched or "CHILD" not in WAYS[way].program or (parents.directory / "seen").exists()
    assert not any(text in parents.seen() + said.encode() for text in SPELLINGS)


@pytest.mark.parametrize("way", WAYS)
def test_hooked(way: str, parents: Parents, gateway: Gateway, hooked: Path) -> None:
    name = name_of(way, "hooked")
    log_of(hooked).unlink(missing_ok=True)
    said = parents.run([hooked, *WAYS[way].flags], WAYS[way], name, log_of(hooked))
    assert verdict(gateway, name, said) == ("covered" if WAYS[way].hooked else "named"), said


def test_no_children(parents: Parents, gateway: Gateway) -> None:
    """What is not passed on is named."""
    name, log = name_of("subprocess.run", "no children"), parents.directory / "log"
    launcher = [
        sys.executable,
        "-m",
        "socksify",
        "--proxy",
        gateway.url(),
        *LOOPBACK,
        "--no-children",
        "--log",
        str(log),
    ]
    said = parents.run(launcher, WAYS["subprocess.run"], name, log)
    assert "ConnectionRefusedError" in said
    assert not gateway.asked_for(name)
    assert said.count("is not covered: the settings are passed on to no child") == 2, "on stderr and in the log"


def test_a_subinterpreter_is_no_child(parents: Parents, gateway: Gateway) -> None:
    name, log = name_of("a subinterpreter", "no children"), parents.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--proxy", gateway.url(), *LOOPBACK, "--no-children"]
    parents.run(launcher, WAYS["a subinterpreter"], name, log)
    assert gateway.asked_for(name) == 1


def test_a_hook_that_is_off_for_the_parent(parents: Parents, gateway: Gateway) -> None:
    """Who calls the launcher all the same means the children, too, but for one that the program itself says it of."""
    name, log = name_of("subprocess.run", "disabled"), parents.directory / "log"
    launcher = ["env", "SOCKSIFY_DISABLE=1", sys.executable, "-m", "socksify", "--proxy", gateway.url(), *LOOPBACK]
    assert "Traceback" not in parents.run([*launcher], WAYS["subprocess.run"], name, log)
    assert gateway.asked_for(name) == 1
    program = f"import os; os.environ['SOCKSIFY_DISABLE'] = '1'; {WAYS['subprocess.run'].program}"
    assert "ConnectionRefusedError" in parents.run([*launcher], Way(program), name, log)
    assert gateway.asked_for(name) == 1


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return next(place.glob("*.whl"))


@pytest.mark.parametrize("way", ["subprocess.run", "no environment", "multiprocessing's spawn", "os.execv"])
def test_from_an_archive(way: str, wheel: Path, plain: Path, parents: Parents, gateway: Gateway) -> None:
    """Python imports from a wheel, or an archive of its own with socksify in it, as it is."""
    name, log = name_of(way, "archive"), parents.directory / "log"
    launcher = [str(plain), "-m", "socksify", "--proxy", gateway.url(), *LOOPBACK, "--log", str(log)]
    said = parents.run(["env", f"PYTHONPATH={wheel}", *launcher], WAYS[way], name, log)
    assert verdict(gateway, name, said) == "covered", said


INSTALL = "import socksify; socksify.install({url!r}, routes=['127.0.0.0/8=proxy'], children=True, log='log')\n"


@pytest.mark.parametrize("way", ["subprocess.run", "no environment", "-I", "multiprocessing's spawn", "os.execv"])
def test_installed(way: str, parents: Parents, gateway: Gateway) -> None:
    """Late, when subprocess has been imported."""
    name, log = name_of(way, "installed"), parents.directory / "log"
    program = f"import multiprocessing.util, subprocess\n{INSTALL.format(url=gateway.url())}{WAYS[way].program}"
    said = parents.run([sys.executable], Way(program), name, log)
    assert verdict(gateway, name, said) == ("covered" if WAYS[way].launched else "named"), said


def test_a_password_is_in_no_command_line(parents: Parents, gateway: Gateway) -> None:
    """Nor are the words of a child's command others than the program's."""
    program = """import os, subprocess
code = "print(open('/proc/self/cmdline').read().split(chr(0)), file=open('seen', 'w'))"
subprocess.run([PY, "-c", code, "a"])
assert open("seen").read() == str([PY, "-c", code, "a", ""]) + chr(10)
subprocess.run([PY, CHILD, NAME])"""
    url = gateway.url().replace("://", "://joe:S3cr3t@")
    launcher = [sys.executable, "-m", "socksify", "--proxy", url, *LOOPBACK]
    said = parents.run(launcher, Way(program), name_of("", "password"), parents.directory / "log")
    assert "AssertionError" not in said
    assert "S3cr3t" not in said
