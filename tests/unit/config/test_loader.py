import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from socksify.config import inherited, load
from socksify.config.errors import ConfigError
from socksify.config.settings import Settings

ARGUMENTS = {"proxy": ["socks5h://argument"], "routes": ["a=block"], "direct": ["b"], "dns": "local", "log": None}
VARIABLES = {
    "SOCKSIFY_PROXY": "variable",
    "SOCKSIFY_ROUTES": "c=block,d=proxy",
    "SOCKSIFY_DIRECT": "e",
    "SOCKSIFY_DNS": "remote",
    "SOCKSIFY_CONNECT_TIMEOUT": "7",
    "ALL_PROXY": "socks5h://all",
    "NO_PROXY": "g",
    "SOCKS_SERVER": "server",
}
FILE = """
proxy = "file"
routes = ["f=tor"]
dns = "auto"
connect_timeout = 8
log = "/file"
[proxies]
tor = "onion:9050"
"""


def loaded(directory: Path, arguments: Mapping[str, object], environ: dict[str, str], file: str = "") -> Settings:
    """Load with this file as the named one, unless the arguments name another."""
    if file:
        (directory / "socksify.toml").write_text(file, encoding="utf-8")
        arguments = {"config": "socksify.toml", **arguments}
    return load(arguments, environ, str(directory))


def test_the_strongest_source_wins_for_each_setting(tmp_path: Path) -> None:
    settings = loaded(tmp_path, ARGUMENTS, VARIABLES, FILE)
    file = f"{tmp_path}/socksify.toml"
    assert [hop.host for hop in settings.proxy] == ["argument"]
    assert (settings.dns, settings.connect_timeout, settings.log) == ("local", 7.0, "/file")
    assert settings.c_watcher_timeout == 5.0
    assert settings.sources == {
        "proxy": "--proxy",
        "dns": "--dns",
        "dns_server": "default",
        "fake_networks": "default",
        "isolate": "default",
        "udp": "default",
        "bind": "default",
        "bind_services": "default",
        "strict": "default",
        "allow": "default",
        "children": "default",
        "seal": "default",
        "connect_timeout": "SOCKSIFY_CONNECT_TIMEOUT",
        "c_watcher_timeout": "default",
        "log": f"{file}: log",
        "config": file,
    }


def test_the_rules_of_all_sources_are_kept_in_order(tmp_path: Path) -> None:
    settings = loaded(tmp_path, ARGUMENTS, VARIABLES, FILE)
    assert [(rule.text, rule.source) for rule in settings.rules] == [
        ("a=block", "--route"),
        ("b=direct", "--direct"),
        ("c=block", "SOCKSIFY_ROUTES"),
        ("d=proxy", "SOCKSIFY_ROUTES"),
        ("e=direct", "SOCKSIFY_DIRECT"),
        ("f=tor", f"{tmp_path}/socksify.toml: routes"),
    ]
    assert [hop.address for hop in settings.chain("tor")] == ["onion:9050"]


@pytest.mark.parametrize(
    ("taken_away", "host"),
    [
        ([], "variable"),
        (["SOCKSIFY_PROXY"], "file"),
        (["SOCKSIFY_PROXY", "file"], "all"),
        (["SOCKSIFY_PROXY", "file", "ALL_PROXY"], "server"),
    ],
)
def test_the_order_of_the_proxys_sources(tmp_path: Path, taken_away: list[str], host: str) -> None:
    environ = {name: value for name, value in VARIABLES.items() if name not in taken_away}
    settings = loaded(tmp_path, {}, environ, "" if "file" in taken_away else FILE)
    assert [hop.host for hop in settings.proxy] == [host]
    assert [rule.text for rule in settings.rules if rule.source == "NO_PROXY"] == (
        ["g=direct"] if host == "all" else []
    )


