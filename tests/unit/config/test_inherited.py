"""A child process gets exactly the settings of its parent, in any directory and with any files in it."""

from __future__ import annotations

import os
import sys
from marshal import dumps, loads
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksify.config import inherited, load
from socksify.config.errors import ConfigError
from socksify.config.match import EVERY_PORT, Match
from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.config.settings import Settings

texts = st.text(max_size=20)
names = st.from_regex(r"\A[a-z]{1,9}\Z")
proxies = st.builds(
    Proxy,
    st.sampled_from(("socks4", "socks4a", "socks5", "socks5h", "http")),
    names,
    st.integers(1, 65535),
    st.none(),
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=9),
    st.none() | names,
)
# A Unix socket can only be the first hop.
behind_unix = st.builds(Proxy, st.just("socks5h"), st.just("localhost"), st.just(0), texts)
chains = st.builds(lambda first, rest: (first, *rest), proxies | behind_unix, st.lists(proxies, max_size=2))
matches = st.builds(
    Match,
    st.lists(texts, max_size=3).map(tuple),
    texts,
    st.none() | st.tuples(st.sampled_from((32, 128)), st.integers(0, 1 << 128), st.integers(0, 1 << 128)),
    st.just(EVERY_PORT) | st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
)
rules = st.builds(Rule, texts, texts, st.sampled_from(("direct", "block", "proxy")), matches)
seconds = st.floats(0.001, 1e6)
TEXTS = ("proxy", "config", *Settings._fields[4:-1])


def allowed(settings: Settings) -> Settings:
    """Isolation needs generated credentials, so the last proxy must not have any."""
    made: Settings = settings.replace(isolate="none") if settings.proxy[-1].user is not None else settings
    return made


everything = st.builds(
    Settings,
    proxy=chains,
    proxies=st.dictionaries(names, chains, max_size=3),
    rules=st.lists(rules, max_size=4).map(tuple),
    default=rules,
    isolate=st.sampled_from(("none", "host", "task", "connection")),
    dns=st.sampled_from(("auto", "local", "remote")),
    dns_server=st.sampled_from(("", "192.0.2.53:53", "[::1]:5353")),
    fake_networks=st.just(("10.0.0.0/8", "fd00::/64")),
    udp=st.sampled_from(("block", "direct")),
    bind=st.sampled_from(("auto", "always", "never")),
    bind_services=st.lists(st.integers(1, 65535), max_size=3).map(tuple),
    strict=st.booleans(),
    allow=st.lists(texts, max_size=3).map(tuple),
    children=st.booleans(),
    seal=st.sampled_from(("auto", "on", "off")),
    connect_timeout=seconds,
    c_watcher_timeout=seconds,
    log=st.sampled_from(("", "stderr", "/a/log", "/\udcff")),
    sources=st.fixed_dictionaries(dict.fromkeys(TEXTS, texts)),
).map(allowed)


@settings(deadline=None)
@given(everything, st.dictionaries(names.map(lambda name: f"SOCKSIFY_{name.upper()}"), texts, max_size=3))
def test_settings_come_back_exactly(original: Settings, environ: dict[str, str]) -> None:
    passed = inherited.variables(original, environ)
    assert all("\0" not in value and "=" not in name for name, value in passed.items())
    found = load({}, environ | passed, "/nonexistent")
    assert found == original
    assert [rule.text for rule in found.rules] == [rule.text for rule in original.rules]


def test_many_rules_are_passed_on_in_several_variables() -> None:
    """No variable is longer than the system allows, and the rest of older, longer settings is ignored."""
    rules = [f"host{number}.{number * 7919 % 1000003}.example=direct" for number in range(9000)]
    original = load({"proxy": "socks5h://gw", "routes": rules}, {}, "/")
    passed = inherited.variables(original, {})
    assert sorted(passed) == [inherited.VARIABLE, f"{inherited.VARIABLE}_1"]
    assert max(map(len, passed.values())) <= 100_000
    assert load({}, passed, "/") == original
    fewer = load({"proxy": "socks5h://gw", "routes": rules[:2000]}, {}, "/")
    assert load({}, passed | inherited.variables(fewer, passed), "/") == fewer
    with pytest.raises(ConfigError, match="SOCKSIFY_INHERITED"):
        load({}, {inherited.VARIABLE: passed[inherited.VARIABLE]}, "/")


