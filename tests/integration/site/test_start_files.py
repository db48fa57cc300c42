"""PEP 829: Python 3.18 ignores import lines of .pth files, and calls the function that a .start file names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from socksify.site import hook_files
from tests.support.environments import CLOSED, CONNECT, PROXIED, PROXY, TEMPLATE, Environment

SETTINGS = f'proxy = "{PROXY}"\n'
# What the site module does with .start files. On an older Python, this program takes its place.
CALL = f"""
import pkgutil
with open({{start!r}}) as file:
    pkgutil.resolve_name(file.read().strip())()
{CONNECT}"""


@pytest.fixture
def later(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment with the files for Python 3.18. The .pth file, which 3.18 ignores, is removed."""
    monkeypatch.setattr(hook_files, "needs_start_file", lambda: True)
    hook_files.write(str(environment.packages), SETTINGS)
    (environment.packages / "socksify_hook.pth").unlink()
    return environment


def connect(environment: Environment, **variables: str) -> str:
    if sys.version_info >= (3, 15):
        return environment.code(CONNECT, **variables)
    return environment.code(CALL.format(start=str(environment.packages / "socksify_hook.start")), **variables)


def test_no_python_of_today_is_given_one(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    assert hook_files.needs_start_file() == (sys.version_info >= (3, 18))
    assert (environment.packages / "socksify_hook.start").exists() == hook_files.needs_start_file()


def test_it_installs(later: Environment) -> None:
    assert PROXIED in connect(later)
    assert PROXIED in connect(later, PYTHONPATH=str(TEMPLATE))


def test_the_switch(later: Environment) -> None:
    assert "refused" in connect(later, SOCKSIFY_DISABLE="1") or "unreachable" in connect(later, SOCKSIFY_DISABLE="1")


def damaged(later: Environment) -> None:
    (later.hook / "__init__.py").write_text("def (")


def gone(later: Environment) -> None:
    import shutil

    shutil.rmtree(later.hook)


def lost(later: Environment) -> None:
    (later.hook / "settings.toml").unlink()


@pytest.mark.parametrize("lose", [damaged, gone, lost])
@pytest.mark.parametrize("on_path", [{}, {"PYTHONPATH": str(TEMPLATE)}], ids=["alone", "another copy"])
def test_it_closes(later: Environment, lose: object, on_path: dict[str, str]) -> None:
    assert callable(lose)
    lose(later)
    told = connect(later, **on_path)
    if lose is damaged and on_path:
        # The other copy and the settings are intact.
        assert PROXIED in told
    else:
        assert told.startswith(CLOSED)


def test_an_install_by_an_older_python_takes_it_away(later: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_files, "needs_start_file", lambda: False)
    hook_files.write(str(later.packages), None)
    assert not (later.packages / "socksify_hook.start").exists()
    assert PROXIED in later.code(CONNECT)


def test_uninstall_leaves_nothing_of_it(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment.files()
    monkeypatch.setattr(hook_files, "needs_start_file", lambda: True)
    hook_files.write(str(environment.packages), SETTINGS)
    assert hook_files.remove(str(environment.packages)) == []
    assert environment.files() == before


def test_the_name_of_the_module_is_deleted_with_the_rest(later: Environment) -> None:
    """The closed network gives the advice to delete .../socksify_hook*."""
    assert {path.name for path in later.packages.glob("socksify_hook*")} == {
        *("socksify_hook", "socksify_hook.start", "socksify_hook_start.py")
    }
    assert Path(hook_files.MODULE).name.startswith("socksify_hook")
