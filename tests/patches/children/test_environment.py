"""What children are given, while installed; and that nothing of it is to be seen, before or after."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

import socksify
from socksify._hook import template
from socksify.config.passing import VARIABLE

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


def test_a_librarys_install_gives_children_nothing() -> None:
    socksify.install(URL)
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
    """httpx here would stumble over it; curl as a child needs it."""
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


def test_each_is_named_once(capfd: pytest.CaptureFixture[str]) -> None:
    socksify.install(URL, children=True, log="stderr")
    for _ in range(2):
        subprocess.run([sys.executable, "-I", "-c", ""], check=True)
        subprocess.run(["true"], check=True)
    said = capfd.readouterr().err.splitlines()
    assert len([line for line in said if "-I ignores PYTHONPATH" in line]) == 1
    assert len([line for line in said if "true is no Python" in line]) == 1
    assert not any("S3cr3t" in line for line in said)


def test_functions_that_tell_by_identity_are_told() -> None:
    """os.supports_fd has os.execve in it."""
    socksify.install(URL, children=True)
    assert os.execve in os.supports_fd
    socksify.uninstall()
    assert os.execve in os.supports_fd