def test_every_field_is_tried() -> None:
    assert len(Settings._fields) == 19
    assert len(Proxy._fields) == 7
    assert len(Rule._fields) == len(Match._fields) == 4


FILE = """
proxy = ["socks5h://joe:S3cr3t@gw", "http://inner"]
routes = ["*.onion=tor", "10.0.0.0/8=proxy+tor", "x=socks5://u:p@other", ":25=block"]
direct = [".corp.example"]
log = "a.log"
[proxies]
tor = ["socks5h://u:p@onion", "second"]
"""


@pytest.mark.parametrize(
    "environ",
    [
        {"SOCKSIFY_CONFIG": "file.toml", "SOCKSIFY_ROUTES": "*.a=direct,b=socks4://c", "SOCKSIFY_DNS": "remote"},
        {"ALL_PROXY": "socks5h://u:p@gw", "NO_PROXY": "corp.example,10.1.2.3/8,*.lan:80"},
        {"SOCKS_SERVER": "gw:1", "SOCKS_USERNAME": "u", "SOCKS_PASSWORD": "p"},
    ],
    ids=["file", "NO_PROXY", "SOCKS_SERVER"],
)
def test_a_child_elsewhere_has_the_same(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file.toml").write_text(FILE)
    settings = load({}, environ, str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "socksify.toml").write_text("proxy = 'wrong'")
    kept = {name: value for name, value in environ.items() if name != "SOCKSIFY_CONFIG"}
    passed = inherited.variables(settings, environ)
    assert load({}, passed, str(elsewhere)) == settings
    assert load({}, {**kept, **passed, "ALL_PROXY": "socks5h://other"}, str(elsewhere)) == settings


def test_what_a_child_is_given_for_itself_outranks_what_it_inherits() -> None:
    own = {"SOCKSIFY_PROXY": "gw", "SOCKSIFY_DIRECT": "a"}
    passed = own | inherited.variables(load({"dns": "local", "routes": ["*=block"]}, own, "/"), own)
    child = load({}, {**passed, "SOCKSIFY_PROXY": "other", "SOCKSIFY_ROUTES": "b=direct"}, "/")
    assert [hop.host for hop in child.proxy] == ["other"]
    assert [rule.text for rule in child.rules] == ["b=direct", "*=block", "a=direct"]
    assert child.dns == "local"


def test_no_password_is_readable_in_it() -> None:
    (text,) = inherited.variables(load({"proxy": "socks5h://joe:S3cr3t@gw"}, {}, "/"), {}).values()
    assert "S3cr3t" not in text


@pytest.mark.parametrize("text", ["x", "00", "e9", "78", "78ff", (b"i\0\0\0\0").hex()])
def test_what_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="SOCKSIFY_INHERITED"):
        load({}, {inherited.VARIABLE: text}, "/")


def test_another_version_is_an_error() -> None:
    text = dumps((("other",), [], {}, ()), 2).hex()
    with pytest.raises(ConfigError, match="another version"):
        load({}, {inherited.VARIABLE: text}, "/")


def test_a_child_can_always_read_what_holds_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "socksify.config.encryption", raising=False)
    assert inherited.can_be_received()


def test_a_child_can_read_credentials_while_their_key_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    inherited.variables(Settings((Proxy("socks5h", "gw", 1, None, b"joe", b"S3cr3t"),)), {})
    assert inherited.can_be_received()
    (tmp_path / f"socksify-{os.geteuid()}" / "key").unlink()
    assert not inherited.can_be_received()


def test_credentials_without_their_key_are_an_error_that_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    environ = inherited.variables(Settings((Proxy("socks5h", "gw", 1, None, b"joe", b"S3cr3t"),)), {})
    (tmp_path / f"socksify-{os.geteuid()}" / "key").unlink()
    with pytest.raises(ConfigError, match=f"^{inherited.VARIABLE}: .*No such file") as caught:
        inherited.received(environ)
    assert "S3cr3t" not in str(caught.value)


def test_settings_for_a_supervisor_come_back() -> None:
    given = load({"proxy": "socks5h://user:secret@proxy.example:1080", "routes": ["*.lan=direct"]}, {}, "/nonexistent")
    assert inherited.decoded(loads(inherited.encoded(given))) == given.replace(sources={})


@pytest.mark.parametrize("value", [("another shape", ()), ((), ()), 5, (1, 2, 3)])
def test_what_is_no_settings_for_a_supervisor(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        inherited.decoded(value)
