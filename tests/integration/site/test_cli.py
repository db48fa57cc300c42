"""`socksify site`: the files that it writes and removes, the environments that it chooses, and its errors."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from socksify import launch
from socksify._hook_location import is_hooked, template
from socksify.site import hook_files, target_python
from tests.support import environments
from tests.support.environments import CONNECT, PROXIED, PROXY, STATE, Environment
from tests.support.paths import ROOT


def test_install_covers_the_environment(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    assert PROXIED in environment.code(CONNECT)


def test_uninstall_leaves_what_was_there_to_the_byte(environment: Environment) -> None:
    before = environment.files()
    environment.install("--proxy", PROXY)
    environment.code("import socket")
    assert environment.site("uninstall").stdout == f"{environment.hook}: removed\n"
    assert environment.files() == before
    again = environment.site("uninstall")
    assert (again.returncode, again.stdout) == (0, f"{environment.packages}: there is no hook of socksify\n")


def test_a_second_install_replaces_the_first(environment: Environment) -> None:
    environment.install("--proxy", PROXY, "--udp", "direct", "--direct", "a.example")
    environment.install("--proxy", "socks5h://127.0.0.1:8")
    assert tomllib.loads((environment.hook / "settings.toml").read_text()) == {"proxy": ["socks5h://127.0.0.1:8"]}
    environment.install("--no-settings")
    assert not (environment.hook / "settings.toml").exists()
    assert environment.files().keys() == files_of_a_hook() - {"socksify_hook/settings.toml"}


def files_of_a_hook() -> set[str]:
    cached = {f"__pycache__/{name.removesuffix('py')}{sys.implementation.cache_tag}.pyc" for name in MODULES}
    inside = {f"socksify_hook/{name}" for name in {"settings.toml", "__pycache__"} | MODULES | cached}
    return {"_socksify.pth", "socksify_hook.pth", "socksify_hook"} | inside


def test_installs_at_the_same_time_wait_for_each_other(environment: Environment) -> None:
    command = [str(environment.python), "-m", "socksify", "site", "install", "--proxy", PROXY]
    installs = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(4)]
    assert [install.communicate(timeout=60)[1] for install in installs] == [b""] * 4
    assert environment.code(STATE) == "installed"


def test_a_full_disk_is_told_and_leaves_nothing(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment.files()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        monkeypatch.context() as patch,
        pytest.raises(OSError, match=r"No space left on device: '.*__init__\.py\.new'"),
    ):
        patch.setattr(os, "fsync", full)
        hook_files.write(str(environment.packages), OLD, secret=False)
    assert environment.files() == before
    hook_files.write(str(environment.packages), OLD, secret=False)
    installed = environment.files()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left on device"):
        patch.setattr(os, "fsync", full)
        hook_files.write(str(environment.packages), NEW, secret=False)
    assert environment.files() == installed


def test_what_somebody_else_put_there_stays_and_is_named(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    note = environment.hook / "note.txt"
    note.write_text("mine")
    assert environment.site("uninstall").stdout == f"{environment.hook}: removed\n{note}: left, it is none of ours\n"
    assert note.read_text() == "mine"
    assert environment.code("import socket") == ""


def test_the_settings_are_the_options_and_the_file_that_is_named(environment: Environment) -> None:
    (environment.directory / "mine.toml").write_text(
        'routes = ["*.onion=tor"]\ndirect = ["b.example"]\ndns = "local"\n[proxies]\ntor = "socks5h://127.0.0.1:9050"\n'
    )
    environment.install(
        *("--proxy", PROXY, "--config", "mine.toml", "--route", "10.0.0.0/8=direct", "--direct", "a.example"),
        *("--dns=remote", "--log", "client.log", "--connect-timeout", "5"),
    )
    assert tomllib.loads((environment.hook / "settings.toml").read_text()) == {
        "routes": ["10.0.0.0/8=direct", "a.example=direct", "*.onion=tor"],
        "direct": ["b.example"],
        "dns": "remote",
        "proxy": [PROXY],
        "log": str(environment.directory / "client.log"),
        "connect_timeout": 5.0,
        "proxies": {"tor": "socks5h://127.0.0.1:9050"},
    }
    assert environment.code(STATE) == "installed"


def test_a_password_is_for_the_owner_alone(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    assert stat.S_IMODE((environment.hook / "settings.toml").stat().st_mode) & 0o444 == 0o444
    secret = environment.site("install", "--proxy", "socks5h://alice:secret@127.0.0.1:9")
    assert "holds a password" in secret.stdout
    assert "secret" not in secret.stdout
    assert stat.S_IMODE((environment.hook / "settings.toml").stat().st_mode) == 0o600


def test_modes_are_those_of_site_packages_whatever_the_umask(environment: Environment) -> None:
    umask = ("-c", "import os, sys; os.umask(0o077); from socksify.launch import main; sys.exit(main(sys.argv[1:]))")
    assert environment.run(*umask, "site", "install", "--proxy", PROXY).returncode == 0
    mode = stat.S_IMODE(environment.packages.stat().st_mode)
    assert stat.S_IMODE((environment.packages / "socksify_hook.pth").stat().st_mode) == mode & 0o666
    for path in environment.hook.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (mode if path.is_dir() else mode & 0o666)


OLD, NEW = f'proxy = "{PROXY}"\n', 'proxy = "socks5h://127.0.0.1:8"\n'


@pytest.mark.parametrize("step", range(6))
def test_no_start_sees_half_of_an_install(environment: Environment, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt at any rename: a first install leaves nothing, a second one leaves the old files or the new."""
    place, before = str(environment.packages), environment.files()
    with interrupted(step, monkeypatch):
        hook_files.write(place, OLD, secret=False)
    assert environment.files() == before
    hook_files.write(place, OLD, secret=False)
    with interrupted(step, monkeypatch):
        hook_files.write(place, NEW, secret=False)
    assert (environment.hook / "settings.toml").read_text() in (OLD, NEW)
    assert environment.files().keys() - files_of_a_hook() <= {f"socksify_hook/{name}.new" for name in NEW_FILES}
    hook_files.remove(place)
    assert environment.files() == before


