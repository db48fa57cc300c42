"""The original server's files: rules, users, source addresses, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.config.rules import never
from socksify.protocol.socks5 import NO_AUTHENTICATION
from socksify.server.config import Configuration
from socksify.server.config.sockd_conf import load
from socksify.server.policy.policy import Admission, Denied, Permitted
from tests.unit.server.policies import REMOTE, demand


def loaded(tmp_path: Path, text: str, route: str | None = None, allow_unsupported: bool = False) -> Configuration:
    (tmp_path / "sockd.conf").write_text(text)
    (tmp_path / "sockd.route").write_text(route or "")
    path = str(tmp_path / "sockd.route") if route is not None else None
    return load(str(tmp_path / "sockd.conf"), path, never, allow_unsupported)


# All statements of sockd.conf(5) without shell commands.
CONF = """\
# who may do what
deny    *=bonnie,clyde  198.51.100.0 255.255.255.0
permit  *=ylee          198.51.100.4 255.255.255.255  192.0.2.0 255.255.255.0
deny    198.51.100.0 255.255.255.0 eq telnet          # behind it, too

permit  ?=I *=root      198.51.100.9 255.255.255.255  192.0.2.0 255.255.255.0 lt 1024
permit  ?=i             198.51.100.0 255.255.255.0    0.0.0.0   0.0.0.0       ge 1024
permit  ?=n             203.0.113.1  255.0.255.0      192.0.2.1 255.255.255.255 neq 80
"""


@pytest.mark.parametrize(
    ("host", "userid", "literal", "port", "line"),
    [
        ("198.51.100.4", b"clyde", "192.0.2.1", 22, None),
        ("198.51.100.4", b"ylee", "192.0.2.1", 23, 3),
        ("198.51.100.4", b"ylee", "192.0.3.1", 23, None),
        ("198.51.100.5", b"ylee", "192.0.2.1", 22, None),
        ("198.51.100.5", b"", "192.0.2.1", 1023, None),
        ("198.51.100.5", b"", "192.0.2.1", 1024, 7),
        ("198.51.100.5", b"", "2001:db8::1", 1024, 7),
        ("198.51.100.9", b"root", "192.0.2.1", 514, 6),
        ("198.51.100.9", b"root", "192.0.2.1", 23, None),
        ("198.51.100.9", b"", "192.0.2.1", 514, None),
        ("203.99.113.200", b"", "192.0.2.1", 22, 8),
        ("203.99.113.200", b"", "192.0.2.1", 80, None),
        ("203.99.113.200", b"", "192.0.2.2", 22, None),
        ("203.99.112.200", b"", "192.0.2.1", 22, None),
        # Without a match a request is denied, for local clients as well.
        ("127.0.0.1", b"", "192.0.2.1", 22, None),
    ],
)
def test_the_first_line_that_matches_counts(
    tmp_path: Path, host: str, userid: bytes, literal: str, port: int, line: int | None
) -> None:
    configuration = loaded(tmp_path, CONF)
    verdict = configuration.policy.decide(demand(literal, port, host=host, userid=userid))
    if line is None:
        assert isinstance(verdict, Denied)
    else:
        ident = {6: "I", 7: "i"}.get(line, "")
        assert verdict == Permitted(f"{configuration.path}, line {line}", reserved=True, ident=ident)


def test_it_guards_and_asks_for_no_password(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, CONF)
    assert configuration.guarded
    assert configuration.policy.admit(REMOTE) == Admission((NO_AUTHENTICATION,))
    assert isinstance(configuration.policy.admit("192.0.2.1"), Denied)
    assert isinstance(loaded(tmp_path, "").policy.admit("127.0.0.1"), Denied)


def test_everything_is_closed_that_nobody_means(tmp_path: Path) -> None:
    policy = loaded(tmp_path, "permit 0.0.0.0 0.0.0.0 127.0.0.2 255.255.255.255\npermit 0.0.0.0 0.0.0.0").policy
    assert isinstance(policy.decide(demand("127.0.0.1")), Denied)
    assert isinstance(policy.decide(demand("127.0.0.2")), Permitted)
    assert isinstance(policy.decide(demand("192.0.2.1")), Permitted)


@pytest.mark.parametrize(
    ("operation", "ports"),
    [
        ("eq 80", {80}),
        ("eq http", {80}),
        ("neq 80", {0, 79, 81, 65535}),
        ("lt 80", {0, 79}),
        ("gt 80", {81, 65535}),
        ("le 80", {0, 79, 80}),
        ("ge 80", {80, 81, 65535}),
        ("ge 0", {0, 79, 80, 81, 65535}),
        ("neq 0", {79, 80, 81, 65535}),
        ("neq 65535", {0, 79, 80, 81}),
        ("", {0, 79, 80, 81, 65535}),
    ],
)
@pytest.mark.parametrize("to", ["", "192.0.2.0 255.255.255.0", "192.0.2.99 255.255.255.0"])
def test_operators(tmp_path: Path, to: str, operation: str, ports: set[int]) -> None:
    policy = loaded(tmp_path, f"permit 0.0.0.0 0.0.0.0 {to} {operation}").policy
    asked = (0, 79, 80, 81, 65535)
    assert {port for port in asked if isinstance(policy.decide(demand("192.0.2.1", port)), Permitted)} == ports


@pytest.mark.parametrize(
    ("host", "name", "permitted"),
    [
        ("xyz.example", "xyz.example", True),
        ("xyz.example", "www.xyz.example", False),
        (".xyz.example", "xyz.example", True),
        (".xyz.example", "www.XYZ.example", True),
        (".xyz.example", "wxyz.example", False),
    ],
)
def test_names_as_in_the_last_version(tmp_path: Path, host: str, name: str, permitted: bool) -> None:
    policy = loaded(tmp_path, f"permit 0.0.0.0 0.0.0.0 {host} 0.0.0.0 eq 80").policy
    assert isinstance(policy.decide(demand("192.0.2.1", name=name)), Permitted) is permitted


def test_users_from_files(tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("alice, bob\tcarol # dave\n#erin\n  frank")
    policy = loaded(tmp_path, f"permit *=zoe,{names} 0.0.0.0 0.0.0.0").policy
    users = (b"alice", b"bob", b"carol", b"dave", b"erin", b"frank", b"zoe")
    permitted = {user for user in users if isinstance(policy.decide(demand("192.0.2.1", userid=user)), Permitted)}
    assert permitted == {b"alice", b"bob", b"carol", b"frank", b"zoe"}
    # A verified user counts, whatever user is claimed.
    assert isinstance(policy.decide(demand("192.0.2.1", user=b"zoe")), Permitted)
    assert isinstance(policy.decide(demand("192.0.2.1", user=b"dave", userid=b"zoe")), Denied)


SHELL = [
    "permit 0.0.0.0 0.0.0.0 : /usr/bin/logger %u",
    "deny *=bonnie 0.0.0.0 0.0.0.0 eq 23 : mail -s 'no # comment' root",
    "#NO_IDENTD: /usr/bin/logger %A",
    "#BAD_ID: /usr/bin/logger %U",
]


@pytest.mark.parametrize("line", SHELL)
def test_shell_commands_are_refused_unless_allowed(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"sockd\.conf, line 2: shell commands are not run"):
        loaded(tmp_path, f"# first\n{line}\n")


def test_the_lines_hold_without_their_commands(tmp_path: Path) -> None:
    rules = loaded(tmp_path, "\n".join(SHELL), allow_unsupported=True).policy.rules
    assert [rule.text for rule in rules] == ["permit 0.0.0.0 0.0.0.0", "deny *=bonnie 0.0.0.0 0.0.0.0 eq 23"]


def test_what_is_no_shell_command(tmp_path: Path) -> None:
    text = "# a comment: with a colon\npermit 0.0.0.0 0.0.0.0 # and : here\npermit 0.0.0.0 0.0.0.0 :\n #BAD_ID: none\n"
    assert len(loaded(tmp_path, text).policy.rules) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("allow 0.0.0.0 0.0.0.0", r"expected permit\|deny"),
        ("permit", r"expected permit\|deny"),
        ("permit 10.0.0.0", r"expected permit\|deny"),
        ("permit ?=I", r"expected permit\|deny"),
        ("permit ?=x 0.0.0.0 0.0.0.0", r"behind \?= expected I, i or n"),
        ("permit *=, 0.0.0.0 0.0.0.0", "nobody in it"),
        ("permit *=/no/such/file 0.0.0.0 0.0.0.0", "/no/such/file: No such file"),
        ("permit gw.example 255.255.255.255", "expected an IPv4 address and a mask"),
        ("permit ::1 255.255.255.255", "shell commands"),
        ("permit 10.0.0.0 8", "expected an IPv4 address and a mask"),
        ("permit 10.0.0.0 255.0.0.0 10.0.0.0", r"expected permit\|deny"),
        ("permit 10.0.0.0 255.0.0.0 10.0.0.0 255.0.0.256", "expected an IPv4 address and a mask"),
        ("permit 10.0.0.0 255.0.0.0 eq", r"expected permit\|deny"),
        ("permit 10.0.0.0 255.0.0.0 eq 65536", "ports are 0 to 65535"),
        ("permit 10.0.0.0 255.0.0.0 eq nosuchservice", "or the name of a TCP service"),
        ("permit 10.0.0.0 255.0.0.0 lt 0", "there is no such port"),
        ("permit 10.0.0.0 255.0.0.0 gt 65535", "there is no such port"),
        ("permit 10.0.0.0 255.0.0.0 eq 80 90", r"expected permit\|deny"),
        ("permit 10.0.0.0 255.0.0.0 0.0.0.0 0.0.0.0 equals 80", "'equals': expected eq, neq"),
        ("deny 10.0.0.0 255.0.0.0 .evil.example 0.0.0.0", "a name that is denied can be reached by its address"),
    ],
)
def test_a_line_that_cannot_be_read_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        loaded(tmp_path, f"# first\n{line}\n")
    assert "sockd.conf, line 2" in str(caught.value) or "/no/such/file" in str(caught.value)


def test_which_address_a_multihomed_server_uses(tmp_path: Path) -> None:
    route = (
        "# interfaces\n10.0.0.1 192.0.2.0 255.255.255.0\n10.0.0.2 .example 0.0.0.0\n10.0.0.9 0.0.0.0 0.0.0.0 # rest\n"
    )
    policy = loaded(tmp_path, "permit 0.0.0.0 0.0.0.0", route).policy

    def source(literal: str, name: str | None = None) -> str | None:
        verdict = policy.decide(demand(literal, name=name))
        assert isinstance(verdict, Permitted)
        return verdict.source

    assert source("192.0.2.7") == "10.0.0.1"
    assert source("203.0.113.7", "www.example") == "10.0.0.2"
    assert source("203.0.113.7") == "10.0.0.9"
    assert source("2001:db8::7") is None


@pytest.mark.parametrize("line", ["10.0.0.1 0.0.0.0", "eth0 0.0.0.0 0.0.0.0", "10.0.0.1 0.0.0.0 0.0.0.0 x"])
def test_a_route_that_cannot_be_read(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"sockd\.route, line 1: expected INTERFACE_ADDRESS"):
        loaded(tmp_path, "", line)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sockd\.conf: No such file"):
        load(str(tmp_path / "sockd.conf"), None, never, False)
