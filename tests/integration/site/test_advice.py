"""The advice of the hook and of `socksify site` is followed; then the tests look where the traffic goes."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.site import hook_entry
from tests.support import environments
from tests.support.connecting_packages import write_package
from tests.support.environments import CLOSED, CONNECT, PROXIED, PROXY, Environment
from tests.support.paths import ROOT

OTHER = 54321


def is_direct(told: str) -> bool:
    return told == "[Errno 111] Connection refused"


@pytest.fixture
def local() -> str:
    """A connection that is refused at once if it is direct."""
    return CONNECT.replace('("192.0.2.1", 80)', '("127.0.0.1", 9)')


@pytest.fixture
def closed(environment: Environment) -> Environment:
    environment.install("--proxy", PROXY)
    (environment.hook / "settings.toml").write_text("proxy = [")
    assert environment.code(CONNECT).startswith(CLOSED)
    return environment


def way_out(environment: Environment) -> list[str]:
    """The advice in the error of a closed network is followed."""
    return re.split(", or | or ", environment.code(CONNECT).partition("To go without: ")[2])


def test_the_ways_to_go_without(closed: Environment, local: str) -> None:
    assert way_out(closed) == [
        "SOCKSIFY_DISABLE=1",
        f"{closed.python} -m socksify site uninstall",
        f"delete {closed.hook} and {closed.hook}.*",
    ]
    assert is_direct(closed.code(local, SOCKSIFY_DISABLE="1"))
    assert closed.code(CONNECT).startswith(CLOSED)


def test_uninstalling_is_one(closed: Environment, local: str) -> None:
    words = way_out(closed)[1].removeprefix(f"{closed.python} ").split()
    assert closed.run(*words).returncode == 0
    assert is_direct(closed.code(local))


@pytest.mark.parametrize("gone", [False, True], ids=["settings", "hook"])
def test_deleting_is_one(closed: Environment, local: str, gone: bool) -> None:
    if gone:
        shutil.rmtree(closed.hook)
    names = way_out(closed)[-1].removeprefix("delete ").split(" and ")
    quoted = " ".join(shlex.quote(name.rstrip("*")) + name[len(name.rstrip("*")) :] for name in names)
    subprocess.run(f"rm -r {quoted}", shell=True, check=not gone)
    assert not list(closed.packages.glob("socksify_hook*"))
    assert is_direct(closed.code(local))


def test_taking_the_directory_off_the_path_is_one(environment: Environment, local: str) -> None:
    on_path = {"PYTHONPATH": f"{environments.TEMPLATE}:/x", "SOCKSIFY_PROXI": PROXY}
    told = environment.code(CONNECT, **on_path)
    assert told.startswith(CLOSED)
    assert told.endswith(f"To go without: SOCKSIFY_DISABLE=1, or take {environments.TEMPLATE} off PYTHONPATH")
    assert is_direct(environment.code(local, **{**on_path, "PYTHONPATH": "/x"}))


def test_the_options_are_given_again(closed: Environment) -> None:
    (closed.hook / "settings.toml").unlink()
    advised = closed.code(CONNECT).partition("or give the options again: ")[2].partition(" --proxy URL ...")[0]
    assert advised == f"{closed.python} -m socksify site install"
    closed.install("--proxy", PROXY)
    assert PROXIED in closed.code(CONNECT)


def test_what_was_lost_is_put_back(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    (environment.hook / "settings.toml").rename(environment.directory / "aside")
    assert "it was installed and is gone; put it back" in environment.code(CONNECT)
    (environment.directory / "aside").rename(environment.hook / "settings.toml")
    assert PROXIED in environment.code(CONNECT)


def test_the_package_is_installed_again(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    aside = (environment.packages / "_socksify.pth").rename(environment.directory / "aside")
    assert "the package socksify is not there; install it again" in environment.code(CONNECT)
    aside.rename(environment.packages / "_socksify.pth")
    assert PROXIED in environment.code(CONNECT)


def test_a_python_without_the_package_is_given_it(tmp_path: Path) -> None:
    bare = environments.create(tmp_path / "bare", with_package=False)
    environment = environments.create(tmp_path / "other")
    install = ("install", "--python", bare.python, "--proxy", PROXY)
    assert f"first run {bare.python} -m pip install socksify" in environment.site(*install).stderr
    (bare.packages / "_socksify.pth").write_text(f"{ROOT}\n")
    assert environment.site(*install).returncode == 0
    assert PROXIED in bare.code(CONNECT)


def test_a_hook_without_settings_is_on_with_a_variable(environment: Environment, local: str) -> None:
    told = environment.site("install").stdout
    assert told.endswith("it is off until SOCKSIFY_PROXY, or another SOCKSIFY_* variable, is set\n")
    assert is_direct(environment.code(local))
    assert PROXIED in environment.code(CONNECT, SOCKSIFY_PROXY=PROXY)
    (environment.directory / "a.toml").write_text(f'proxy = "{PROXY}"')
    assert PROXIED in environment.code(CONNECT, SOCKSIFY_CONFIG="a.toml")
    assert environment.code(CONNECT, SOCKSIFY_STRICT="1").startswith(CLOSED)


@pytest.mark.parametrize("how", ["--proxy", "SOCKSIFY_PROXY", "socksify.toml", "ALL_PROXY"])
def test_a_proxy_is_configured(environment: Environment, how: str) -> None:
    """Without a proxy, the launcher names several ways to give one. Each of them is followed."""
    refused = environment.run("-m", "socksify", "-c", CONNECT)
    assert refused.stderr.endswith(
        'set one with --proxy URL, SOCKSIFY_PROXY, proxy = "URL" in socksify.toml, or ALL_PROXY (a socks5h:// URL or'
        " the like)\n"
    )
    options = ("--proxy", PROXY) if how == "--proxy" else ()
    variables = {how: PROXY} if how.isupper() else {}
    if how == "socksify.toml":
        (environment.directory / how).write_text(f'proxy = "{PROXY}"')
    done = environment.run("-m", "socksify", *options, "-c", CONNECT, **variables)
    assert (PROXIED in done.stdout, done.stderr) == (True, "")


def test_a_group_is_let_read_a_password(environment: Environment) -> None:
    """Another user of the environment may read the settings. The tests run as root, so they can become that user."""
    told = environment.site("install", "--proxy", "socks5h://alice:secret@127.0.0.1:9").stdout
    assert "Programs of other users of this environment meet a closed network." in told
    assert "chgrp GROUP, and chmod 640, that file" in told
    settings = environment.hook / "settings.toml"
    for directory in settings.parents:
        if directory.stat().st_uid == os.geteuid():
            directory.chmod(directory.stat().st_mode | 0o011)
    with as_another(), pytest.raises(ConfigError, match=r"settings.toml: Permission denied"):
        hook_entry.load({}, "/", str(settings), with_settings=True)
    os.chown(settings, -1, OTHER)
    settings.chmod(0o640)
    with as_another():
        assert hook_entry.load({}, "/", str(settings), with_settings=True).proxy[0].user == b"alice"
    environment.install()
    with as_another():
        assert hook_entry.load({}, "/", str(settings), with_settings=True).proxy[0].user == b"alice"


@contextlib.contextmanager
def as_another() -> Iterator[None]:
    """Run this process as another user. That user may not be able to start this Python."""
    os.setegid(OTHER)
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_the_users_own_file_is_made_his_own(environment: Environment) -> None:
    file = environment.directory / ".config" / "socksify" / "socksify.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'proxy = "{PROXY}"')
    file.chmod(0o666)
    refused = environment.run("-m", "socksify", "-c", CONNECT)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith(f"expected a file that its owner alone may write, or --config {file}\n")
    assert PROXIED in environment.run("-m", "socksify", "--config", file, "-c", CONNECT).stdout
    file.chmod(0o644)
    assert PROXIED in environment.run("-m", "socksify", "-c", CONNECT).stdout


def test_one_of_another_version_is_not_passed_on(environment: Environment) -> None:
    """A parent of this version cannot have written this variable."""
    told = environment.code(CONNECT, PYTHONPATH=str(environments.TEMPLATE), SOCKSIFY_INHERITED="00")
    assert told.startswith(
        f"{CLOSED}SOCKSIFY_INHERITED: not what a parent process passes on; expected no such variable"
    )
    on_path = {"PYTHONPATH": str(environments.TEMPLATE), "SOCKSIFY_PROXY": PROXY}
    assert PROXIED in environment.code(CONNECT, **on_path)


def test_what_the_help_shows_is_done(environment: Environment) -> None:
    """Each way of calling it in the usage text works."""
    assert environment.site("install", "--proxy", PROXY, "--route", "10.0.0.0/8=block").returncode == 0
    assert environment.site("status").returncode == 0
    assert environment.site("status", "--json", "--python", environment.directory).returncode == 0
    assert environment.site("install", "--force").returncode == 0
    assert PROXIED in environment.code(CONNECT)
    assert environment.site("install", "--python", environment.python, "--no-settings").returncode == 0
    assert environment.site("status").returncode == 1
    assert environment.site("uninstall", "--python", environment.python).returncode == 0


def test_a_module_with_sockets_in_c_is_let_in(environment: Environment, tmp_path: Path) -> None:
    """The refusal names the setting, for the hook's settings or as a variable."""
    write_package(tmp_path, "somelib")
    environment.install("--proxy", PROXY, "--strict")
    variables = {"PYTHONPATH": f"{tmp_path}:{sysconfig.get_path('purelib')}"}
    refused = environment.run("-c", "import somelib", **variables).stderr
    assert '--allow somelib, or allow=["somelib"], lets it in all the same' in refused
    assert environment.run("-c", "import somelib", SOCKSIFY_ALLOW="somelib", **variables).returncode == 0
    environment.install("--proxy", PROXY, "--strict", "--allow", "somelib")
    assert PROXIED in environment.code(f"import somelib\n{CONNECT}", **variables)