@pytest.mark.parametrize(
    "environ", [{}, {"ALL_PROXY": "http://a"}, {"HTTPS_PROXY": "socks5h://a"}, {"SOCKSIFY_PROXY": ""}]
)
def test_nothing_configured_says_what_to_set(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"--proxy URL, SOCKSIFY_PROXY, proxy = .* in socksify.toml, or ALL_PROXY"):
        loaded(tmp_path, {"routes": ["*=block"]}, environ)


def test_a_broken_weaker_proxy_does_not_matter(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"proxy": "gw"}, {"ALL_PROXY": "socks://x", "NO_PROXY": "10.0.0.0/99"}).rules == ()


def test_the_hops_of_a_chain(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"proxy": ["tor,b", "c"]}, {}, '[proxies]\ntor = "onion:9050"')
    assert [hop.host for hop in settings.proxy] == ["onion", "b", "c"]


def test_a_rule_may_have_a_proxy_of_its_own(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"proxy": "gw", "routes": ["*.x=socks5h://u:S3cr3t@other"]}, {})
    assert settings.chain(settings.rules[0].via)[0].password == b"S3cr3t"
    assert "S3cr3t" not in repr(settings)


@pytest.mark.parametrize(
    ("arguments", "environ", "file", "reason"),
    [
        ({"proxy": "ftp://u:S3cr3t@x"}, {}, "", r"^--proxy: 'ftp://\*\*\*@x': unknown scheme"),
        ({"proxy": 1}, {}, "", "^--proxy: 1: expected a text or a list of texts"),
        ({"proxy": "gw", "upd": "direct"}, {}, "", "^upd: no such setting; there are proxy, routes"),
        ({"proxy": "gw", "udp": "proxy"}, {}, "", "^--udp: 'proxy': expected block or direct"),
        ({"proxy": "gw", "bind": "yes"}, {}, "", "^--bind: 'yes': expected auto, always or never"),
        ({"proxy": "gw", "bind_services": "21,0"}, {}, "", "^--bind-service: '0': expected a port, 1 to 65535"),
        ({"proxy": "gw", "bind_services": [True]}, {}, "", "^--bind-service: True: expected a port"),
        ({"proxy": "gw", "strict": 2}, {}, "", "^--strict: 2: expected yes or no"),
        ({"proxy": "gw"}, {"SOCKSIFY_STRICT": "maybe"}, "", "^SOCKSIFY_STRICT: 'maybe': expected yes or no"),
        ({"proxy": "gw", "routes": ["*=nobody"]}, {}, "", "^--route: 'nobody': no proxy of that name"),
        ({"proxy": "gw"}, {"SOCKSIFY_ROUTES": "*"}, "", r"^SOCKSIFY_ROUTES: '\*': expected MATCH=VIA"),
        ({"proxy": "gw"}, {"SOCKSIFY_STRICTLY": "1"}, "", "^SOCKSIFY_STRICTLY: no such setting"),
        ({"proxy": "gw"}, {"SOCKSIFY_DNS": "never"}, "", "^SOCKSIFY_DNS: 'never': expected auto, local or remote"),
        ({"proxy": "gw", "connect_timeout": 0}, {}, "", "^--connect-timeout: 0: expected a number"),
        ({"proxy": "gw"}, {}, "c_watcher_timeout = nan", "/socksify.toml: c_watcher_timeout: nan: expected a number"),
        ({"proxy": "gw"}, {}, "direct = 5", "/socksify.toml: direct: 5: expected a text or a list"),
        ({"proxy": "gw"}, {}, "dns = {password = 'S3cr3t'}", "/socksify.toml: dns: dict: expected auto"),
        ({"proxy": "gw", "config": "absent.toml"}, {}, "", "/absent.toml: No such file"),
        ({"proxy": "gw"}, {"SOCKSIFY_CONFIG": "absent.toml"}, "", "/absent.toml: No such file"),
        ({"proxy": "/run/s", "routes": ["*=tor+proxy"]}, {}, "[proxies]\ntor = 'a'", "^--route: .*a Unix socket"),
    ],
)
def test_refused(tmp_path: Path, arguments: dict[str, object], environ: dict[str, str], file: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        loaded(tmp_path, arguments, environ, file)
    assert len(str(caught.value).splitlines()) == 1
    assert "S3cr3t" not in str(caught.value)


def test_install_spells_its_keywords(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^install\(dns=\): 1: "):
        load({"proxy": "gw", "dns": 1}, {}, str(tmp_path), caller="install")
    assert load({"proxy": "gw"}, {}, str(tmp_path), caller="install").sources["proxy"] == "install(proxy=)"


def test_the_same_sources_give_equal_settings(tmp_path: Path) -> None:
    assert loaded(tmp_path, ARGUMENTS, VARIABLES, FILE) == loaded(tmp_path, ARGUMENTS, VARIABLES, FILE)


def test_start_up_is_cheap(tmp_path: Path) -> None:
    """Only those modules of the standard library are loaded that the interpreter and `socket` load anyway."""
    script = (
        "import sys, socket; before = set(sys.modules)\n"
        "import socksify.config\n"
        "assert not [name for name in sys.modules if name.startswith('socksify.config.')]\n"
        "socksify.config.load({'proxy': 'u:p@gw', 'routes': ['10.0.0.0/8=direct', '*.x=block']}, {}, sys.argv[1])\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.split() == ["__future__", "socksify"]


@pytest.mark.parametrize("caller", ["install", "command line", "hook"])
def test_children_are_covered_unless_they_are_switched_off(caller: str, tmp_path: Path) -> None:
    given = {"proxy": "gw"}
    assert load(given, {}, str(tmp_path), caller=caller).children
    assert not load({**given, "children": "no"}, {}, str(tmp_path), caller=caller).children
    assert not load({**given, "children": False}, {}, str(tmp_path), caller=caller).children
    assert not load(given, {"SOCKSIFY_CHILDREN": "no"}, str(tmp_path), caller=caller).children
    (tmp_path / "socksify.toml").write_text("children = false")
    assert not load({**given, "config": "socksify.toml"}, {}, str(tmp_path), caller=caller).children


def test_the_log_stays_where_it_was_named(tmp_path: Path) -> None:
    assert load({"proxy": "gw", "log": "a.log"}, {}, str(tmp_path)).log == str(tmp_path / "a.log")
    assert load({"proxy": "gw", "log": "stderr"}, {}, str(tmp_path)).log == "stderr"


class Hook:
    """The hook, as in a process that was started with it."""

    def __init__(self, state: str, environ: dict[str, str], settings: str, settings_installed: bool) -> None:
        self.state, self.environ = state, environ
        self.settings, self.settings_installed = settings, settings_installed


@pytest.mark.parametrize(
    ("hook", "displaced"),
    [
        (Hook("installed", {inherited.VARIABLE: "a"}, "", False), "the parent process"),
        (Hook("waiting", {}, "/etc/hook.toml", True), "/etc/hook.toml"),
        (Hook("installing", {}, "/etc/hook.toml", False), ""),
        (Hook("off: no proxy", {inherited.VARIABLE: "a"}, "/etc/hook.toml", True), ""),
    ],
)
def test_a_file_tells_that_it_takes_the_place_of_the_hooks_proxy(
    hook: Hook, displaced: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "socksify_hook", hook)
    path = tmp_path / "socksify.toml"
    path.write_text("proxy = 'gw'")
    for _ in range(2):
        load({}, {}, str(tmp_path))
    line = f"socksify: {path}: its proxy takes the place of that of {displaced}\n"
    assert capsys.readouterr().err == (line if displaced else "")


@pytest.mark.parametrize("closed", [True, False])
def test_without_a_standard_error_nothing_is_told(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream if closed else None)
    (tmp_path / "socksify.toml").write_text("proxy = 'gw'")
    settings = load({}, {"ALL_PROXY": "socks5://other"}, str(tmp_path))
    assert [hop.host for hop in settings.proxy] == ["gw"]
