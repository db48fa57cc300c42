"""The settings of `site install` after an upgrade, after another install, and after the loss of a file."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import environments
from tests.support.environments import CLOSED, CONNECT, PROXIED, PROXY, Environment
from tests.support.paths import ROOT

OTHER = "socks5h://127.0.0.1:8"
ELSEWHERE = "proxy socks5h://127.0.0.1:8 for 192.0.2.1:80"
DIRECT = "import sys, socket; print(sys.modules['socksify_hook'].state, 'connect' in vars(socket.socket))"


def test_an_upgrade_of_the_package_changes_nothing(environment: Environment) -> None:
    """The format of the hook decides, not the version of the package."""
    environment.install("--proxy", PROXY)
    other = shutil.copytree(ROOT / "socksify", environment.packages / "socksify")
    text = (other / "__init__.py").read_text()
    (other / "__init__.py").write_text(text.replace('__version__ = "', '__version__ = "9.9" or "'))
    assert environment.code("import socksify; print(socksify.__version__)") == "9.9"
    assert PROXIED in environment.code(CONNECT)


def test_a_hook_of_another_format_closes_and_its_advice_opens_the_way_to_the_proxy(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    outdate(environment.hook)
    told = environment.code(CONNECT)
    assert told.startswith(CLOSED)
    assert f"once more: {environment.python} -m socksify site install. To go without" in told
    environment.install()
    assert PROXIED in environment.code(CONNECT)


def outdate(hook: Path) -> None:
    shutil.rmtree(hook / "__pycache__")
    file = hook / "__init__.py"
    file.write_text(file.read_text().replace("FORMAT = 1", "FORMAT = 0"))


def test_a_directory_on_pythonpath_of_another_format(environment: Environment, template: Path) -> None:
    (template / "socksify_hook" / "__pycache__").mkdir(exist_ok=True)
    outdate(template / "socksify_hook")
    told = environment.code(CONNECT, PYTHONPATH=str(template), SOCKSIFY_PROXY=PROXY)
    assert told.startswith(CLOSED)
    advised = told.partition("; put ")[2].partition(" on PYTHONPATH, in the place of ")
    assert advised[2].startswith(f"{template}. To go without")
    assert PROXIED in environment.code(CONNECT, PYTHONPATH=advised[0], SOCKSIFY_PROXY=PROXY)


def test_an_install_without_options_keeps_the_settings(environment: Environment) -> None:
    environment.install("--proxy", "socks5h://alice:secret@127.0.0.1:9", "--route", "10.0.0.0/8=block")
    settings = environment.hook / "settings.toml"
    settings.chmod(0o640)
    before = settings.read_bytes()
    result = environment.site("install")
    assert result.stdout.splitlines()[-1] == f"{settings}: kept as it was"
    assert (settings.read_bytes(), stat.S_IMODE(settings.stat().st_mode)) == (before, 0o640)
    assert "proxy socks5h://alice:***@127.0.0.1:9 for 192.0.2.1:80" in environment.code(CONNECT)


def test_it_keeps_those_of_a_hook_whose_start_does_not_tell(environment: Environment) -> None:
    """An older version has written other files. Its .start file would keep Python 3.15 from reading the .pth."""
    environment.install("--proxy", PROXY)
    pth, start = (environment.packages / f"socksify_hook.{suffix}" for suffix in ("pth", "start"))
    pth.write_text(pth.read_text().replace(", with_settings=True", ""))
    start.write_text("socksify_hook:start\n")
    environment.install()
    assert not start.exists()
    assert PROXIED in environment.code(CONNECT)
    (environment.hook / "settings.toml").unlink()
    assert environment.code(CONNECT).startswith(CLOSED)


def test_dropping_them_takes_a_word_of_its_own(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    result = environment.site("install", "--no-settings")
    assert "it is off until SOCKSIFY_PROXY, or another SOCKSIFY_* variable, is set" in result.stdout
    assert (
        environment.code(DIRECT)
        == f"off: there is no SOCKSIFY_* variable and no {environment.hook}/settings.toml False"
    )
    assert PROXIED in environment.code(CONNECT, SOCKSIFY_PROXY=PROXY)
    environment.install()
    assert environment.code(DIRECT).startswith("off: ")
    environment.install("--proxy", OTHER)
    assert ELSEWHERE in environment.code(CONNECT)


@pytest.mark.parametrize("option", [["--proxy", PROXY], ["--strict"], ["--config=x.toml"]], ids=" ".join)
def test_that_word_and_settings_exclude_each_other(environment: Environment, option: list[str]) -> None:
    environment.install("--proxy", PROXY)
    result = environment.site("install", "--no-settings", *option)
    assert (result.returncode, result.stdout) == (2, "")
    assert PROXIED in environment.code(CONNECT)


def deleted(settings: Path) -> None:
    settings.unlink()


def dangling(settings: Path) -> None:
    settings.unlink()
    settings.symlink_to("/nonexistent/volume/settings.toml")


def emptied(settings: Path) -> None:
    settings.write_text("")


def commented(settings: Path) -> None:
    settings.write_text("# proxy = 'socks5h://127.0.0.1:9'\n")


def without_a_proxy(settings: Path) -> None:
    settings.write_text('routes = ["*=direct"]\n')


def zeroed(settings: Path) -> None:
    settings.write_bytes(bytes(settings.stat().st_size))


def a_directory(settings: Path) -> None:
    settings.unlink()
    settings.mkdir()


def behind_a_file(settings: Path) -> None:
    settings.unlink()
    settings.symlink_to("__init__.py/settings.toml")


LOST = [deleted, dangling, emptied, commented, without_a_proxy, zeroed, a_directory, behind_a_file]
VARIABLES = {"alone": {}, "ALL_PROXY": {"ALL_PROXY": OTHER}, "SOCKSIFY_PROXY": {"SOCKSIFY_PROXY": OTHER}}


@pytest.mark.parametrize("lose", LOST)
@pytest.mark.parametrize("variables", VARIABLES.values(), ids=VARIABLES)
def test_settings_that_are_lost_close(
    environment: Environment, lose: Callable[[Path], None], variables: dict[str, str]
) -> None:
    """Variables may name a proxy, but the rules are lost all the same."""
    environment.install("--proxy", PROXY)
    lose(environment.hook / "settings.toml")
    for flags in ((), ("-I",)):
        told = environment.code(CONNECT, *flags, **variables)
        assert told.startswith(CLOSED)
        assert "settings.toml: " in told


@pytest.mark.parametrize("lose", LOST)
def test_an_install_without_options_does_not_open_what_lost_its_settings(
    environment: Environment, lose: Callable[[Path], None]
) -> None:
    environment.install("--proxy", PROXY)
    lose(environment.hook / "settings.toml")
    result = environment.site("install")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert environment.code(CONNECT).startswith(CLOSED)
    assert "Or install without settings: install --no-settings" in result.stderr
    environment.install("--no-settings")
    assert environment.code(DIRECT).startswith("off: ")
    environment.install("--proxy", PROXY)
    lose(environment.hook / "settings.toml")
    environment.install("--proxy", OTHER)
    assert ELSEWHERE in environment.code(CONNECT)


@pytest.mark.parametrize("lose", LOST)
def test_what_lost_its_settings_can_be_taken_out(environment: Environment, lose: Callable[[Path], None]) -> None:
    before = environment.files()
    environment.install("--proxy", PROXY)
    lose(environment.hook / "settings.toml")
    assert environment.site("uninstall").returncode == 0
    assert environment.files() == before


def gone(hook: Path) -> None:
    shutil.rmtree(hook)


def led_nowhere(hook: Path) -> None:
    shutil.rmtree(hook)
    hook.symlink_to("/nonexistent/volume/socksify_hook")


def a_file(hook: Path) -> None:
    shutil.rmtree(hook)
    hook.write_text("")


def an_empty_directory(hook: Path) -> None:
    shutil.rmtree(hook)
    hook.mkdir()


@pytest.mark.parametrize("lose", [gone, led_nowhere, an_empty_directory])
@pytest.mark.parametrize("with_another_copy", [False, True])
def test_a_hook_that_is_lost_as_a_whole(
    environment: Environment, lose: Callable[[Path], None], with_another_copy: bool
) -> None:
    """Another copy of the hook, first on PYTHONPATH, does not know more about the settings."""
    before = environment.files()
    variables = {"PYTHONPATH": str(environments.TEMPLATE)} if with_another_copy else {}
    environment.install("--proxy", PROXY)
    lose(environment.hook)
    assert environment.code(CONNECT, **variables).startswith("[Errno 100] socksify: the network is closed: ")
    assert environment.site("install").returncode == 2
    assert environment.code(CONNECT, **variables).startswith("[Errno 100] socksify: the network is closed: ")
    environment.install("--proxy", OTHER)
    assert ELSEWHERE in environment.code(CONNECT, **variables)
    lose(environment.hook)
    assert environment.site("uninstall").returncode == 0
    assert environment.files() == before


def test_an_interrupted_drop_leaves_the_settings_in_force(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that tell of the settings are replaced before the settings are deleted."""
    from socksify.site import hook_files

    environment.install("--proxy", PROXY)

    def rename(new: str, path: str) -> None:
        if path.endswith(".pth"):
            raise KeyboardInterrupt
        os.replace(new, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", rename)
        hook_files.write(str(environment.packages), "")
    assert PROXIED in environment.code(CONNECT)
