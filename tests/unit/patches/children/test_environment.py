"""Children are given the settings while they are installed. Nothing of that is seen in this process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ctypes.util
import errno
import os
import platform
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import socksify
from socksify._hook_location import template
from socksify.config.inherited import VARIABLE
from socksify.patches import notices

URL = "socks5h://joe:S3cr3t@127.0.0.1:9"


def environment_of_c(name: str) -> str | None:
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    value = getenv(name.encode())
    return None if value is None else value.decode()


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    yield
    socksify.uninstall()
    assert environment_of_c(VARIABLE) is None
    assert template() not in (environment_of_c("PYTHONPATH") or "")


def test_only_c_knows() -> None:
    before = dict(os.environ)
    socksify.install(URL, children=True)
    assert dict(os.environ) == before
    assert environment_of_c("PYTHONPATH") == template()
    assert "S3cr3t" not in (environment_of_c(VARIABLE) or "S3cr3t")
    socksify.uninstall()
    assert environment_of_c("PYTHONPATH") is None


def test_more_rules_than_a_variable_holds() -> None:
    rules = [f"host{number}.{number * 7919 % 1000003}.example=direct" for number in range(9000)]
    before = dict(os.environ)
    socksify.install(URL, routes=rules, children=True)
    assert dict(os.environ) == before
    subprocess.run(["true"], check=True, env={})
    assert environment_of_c(f"{VARIABLE}_1")
    socksify.uninstall()
    assert environment_of_c(f"{VARIABLE}_1") is None


def test_install_covers_children_unless_they_are_switched_off() -> None:
    socksify.install(URL)
    assert environment_of_c(VARIABLE) is not None
    socksify.install(URL, children=False)
    assert environment_of_c(VARIABLE) is None


def test_settings_that_change_are_passed_on_changed() -> None:
    socksify.install(URL, children=True)
    first = environment_of_c(VARIABLE)
    socksify.install(URL, children=True, udp="direct")
    assert environment_of_c(VARIABLE) != first
    socksify.install(URL, children=False)
    assert environment_of_c(VARIABLE) is None


def test_the_programs_own_path_stays_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/a")
    socksify.install(URL, children=True)
    assert environment_of_c("PYTHONPATH") == f"{template()}:/a"
    os.environ["PYTHONPATH"] = "/b:/c"
    assert environment_of_c("PYTHONPATH") == f"{template()}:/b:/c"
    del os.environ["PYTHONPATH"]
    assert environment_of_c("PYTHONPATH") == template()
    os.environ["PYTHONPATH"] = "/a"
    socksify.uninstall()
    assert environment_of_c("PYTHONPATH") == "/a"


def test_a_proxy_variable_is_taken_out_of_the_programs_view_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx in this process would fail because of it; curl as a child needs it."""
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    socksify.install("socks5h://127.0.0.1:9", children=True)
    assert "ALL_PROXY" not in os.environ
    assert environment_of_c("ALL_PROXY") == "socks5h://127.0.0.1:9"
    for env in (None, {**os.environ}, {"ALL_PROXY": "mine"}):
        found = subprocess.run(
            ["/usr/bin/env"], env=env, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert ("ALL_PROXY=mine" if env == {"ALL_PROXY": "mine"} else "ALL_PROXY=socks5h://127.0.0.1:9") in found
    socksify.uninstall()
    assert os.environ["ALL_PROXY"] == "socks5h://127.0.0.1:9"


def test_a_child_sees_nothing_of_it() -> None:
    code = "import os, socket, sys; print(dict(os.environ), sys.path)"
    native = subprocess.run([sys.executable, "-c", code], env={"A": "b"}, capture_output=True, text=True, check=True)
    socksify.install(URL, children=True)
    child = subprocess.run([sys.executable, "-c", code], env={"A": "b"}, capture_output=True, text=True, check=True)
    assert child.stdout == native.stdout
    assert child.stderr == ""


@pytest.mark.parametrize("env", [5, [("a", "b")], {1: "b"}, {"a": None}, {"a=b": "c"}, {"a\0": "b"}], ids=str)
def test_what_is_no_environment_is_refused_as_ever(env: object) -> None:
    def refusal() -> object:
        try:
            os.posix_spawn("/bin/true", ["true"], env)  # type: ignore[arg-type]
        except (TypeError, ValueError, AttributeError) as error:
            return type(error), str(error)
        return None

    expected = refusal()
    assert expected is not None
    socksify.install(URL, children=True)
    assert refusal() == expected


def test_what_is_no_command_is_refused_as_ever() -> None:
    def refusals() -> list[object]:
        found: list[object] = []
        for words in ([], [5], "", ["a\0b"], None):
            starts = (
                lambda words: subprocess.Popen(words),
                lambda words: os.execv("/bin/true", words),
                lambda words: os.posix_spawnp(words, ["true"], {}),
            )
            for start in starts:
                try:
                    start(words)
                except (TypeError, ValueError, IndexError, OSError) as error:
                    found.append((type(error), str(error)))
        return found

    expected = refusals()
    assert len(expected) == 15
    socksify.install(URL, children=True)
    assert refusals() == expected


@pytest.fixture
def connector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program that is not known to be harmless, and does nothing."""
    monkeypatch.setattr(notices.NOTICES, "_given", set())
    return str(shutil.copy("/bin/true", tmp_path / "connector"))


def test_each_is_named_once(connector: str, capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL)
    for _ in range(2):
        subprocess.run([sys.executable, "-I", "-c", ""], check=True)
        subprocess.run([connector], check=True)
        subprocess.run(["sh", "-c", f"{connector} && true"], check=True)
    first, second = capfd.readouterr().err.splitlines()
    assert "-I ignores PYTHONPATH" in first and f"`socksify site install --python {sys.executable}` covers it" in first
    assert f"the child {connector} is no Python" in second and "--seal=on" in second and "--allow connector" in second
    assert "S3cr3t" not in first + second


HARMLESS = [
    "true",
    "uname -a",
    "git describe --all",
    "tar --version",
    "sh -c 'echo a | wc -c; ls -l /dev/null >/dev/null'",
    "find /dev/null -exec ls {} ;",
    "ip link show lo",
]


def test_what_connects_to_nobody_is_not_named(connector: str, capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL, strict=True)
    for command in HARMLESS:
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(shlex.split(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    platform.processor()
    ctypes.util.find_library("c")
    uuid.getnode()
    socksify.uninstall()
    socksify.install(URL, strict=True, allow=["connector"])
    subprocess.run([connector], check=True)
    assert capfd.readouterr().err == ""


STARTS: dict[str, Callable[[str], object]] = {
    "subprocess": lambda path: subprocess.run([path]),
    "shell": lambda path: subprocess.run(f"cd / && {path} a", shell=True),
    "nice": lambda path: subprocess.run(["nice", path]),
    "script": lambda path: subprocess.run([script(path)]),
    "system": lambda path: os.system(path),
    "popen": lambda path: os.popen(path),
    "posix_spawn": lambda path: os.posix_spawn(path, [path], {}),
    "posix_spawnp": lambda path: os.posix_spawnp(path, [path], {}),
    "execv": lambda path: os.execv(path, [path]),
    "execvpe": lambda path: os.execvpe(path, [path], {}),
    "asyncio": lambda path: asyncio.run(asyncio.create_subprocess_exec(path)),
}


def script(path: str) -> str:
    place = Path(path).with_name("script")
    place.write_text(f"#!/bin/sh -e\n{path}\n")
    place.chmod(0o755)
    return str(place)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_strict_refuses_what_is_no_python(start: Callable[[str], object], connector: str) -> None:
    socksify.install(URL, strict=True)
    with pytest.raises(
        PermissionError, match=r"connector, which is no Python, .* strict .*--seal=on; --allow connector"
    ) as caught:
        start(connector)
    assert caught.value.errno == errno.EACCES


def test_strict_refuses_a_python_that_is_not_covered() -> None:
    socksify.install(URL, strict=True)
    with pytest.raises(PermissionError, match="-I ignores PYTHONPATH"):
        subprocess.run([sys.executable, "-I", "-c", ""])
    assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0


def test_what_is_not_there_is_not_there(connector: str) -> None:
    os.unlink(connector)
    socksify.install(URL, strict=True)
    with pytest.raises(FileNotFoundError):
        subprocess.run([connector])


def test_where_children_are_given_nothing_each_is_named(connector: str, capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL, children=False)
    for _ in range(2):
        subprocess.run([sys.executable, "-c", ""], check=True, env={})
        subprocess.run([connector], check=True)
    first, second = capfd.readouterr().err.splitlines()
    assert f"the child {sys.executable} is not covered: the settings are passed on to no child" in first
    assert "is no Python" in second
    socksify.uninstall()
    subprocess.run([connector], check=True)
    socksify.install(URL, children=False, strict=True)
    with pytest.raises(PermissionError, match="passed on to no child"):
        subprocess.run([sys.executable, "-c", ""])


def test_functions_that_tell_by_identity_are_told() -> None:
    """os.supports_fd contains os.execve."""
    socksify.install(URL, children=True)
    assert os.execve in os.supports_fd
    socksify.uninstall()
    assert os.execve in os.supports_fd