MODULES = {path.name for path in (environments.TEMPLATE / "socksify_hook").glob("*.py")}
NEW_FILES = {"settings.toml", "socksify_hook.pth"} | MODULES


@contextlib.contextmanager
def interrupted(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Raise an exception at the rename with this number. There are six, of all files but the compiled modules."""
    renames = []

    def rename(new: str, path: str) -> None:
        renames.append(path)
        if len(renames) == step + 1:
            raise KeyboardInterrupt
        os.replace(new, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", rename)
        yield


def test_another_python_is_asked(environment: Environment, tmp_path: Path) -> None:
    """It is named by its environment or by its executable, and asked from an unrelated Python."""
    link = tmp_path / "link"
    link.symlink_to(environment.python)
    for path in (environment.directory, environment.python):
        words = ["site", "install", "--python", str(path), "--proxy", PROXY]
        done = subprocess.run([sys.executable, "-m", "socksify", *words], capture_output=True, text=True, cwd=ROOT)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{environment.hook}: installed")
        assert is_hooked(str(environment.python))
        assert environment.code(STATE, "-I") == "installed"
        assert environment.site("uninstall").returncode == 0
        assert not is_hooked(str(environment.python))


def test_versions_that_share_a_prefix(tmp_path: Path) -> None:
    """The hook of one environment does not affect the other."""
    for version in ("python3.11", "python3.12"):
        (tmp_path / "bin" / version).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / version).touch()
        (tmp_path / "lib" / version / "site-packages").mkdir(parents=True)
    hook_files.write(str(tmp_path / "lib" / "python3.11" / "site-packages"), OLD, secret=False)
    (tmp_path / "bin" / "python3").symlink_to("python3.11")
    (tmp_path / "bin" / "python").touch()
    hooked = {name for name in os.listdir(tmp_path / "bin") if is_hooked(str(tmp_path / "bin" / name))}
    assert hooked == {"python3.11", "python3"}


def test_a_virtual_environment_in_a_virtual_environment(tmp_path: Path) -> None:
    """With system-site-packages, the hook is only in the inner environment."""
    environment = environments.create(tmp_path / "inner", system_site_packages=True)
    environment.install("--proxy", PROXY)
    assert environment.code(STATE) == "installed"
    assert environment.site("status").returncode == 0
    other = environments.create(tmp_path / "other")
    assert other.site("status").returncode == 1


def test_a_python_without_socksify_is_told_what_to_do(tmp_path: Path) -> None:
    bare = environments.create(tmp_path / "bare", with_package=False)
    done = subprocess.run(
        [sys.executable, "-m", "socksify", "site", "install", "--python", bare.python], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install socksify" in done.stderr
    assert bare.files() == {}


def test_a_package_that_starts_will_not_have_is_not_hooked(tmp_path: Path) -> None:
    """`python -m` finds the package in the working directory, and PYTHONPATH may be different in a later start."""
    bare = environments.create(tmp_path / "bare", with_package=False)
    words = ("-m", "socksify", "site", "install", "--proxy", PROXY)
    for done in (bare.run(*words, cwd=ROOT), bare.run(*words, PYTHONPATH=str(ROOT))):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1 and "pip install socksify" in done.stderr
    assert bare.files() == {}


def test_a_password_stands_in_no_childs_command_line(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    run = subprocess.run

    def remember(command: list[str], **options: object) -> object:
        commands.append(command)
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", remember)
    words = ["install", "--proxy", "socks5h://alice:secret@127.0.0.1:9"]
    assert target_python.delegate(str(environment.directory), words) == 0
    assert "secret" not in str(commands)
    assert "secret" in (environment.hook / "settings.toml").read_text()


WRONG = {
    "no word": [],
    "an unknown word": ["instal"],
    "no path": ["status", "--python"],
    "a path that is no Python": ["status", "--python", "/dev/null"],
    "a program that is no Python": ["install", "--python", "true", "--proxy", PROXY],
    "a directory that is no environment": ["install", "--python", "/proc", "--proxy", PROXY],
    "a program": ["install", "--proxy", PROXY, "client.py"],
    "another action": ["install", "--proxy", PROXY, "--show"],
    "an unknown option": ["install", "--proxi", PROXY],
    "an option of another word": ["uninstall", "--force"],
    "settings for status": ["status", "--proxy", PROXY],
    "settings without a proxy": ["install", "--udp", "direct"],
    "a proxy that cannot be": ["install", "--proxy", "gopher://alice:secret@gw"],
    "a rule that cannot be": ["install", "--proxy", "socks5h://alice:secret@gw", "--route", "x=nowhere"],
    "a seal, which a hook cannot make": ["install", "--proxy", PROXY, "--seal=on"],
    "a file that is not there": ["install", "--proxy", PROXY, "--config", "missing.toml"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_files, "write", lambda *_, **__: pytest.fail("it was written"))
    assert launch.main(["site", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("socksify site: ")
    assert "secret" not in err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["install", "--help"], ["status", "-h"]):
        assert launch.main(["site", *words]) == 0
        assert capsys.readouterr().out.startswith("usage: socksify site install")


def test_a_script_called_site_is_run_by_its_path(environment: Environment) -> None:
    (environment.directory / "site").write_text("print('mine')")
    assert environment.run("-m", "socksify", "--proxy", PROXY, "./site").stdout == "mine\n"
    assert environment.run("-m", "socksify", "./site").stderr.startswith("socksify: no proxy")


@pytest.mark.parametrize("place", ["/sys/kernel", "/proc/self/fdinfo"])
def test_a_directory_that_cannot_be_written(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even root cannot write there."""
    monkeypatch.setattr(target_python, "site_packages", lambda: place)
    monkeypatch.setattr(target_python, "manager", lambda: None)
    assert launch.main(["site", "install", "--proxy", PROXY]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"socksify site: {place}/socksify_hook: ")


def test_an_externally_managed_python_only_by_force(
    environment: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    paths = {"purelib": str(environment.packages), "stdlib": str(tmp_path)}
    monkeypatch.setattr("site.getsitepackages", lambda: [str(environment.packages)])
    monkeypatch.setattr(sysconfig, "get_path", lambda name, *_: paths[name])
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    assert launch.main(["site", "install", "--proxy", PROXY]) == 2
    assert "EXTERNALLY-MANAGED" in capsys.readouterr().err
    assert not is_hooked(str(environment.python))
    assert launch.main(["site", "install", "--force", "--proxy", PROXY]) == 0
    assert is_hooked(str(environment.python))


@pytest.mark.skipif(not os.path.exists("/usr/lib/python3.11/EXTERNALLY-MANAGED"), reason="no such Debian Python")
def test_debians_python_is_left_alone() -> None:
    command = ["/usr/bin/python3.11", "-m", "socksify", "site", "install", "--proxy", PROXY]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, cwd="/", capture_output=True, text=True)
    assert done.returncode == 2
    assert "EXTERNALLY-MANAGED" in done.stderr


def test_the_commands_do_not_need_a_network(environment: Environment) -> None:
    """So the commands work if the hook is damaged and the network is closed."""
    environment.install("--proxy", PROXY)
    (environment.hook / "settings.toml").write_text("no = TOML")
    program = "import sys; from socksify.launch import main; code = main(sys.argv[1:]); print('_socket' in sys.modules)"
    for words, status in ((["status"], 1), (["uninstall"], 0)):
        done = environment.run("-c", f"{program}; sys.exit(code)", "site", *words, SOCKSIFY_ON_ERROR="exit")
        assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (status, "False", "")


STARTS = ["plain", "-I", "-S", "empty environment"]


def test_status_of_an_environment_without_a_hook(environment: Environment) -> None:
    done = environment.site("status", "--json")
    assert done.returncode == 1
    starts = json.loads(done.stdout)["starts"]
    assert [start["start"] for start in starts] == STARTS
    assert not any(start["covered"] for start in starts)


def test_status_says_for_each_start_whether_it_is_covered(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    done = environment.site("status")
    assert done.returncode == 0
    assert [line.partition("covered")[0].strip() for line in done.stdout.splitlines()[1:]] == [
        *("plain", "-I", "-S                not", "empty environment")
    ]
    shown = json.loads(environment.site("status", "--json").stdout)
    assert shown["python"] == str(environment.python)
    assert [start["covered"] for start in shown["starts"]] == [True, True, False, True]


def test_status_says_why_a_start_is_not_covered(environment: Environment) -> None:
    environment.install()

    def starts(**variables: str) -> list[str]:
        done = environment.run("-m", "socksify", "site", "status", "--json", **variables)
        assert done.returncode == 1
        return ["covered" if start["covered"] else start["why"] for start in json.loads(done.stdout)["starts"]]

    plain, isolated, _, empty = starts(SOCKSIFY_PROXY=PROXY)
    assert (plain, isolated) == ("covered", "covered")
    assert empty.startswith("off: there is no SOCKSIFY_* variable")
    assert starts(SOCKSIFY_PROXY=PROXY, SOCKSIFY_DISABLE="1")[0] == "off: SOCKSIFY_DISABLE is set"
    assert starts(SOCKSIFY_PROXI=PROXY)[0].startswith("closed: SOCKSIFY_PROXI: no such setting")
    assert starts(SOCKSIFY_PROXI=PROXY, SOCKSIFY_ON_ERROR="allow")[0].startswith("allowed: ")
    assert starts(SOCKSIFY_PROXI=PROXY, SOCKSIFY_ON_ERROR="exit")[0].startswith("it ended with status 2: socksify: ")


def test_status_of_a_directory_on_pythonpath(environment: Environment) -> None:
    variables = {"PYTHONPATH": str(template()), "SOCKSIFY_PROXY": PROXY}
    done = environment.run("-m", "socksify", "site", "status", "--json", **variables)
    assert [start["covered"] for start in json.loads(done.stdout)["starts"]] == [True, False, False, False]


def test_a_wheel_has_it_all(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    environment = environments.create(tmp_path / "environment", with_package=False)
    shutil.unpack_archive(next(tmp_path.glob("*.whl")), environment.packages, "zip")
    environment.install("--proxy", PROXY)
    assert environment.code(STATE) == "installed"
    assert environment.code("import socksify; print(socksify.__file__)").startswith(str(environment.packages))
    assert environment.site("uninstall").returncode == 0
    on_path = environment.code("from socksify._hook_location import template; print(template())")
    assert on_path.startswith(str(environment.packages))
    # The same holds for a child of another Python, without socksify.
    bare = environments.create(tmp_path / "bare", with_package=False)
    assert bare.code(STATE, PYTHONPATH=on_path, SOCKSIFY_PROXY=PROXY) == "installed"
