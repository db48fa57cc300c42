"""Which configuration file counts, and which users may have written it."""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Callable
from pathlib import Path

import pytest

from socksify.config import file_search, load, loader, toml_file
from socksify.config.errors import ConfigError

OTHER = 54321


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the lines for stderr."""
    lines: list[str] = []
    monkeypatch.setattr(loader, "_tell", lines.append)
    return lines


def written(directory: Path, text: str = "proxy = 'gw'", name: str = "socksify.toml") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def find(named: str, environ: dict[str, str], directory: Path, proxy_source: str = "") -> tuple[str, list[str]]:
    """Return the path of the file that counts, and the lines for stderr."""
    lines: list[str] = []
    return file_search.find(named, environ, str(directory), proxy_source, lines.append).path, lines


def test_the_order_of_the_search(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    environ = {"HOME": str(home)}
    assert find("", environ, here) == ("", [])
    usual = written(home, "", ".config/socksify/socksify.toml")
    assert find("", environ, here) == (str(usual), [])
    xdg = written(tmp_path, "", "xdg/socksify/socksify.toml")
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert find("", environ, here) == (str(xdg), [])
    local = written(here)
    assert find("", environ, here) == (str(local), [])
    named = written(here, "", "other.toml")
    assert find("other.toml", environ, here) == (str(named), [])
    assert find(str(named), environ, Path("/")) == (str(named), [])


def test_a_relative_xdg_directory_is_ignored(tmp_path: Path) -> None:
    usual = written(tmp_path, "", ".config/socksify/socksify.toml")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "xdg"}
    assert find("", environ, Path("/nowhere")) == (str(usual), [])
    assert find("", {}, Path("/nowhere")) == ("", [])


def test_so_is_a_relative_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "", ".config/socksify/socksify.toml")
    monkeypatch.chdir(tmp_path)
    assert find("", {"HOME": "."}, tmp_path) == ("", [])


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(ConfigError, match=r"/absent.toml: No such file or directory"):
        find("absent.toml", {}, tmp_path)


@pytest.mark.parametrize("text", ["proxy = [", "proxi = 'gw'", "proxy = 'gw'\nudp = 'direct"])
def test_one_of_our_own_that_is_broken_is_not_passed_over(tmp_path: Path, text: str) -> None:
    written(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"^{tmp_path}/socksify.toml: "):
        find("", {}, tmp_path)


def test_nor_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "socksify.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"/socksify.toml: No such file or directory; expected a TOML file that can"):
        find("", {}, tmp_path)
    usual = written(tmp_path / "home", "", ".config/socksify/socksify.toml")
    usual.unlink()
    usual.symlink_to(usual)
    with pytest.raises(ConfigError, match="Too many levels of symbolic links; expected a TOML file that can be read"):
        find("", {"HOME": str(tmp_path / "home")}, tmp_path / "home")


WEAK = (
    *("routes = ['*=direct']", "direct = ['*']", "udp = 'direct'", "dns = 'local'", "children = false"),
    *("strict = false", "allow = ['psycopg2']", "log = '/home/user/precious'", "isolate = 'none'", "seal = 'off'"),
    *("bind = 'always'", "[proxies]\ngw = 'socks5h://elsewhere'", "proxy = 'elsewhere'\ndirect = ['*']"),
)


@pytest.mark.parametrize("text", WEAK)
@pytest.mark.parametrize("given", ["argument", "variable"])
def test_nothing_of_it_counts_beside_a_proxy_of_the_users(
    tmp_path: Path, told: list[str], text: str, given: str
) -> None:
    arguments = {"proxy": "gw", "strict": True} if given == "argument" else {}
    environ = {"SOCKSIFY_PROXY": "gw", "SOCKSIFY_STRICT": "yes"} if given == "variable" else {}
    without = load(arguments, environ, str(tmp_path))
    written(tmp_path, text)
    assert load(arguments, environ, str(tmp_path)) == without
    source = "--proxy" if given == "argument" else "SOCKSIFY_PROXY"
    assert told == [
        f"{tmp_path}/socksify.toml: ignored: the proxy is that of {source}; to use it all the same: --config"
        " ./socksify.toml, or SOCKSIFY_CONFIG"
    ]


@pytest.mark.parametrize("text", WEAK)
@pytest.mark.parametrize("named", [{"config": "./socksify.toml"}, {}])
def test_who_names_it_means_it(tmp_path: Path, told: list[str], text: str, named: dict[str, str]) -> None:
    path = written(tmp_path, text)
    os.chown(path, OTHER, OTHER)
    environ = {} if named else {"SOCKSIFY_CONFIG": "socksify.toml"}
    assert load({"proxy": "127.0.0.1", **named}, environ, str(tmp_path)).sources["config"].endswith("socksify.toml")
    assert told == []


def test_rules_without_a_proxy_do_not_count_beside_a_weaker_one(tmp_path: Path, told: list[str]) -> None:
    written(tmp_path, "direct = ['*']")
    written(tmp_path / "home", "proxy = 'own'\nroutes = ['*.x=block']", ".config/socksify/socksify.toml")
    environ = {"HOME": str(tmp_path / "home"), "ALL_PROXY": "socks5h://all"}
    settings = load({}, environ, str(tmp_path))
    assert ([hop.host for hop in settings.proxy], [rule.text for rule in settings.rules]) == (["own"], ["*.x=block"])
    del environ["HOME"]
    settings = load({}, environ, str(tmp_path))
    assert ([hop.host for hop in settings.proxy], settings.rules) == (["all"], ())
    assert all("ignored: it names no proxy, and its rules count only beside one" in line for line in told)
    assert len(told) == 2


def test_beside_its_own_proxy_all_of_it_counts(tmp_path: Path, told: list[str]) -> None:
    written(tmp_path, "proxy = 'tor'\nroutes = ['*.x=direct']\nudp = 'direct'\n[proxies]\ntor = 'onion:9050'")
    settings = load({"dns": "remote"}, {"SOCKSIFY_STRICT": "yes"}, str(tmp_path))
    assert ([hop.host for hop in settings.proxy], settings.udp, settings.strict) == (["onion"], "direct", True)
    assert [rule.text for rule in settings.rules] == ["*.x=direct"]
    assert told == []


@pytest.mark.parametrize(
    ("environ", "in_force", "displaced"),
    [
        ({"ALL_PROXY": "socks5h://all"}, "", "ALL_PROXY"),
        ({"SOCKS5_SERVER": "server"}, "", "SOCKS5_SERVER"),
        ({"all_proxy": "socks5h://u:S3cr3t@:x"}, "", "all_proxy"),
        ({"HOME": "home", "ALL_PROXY": "socks5h://all"}, "", "home/.config/socksify/socksify.toml"),
        ({}, "--proxy", "--proxy"),
        ({}, "/site-packages/socksify_hook/settings.toml", "/site-packages/socksify_hook/settings.toml"),
    ],
)
def test_it_takes_the_place_of_another_proxy_not_in_silence(
    tmp_path: Path, told: list[str], environ: dict[str, str], in_force: str, displaced: str
) -> None:
    written(tmp_path / "home", "proxy = 'own'", ".config/socksify/socksify.toml")
    environ = {name: value if name != "HOME" else str(tmp_path / "home") for name, value in environ.items()}
    displaced = displaced if not displaced.startswith("home") else str(tmp_path / displaced)
    written(tmp_path)
    assert [hop.host for hop in load({}, environ, str(tmp_path), in_force=in_force).proxy] == ["gw"]
    assert told == [f"{tmp_path}/socksify.toml: its proxy takes the place of that of {displaced}"]


def test_it_takes_its_own_place_in_silence(tmp_path: Path, told: list[str]) -> None:
    path = written(tmp_path)
    load({}, {}, str(tmp_path), in_force=f"{path}: proxy")
    assert told == []


def another_users(path: Path) -> None:
    os.chown(path, OTHER, OTHER)


def for_anybody(path: Path) -> None:
    path.chmod(0o666)


def for_a_group(path: Path) -> None:
    os.chown(path, -1, OTHER)
    path.chmod(0o664)


def in_another_users_directory(path: Path) -> None:
    os.chown(path.parent, OTHER, OTHER)


def in_anybodys_directory(path: Path) -> None:
    path.parent.chmod(0o777)


def in_a_sticky_directory(path: Path) -> None:
    path.parent.chmod(0o1777)


def in_a_groups_directory(path: Path) -> None:
    os.chown(path.parent, -1, OTHER)
    path.parent.chmod(0o775)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_into_anybodys_directory(path: Path) -> None:
    there = path.parent / "there"
    there.mkdir()
    there.chmod(0o1777)
    path.rename(there / path.name)
    path.symlink_to(there / path.name)


def a_link_to_another_users(path: Path) -> None:
    path.rename(path.parent / "other")
    os.chown(path.parent / "other", OTHER, OTHER)
    path.symlink_to("other")


DOUBTFUL: dict[Callable[[Path], None], str] = {
    another_users: f"it belongs to another user (uid {OTHER})",
    for_anybody: "anybody may write it",
    for_a_group: f"its group (gid {OTHER}) may write it",
    in_another_users_directory: f": it belongs to another user (uid {OTHER})",
    in_anybodys_directory: ": anybody may write it",
    in_a_sticky_directory: ": anybody may write it",
    in_a_groups_directory: f": its group (gid {OTHER}) may write it",
    a_pipe: "it is no regular file",
    a_directory: "it is no regular file",
    a_link_into_anybodys_directory: "/there: anybody may write it",
    a_link_to_another_users: f"it belongs to another user (uid {OTHER})",
}


@pytest.mark.parametrize(("spoil", "reason"), DOUBTFUL.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_one_that_somebody_else_may_have_written_is_ignored(
    tmp_path: Path, told: list[str], spoil: Callable[[Path], None], reason: str
) -> None:
    """Only root can run this test, because only root may give files away."""
    here = tmp_path / "here"
    spoil(written(here, "proxy = 'elsewhere'\ndirect = ['*']"))
    environ = {"ALL_PROXY": "socks5h://all"}
    settings = load({}, environ, str(here))
    assert ([hop.host for hop in settings.proxy], settings.rules) == (["all"], ())
    assert len(told) == 1
    assert told[0].startswith(f"{here}/socksify.toml: ignored: ")
    assert f"{reason}; to use it all the same: --config ./socksify.toml, or SOCKSIFY_CONFIG" in told[0]
    with pytest.raises(ConfigError, match="no proxy is configured"):
        load({}, {}, str(here))


@pytest.mark.parametrize("text", ["proxy = [", "no TOML at all", "\0"])
def test_what_somebody_else_has_broken_is_ignored_too(tmp_path: Path, told: list[str], text: str) -> None:
    another_users(written(tmp_path, text))
    assert load({}, {"ALL_PROXY": "socks5h://all"}, str(tmp_path)).proxy[0].host == "all"
    assert len(told) == 1


@pytest.mark.parametrize("spoil", [another_users, for_anybody, for_a_group])
def test_the_users_own_that_somebody_else_may_have_written_is_an_error(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """It is an error, as with ssh(1): if the file were ignored, connections that it blocks would be allowed."""
    path = written(tmp_path, "proxy = 'own'", ".config/socksify/socksify.toml")
    spoil(path)
    environ = {"HOME": str(tmp_path)}
    for arguments in ({}, {"proxy": "gw"}):
        with pytest.raises(
            ConfigError, match=rf"^{path}: .*; expected a file that its owner alone may write, or --conf"
        ):
            load(arguments, environ, "/nowhere")
    assert load({"config": str(path)}, environ, "/nowhere").proxy[0].host == "own"


class Account:
    def __init__(self, name: str, gid: int, members: list[str]) -> None:
        self.pw_name = self.gr_name = name
        self.pw_gid, self.gr_mem = gid, members


@pytest.mark.parametrize(
    ("user", "group", "private"),
    [
        (Account("alice", OTHER, []), Account("alice", OTHER, []), True),
        (Account("alice", OTHER, []), Account("alice", OTHER, ["alice"]), True),
        (Account("alice", OTHER, []), Account("alice", OTHER, ["bob"]), False),
        (Account("alice", OTHER, []), Account("staff", OTHER, []), False),
        (Account("alice", 1, []), Account("alice", OTHER, []), False),
    ],
)
def test_a_private_group_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: Account, group: Account, private: bool
) -> None:
    path = written(tmp_path)
    for_a_group(path)
    monkeypatch.setattr("pwd.getpwuid", lambda _: user)
    monkeypatch.setattr("grp.getgrgid", lambda _: group)
    assert (file_search.objection(path.stat(), {}) == "") == private


def test_what_sudos_caller_has_written_root_reads(tmp_path: Path) -> None:
    path = written(tmp_path)
    another_users(path)
    assert file_search.objection(path.stat(), {"SUDO_UID": str(OTHER)}) == ""
    assert file_search.objection(path.stat(), {"SUDO_UID": "1"}) != ""
    assert file_search.objection(path.stat(), {"SUDO_UID": "x"}) != ""


def test_no_file_is_an_empty_one() -> None:
    assert toml_file.File() == toml_file.File("", {}, {})


def test_a_directory_that_cannot_be_looked_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may remove the directory, or the right to search it, at any time."""
    path = written(tmp_path)

    def gone(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(file_search, "objection", gone)
    found, (line,) = find("", {}, tmp_path)
    assert found == ""
    assert line.startswith(f"{path}: ignored: of its directory {tmp_path}: Permission denied; ")


def test_the_group_of_root_is_private(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.chmod(0o664)
    os.chown(path, os.geteuid(), 0)
    assert path.stat().st_mode & modes.S_IWGRP
    assert find("", {}, tmp_path)[0] == str(path)
