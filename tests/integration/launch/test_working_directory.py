"""A stranger's `./socksify.toml`, whichever way in: it switches no proxy off, and chooses no other one in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environments import CONNECT, PROXIED, PROXY, TEMPLATE, Result
from tests.support.paths import ROOT

ELSEWHERE = "socks5h://127.0.0.1:8"
LED_ELSEWHERE = "proxy socks5h://127.0.0.1:8 for 192.0.2.1:"
INSTALL = f"import socksify; socksify.install({{}})\n{CONNECT}"
MODULES = ("-m", "socksify")
RFTP = ("-m", "socksify.clients.rftp", "-c", "pwd", "192.0.2.1")
RTELNET = ("-m", "socksify.clients.rtelnet", "192.0.2.1")
# The command line, and the variables that it is started with.
DOORS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "launcher": ((*MODULES, "--proxy", PROXY, "--strict", "--seal=off", "-c", CONNECT), {}),
    "launcher, variable": ((*MODULES, "-c", CONNECT), {"SOCKSIFY_PROXY": PROXY}),
    "install()": (("-c", INSTALL.format(repr(PROXY))), {}),
    "install(), variable": (("-c", INSTALL.format("")), {"SOCKSIFY_PROXY": PROXY}),
    "hook": (("-c", CONNECT), {"SOCKSIFY_PROXY": PROXY, "PYTHONPATH": str(TEMPLATE)}),
    "rftp": ((*RFTP[:2], "--proxy", PROXY, *RFTP[2:]), {}),
    "rtelnet": ((*RTELNET[:2], "--proxy", PROXY, *RTELNET[2:]), {}),
}
# The same without a word about the proxy.
UNTOLD: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "launcher": ((*MODULES, "-c", CONNECT), {}),
    "install()": (("-c", INSTALL.format("")), {}),
    "hook": (("-c", CONNECT), {"SOCKSIFY_STRICT": "yes", "PYTHONPATH": str(TEMPLATE)}),
    "rftp": (RFTP, {}),
    "rtelnet": (RTELNET, {}),
}
WEAK = ['routes = ["*=direct"]', f'proxy = "{ELSEWHERE}"', 'udp = "direct"\ndirect = ["*"]\nlog = "taken.log"']


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def run(here: Path, words: tuple[str, ...], variables: dict[str, str]) -> Result:
    environ = {"PATH": os.defpath, "HOME": str(here.parent), "PYTHONPATH": str(ROOT)} | variables
    if variables.get("PYTHONPATH"):
        environ["PYTHONPATH"] += os.pathsep + str(ROOT)
    return subprocess.run(
        [sys.executable, *words], cwd=here, env=environ, capture_output=True, text=True, timeout=60, input=""
    )


@pytest.mark.parametrize("text", WEAK)
@pytest.mark.parametrize(("words", "variables"), DOORS.values(), ids=DOORS)
def test_it_does_not_beat_what_the_user_says(
    here: Path, words: tuple[str, ...], variables: dict[str, str], text: str
) -> None:
    (here / "socksify.toml").write_text(text)
    result = run(here, words, variables)
    assert PROXIED.rpartition(":")[0] in result.stdout + result.stderr
    assert result.stderr.count("socksify.toml: ignored: the proxy is that of ") == 1
    assert "to use it all the same: --config ./socksify.toml" in result.stderr
    assert not (here / "taken.log").exists()


@pytest.mark.parametrize("theirs", ["directory", "file", "mode"])
@pytest.mark.parametrize(("words", "variables"), UNTOLD.values(), ids=UNTOLD)
def test_one_that_somebody_else_may_have_written_leads_nowhere(
    here: Path, words: tuple[str, ...], variables: dict[str, str], theirs: str
) -> None:
    """Neither alone, where nothing starts or all is closed, nor before the user's own variables."""
    file = here / "socksify.toml"
    file.write_text(f'proxy = "{ELSEWHERE}"\ndirect = ["*"]\n')
    if theirs == "mode":
        file.chmod(0o666)
    else:
        os.chown(here if theirs == "directory" else file, 54321, 54321)
    alone = run(here, words, variables)
    told = alone.stdout + alone.stderr
    assert "no proxy is configured" in told
    assert told.count("socksify.toml: ignored: ") == 1
    beside = run(here, words, {**variables, "ALL_PROXY": PROXY})
    assert PROXIED.rpartition(":")[0] in beside.stdout + beside.stderr
    advised = run(here, words, {**variables, "SOCKSIFY_CONFIG": "./socksify.toml", "SOCKSIFY_ROUTES": "*=proxy"})
    assert LED_ELSEWHERE in advised.stdout + advised.stderr


def test_the_advice(here: Path) -> None:
    (here / "socksify.toml").write_text(f'proxy = "{ELSEWHERE}"\nroutes = ["*=proxy"]\n')
    os.chown(here, 54321, 54321)
    result = run(here, (*MODULES, "--config", "./socksify.toml", "-c", CONNECT), {})
    assert (LED_ELSEWHERE in result.stdout, result.stderr) == (True, "")


@pytest.mark.parametrize(("words", "variables"), UNTOLD.values(), ids=UNTOLD)
def test_one_of_ones_own_is_used(here: Path, words: tuple[str, ...], variables: dict[str, str]) -> None:
    (here / "socksify.toml").write_text(f'proxy = "{ELSEWHERE}"')
    result = run(here, words, variables)
    assert LED_ELSEWHERE in result.stdout + result.stderr
    assert "socksify.toml" not in result.stderr
    beside = run(here, words, {**variables, "ALL_PROXY": PROXY})
    assert LED_ELSEWHERE in beside.stdout + beside.stderr
    assert beside.stderr.count("socksify.toml: its proxy takes the place of that of ALL_PROXY") == 1


def test_an_install_in_a_launched_program_is_led_elsewhere_not_in_silence(here: Path) -> None:
    """Without arguments, it finds what the working directory has, or nothing."""
    words = (*MODULES, "--proxy", PROXY, "-c", INSTALL.format(""))
    assert "no proxy is configured" in run(here, words, {}).stderr
    (here / "socksify.toml").write_text(f'proxy = "{ELSEWHERE}"')
    result = run(here, words, {})
    assert LED_ELSEWHERE in result.stdout
    assert "socksify.toml: its proxy takes the place of that of --proxy\n" in result.stderr


@pytest.mark.parametrize("child", ["-m socksify client.py", "install.py"])
def test_nor_is_a_child_of_a_covered_program(here: Path, child: str) -> None:
    """Which is told the settings of its parent, and asks for others."""
    (here / "socksify.toml").write_text(f'proxy = "{ELSEWHERE}"')
    (here / "client.py").write_text(CONNECT)
    (here / "install.py").write_text(INSTALL.format(""))
    program = f"import subprocess, sys; subprocess.run([sys.executable, *{child.split()}])"
    result = run(here, (*MODULES, "--proxy", PROXY, "-c", program), {})
    assert LED_ELSEWHERE in result.stdout
    assert result.stderr.count("socksify.toml: its proxy takes the place of that of ") == 1
