"""Whole TOML files of the server, and their errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.config.rules import never
from socksify.protocol.socks5 import BIND, CONNECT, NO_AUTHENTICATION, UDP_ASSOCIATE, USERNAME_PASSWORD
from socksify.server.config import Configuration
from socksify.server.config.toml_file import _KEYS, _POLICY_KEYS, _RULE_KEYS, load
from socksify.server.policy.limits import Limits
from socksify.server.policy.policy import Admission, Denied, Permitted
from tests.support.paths import README
from tests.unit.server.policies import REMOTE, demand, loaded


def test_an_empty_file_is_as_none(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, "")
    assert configuration == Configuration(configuration.policy, path=str(tmp_path / "sockd.toml"))
    assert not configuration.guarded
    assert configuration.policy.admit("::1") == Admission((NO_AUTHENTICATION,))
    assert isinstance(configuration.policy.admit(REMOTE), Denied)


def test_how_it_is_run(tmp_path: Path) -> None:
    configuration = loaded(
        tmp_path,
        """
        listen = ["0.0.0.0:1080", "[::]:1080"]
        workers = 4
        log = "syslog:/dev/log"
        log_format = "json"
        metrics = "127.0.0.1:9100"
        status = "/run/sockd"
        """,
    )
    assert configuration.listen == (("0.0.0.0", 1080), ("::", 1080))
    assert configuration.workers == 4
    assert (configuration.log, configuration.log_format) == ("syslog:/dev/log", "json")
    assert (configuration.metrics, configuration.status) == ("127.0.0.1:9100", "/run/sockd")


RULES = """
listen = "0.0.0.0:1080"

[[rules]]
action = "deny"
to = ["192.168.0.0/16", ":25"]

[[rules]]
action = "permit"
from = ["198.51.100.0/24", "2001:db8::/32"]
commands = ["connect", "associate"]
reserved = true
ident = "if-answered"

  [[ rules ]]
action = "permit"
from = "203.0.113.9"
to = ".example"
"""


def test_rules(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, RULES)
    policy, line = configuration.policy, f"{configuration.path}, line"
    assert configuration.guarded
    assert policy.decide(demand("192.168.1.1")) == Denied(f"denied by {line} 4")
    assert policy.decide(demand("192.0.2.1", 25)) == Denied(f"denied by {line} 4")
    granted = Permitted(f"{line} 8", reserved=True, ident="i")
    for host in (REMOTE, "2001:db8::7"):
        assert policy.decide(demand("192.0.2.1", host=host)) == granted
        assert policy.decide(demand("192.0.2.1", host=host, command=UDP_ASSOCIATE)) == granted
        assert isinstance(policy.decide(demand("192.0.2.1", host=host, command=BIND)), Denied)
    assert policy.decide(demand("192.0.2.1", name="www.example", host="203.0.113.9")) == Permitted(f"{line} 15")
    assert isinstance(policy.decide(demand("192.0.2.1", host="203.0.113.9")), Denied)
    assert isinstance(policy.admit("192.0.2.99"), Denied)


def test_local_clients_are_permitted_what_no_rule_denies(tmp_path: Path) -> None:
    policy = loaded(tmp_path, RULES).policy
    for host in ("127.0.0.1", "::1", ""):
        assert policy.decide(demand("192.0.2.1", host=host)) == Permitted("built in")
        assert policy.decide(demand("127.0.0.1", host=host)) == Permitted("built in")
        assert isinstance(policy.decide(demand("192.0.2.1", 25, host=host)), Denied)


def test_users_alone_let_them_in_from_everywhere(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, 'users = "users"')
    policy = configuration.policy
    assert configuration.guarded
    for host in (REMOTE, "127.0.0.1"):
        assert policy.admit(host) == Admission((USERNAME_PASSWORD,))
        assert policy.decide(demand("192.0.2.1", host=host, user=b"bob")) == Permitted("built in")
        assert isinstance(policy.decide(demand("192.0.2.1", host=host)), Denied)
    assert policy.verify(b"alice", b"one")
    assert not policy.verify(b"alice", b"two")
    assert isinstance(policy.decide(demand("127.0.0.1", user=b"bob")), Denied)


USERS_AND_RULES = """
users = "users"
[[rules]]
action = "deny"
users = "bob"
to = "192.0.2.0/24"
[[rules]]
action = "permit"
users = ["alice", "bob"]
to = ["192.0.2.0/24", "203.0.113.0/24"]
[[rules]]
action = "permit"
anonymous = true
to = ":80"
[[rules]]
action = "permit"
to = ":81"
"""


@pytest.mark.parametrize(
    ("user", "literal", "port", "permitted"),
    [
        (b"alice", "192.0.2.1", 22, True),
        (b"bob", "192.0.2.1", 22, False),
        (b"bob", "192.0.2.1", 80, False),
        (b"bob", "203.0.113.1", 22, True),
        (None, "203.0.113.1", 22, False),
        (None, "203.0.113.1", 80, True),
        (None, "203.0.113.1", 81, False),
        (b"bob", "198.51.100.1", 81, True),
        (b"bob", "198.51.100.1", 80, True),
        (b"bob", "198.51.100.1", 82, False),
    ],
)
def test_rules_about_users(tmp_path: Path, user: bytes | None, literal: str, port: int, permitted: bool) -> None:
    policy = loaded(tmp_path, USERS_AND_RULES).policy
    assert policy.admit(REMOTE) == Admission((USERNAME_PASSWORD, NO_AUTHENTICATION))
    assert isinstance(policy.decide(demand(literal, port, user=user)), Permitted) is permitted


def test_users_whom_identd_vouches_for(tmp_path: Path) -> None:
    rule = '[[rules]]\naction = "permit"\nusers = "eve"\nident = "required"\n'
    for users in ("", 'users = "users"\n'):
        policy = loaded(tmp_path, users + rule).policy
        admission = policy.admit(REMOTE)
        assert isinstance(admission, Admission) and NO_AUTHENTICATION in admission.methods
        verdict = policy.decide(demand("192.0.2.1", userid=b"eve"))
        assert isinstance(verdict, Permitted) and verdict.ident == "I"
        assert isinstance(policy.decide(demand("192.0.2.1", userid=b"mallory")), Denied)


def test_limits(tmp_path: Path) -> None:
    text = "[limits]\nconnections = 100\nper_client = 0\nidle_seconds = 1.5\nconnect_seconds = 5\n"
    assert loaded(tmp_path, text).policy.limits == Limits(100, 0, idle_seconds=1.5, connect_seconds=5)


def test_ways(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        """
        routes = ["*.onion=tor", "192.0.2.0/24=direct", "*.lab.example=tor+proxy", "203.0.113.1=block"]
        sources = ["192.0.2.0/24=10.0.0.1", "*=2001:db8::1"]
        proxy = "socks5://alice:S3cr3t@gw"
        [[rules]]
        action = "permit"
        [proxies]
        tor = "socks5h://127.0.0.1:9050"
        """,
    ).policy

    def chain(name: str | None, literal: str | None = None) -> list[str]:
        verdict = policy.decide(demand(literal, name=name))
        assert isinstance(verdict, Permitted)
        return [hop.host for hop in verdict.chain]

    assert chain("a.onion") == ["127.0.0.1"]
    assert chain("a.lab.example") == ["127.0.0.1", "gw"]
    assert chain("a.example") == chain(None, "198.51.100.1") == ["gw"]
    assert chain("a.example", "192.0.2.1") == []
    direct = policy.decide(demand("192.0.2.1"))
    assert isinstance(direct, Permitted) and direct.source == "10.0.0.1"
    proxied = policy.decide(demand("2001:db8:2::1"))
    assert isinstance(proxied, Permitted) and proxied.source is None
    assert isinstance(policy.decide(demand("203.0.113.1")), Denied)


RULE = '[[rules]]\naction = "permit"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lisen = 1", r"sockd\.toml: 'lisen': no such key; there are listen, "),
        ('listen = "1080"', "listen: '1080': expected ADDRESS:PORT"),
        ('listen = "gw.example:1080"', "expected ADDRESS:PORT"),
        ('listen = "::1:1080"', "expected ADDRESS:PORT"),
        ('listen = "127.0.0.1:65536"', "expected ADDRESS:PORT"),
        ('metrics = "9100"', "metrics: '9100': expected ADDRESS:PORT"),
        ("workers = 0", "workers: expected a number from 1"),
        ("workers = true", "workers: expected a number from 1"),
        ('log = "sysloq"', 'log: expected "stderr"'),
        ('log_format = "xml"', "log_format: 'xml': expected text or json"),
        ('users = "nobody"', "nobody: No such file"),
        ("users = 1", "users: 1: expected a file's name"),
        ("limits = 1", "'limits': expected a table"),
        ("[limits]\nconnection = 1", "limits.'connection': no such limit; there are connections, "),
        ("[limits]\nconnections = 1.5", "limits.connections: expected a whole number from 0"),
        ("[limits]\nconnections = -1", "limits.connections: expected a whole number from 0"),
        ("[limits]\nidle_seconds = inf", "limits.idle_seconds: expected a number from 0"),
        ("[limits]\nidle_seconds = true", "limits.idle_seconds: expected a number from 0"),
        ('routes = "*=tor"', "routes: 'tor': no proxy of that name"),
        ('sources = "*=eth0"', r"sources: '\*=eth0': expected MATCH=ADDRESS"),
        ('proxy = "ftp://gw"', "unknown scheme"),
        ('proxy = "socks5h://a:S3cr3t@gw/x"', "nothing may follow the port|Unix socket"),
        ("rules = 1", "'rules': expected tables"),
        ("rules = [1]", "'rules': expected tables"),
        ("[[rules]]", r"line 1: expected action = \"permit\" or action = \"deny\""),
        ('\n\n[[rules]]\naction = "allow"', "line 3: action: 'allow': expected permit or deny"),
        ('rules = [{action = "allow"}]', "rule 1: action: 'allow'"),
        (RULE + "to = []", "line 1: to: nothing in it; leave it out to mean all"),
        (RULE + 'to = ""', "line 1: to: nothing in it"),
        (RULE + 'to = "10.0.0.256"', "line 1: to: '10.0.0.256': no such address"),
        (RULE + "to = 443", "line 1: to: 443: expected a text or a list of texts"),
        (RULE + "to = [443]", "line 1: to: list: expected a text or a list of texts"),
        (RULE + "from = {a = 1}", "line 1: from: dict: expected a text or a list of texts"),
        (RULE + "from = 2001-12-08", "line 1: from: date: expected a text or a list of texts"),
        (RULE + 'from = "gw.example"', "line 1: from: 'gw.example': expected an address or a network"),
        (RULE + 'from = "10.0.0.0/8:80"', "line 1: from: '10.0.0.0/8:80': expected an address or a network"),
        (RULE + 'commands = "udp"', "line 1: commands: 'udp': expected connect, bind or associate"),
        (RULE + 'ident = "yes"', "line 1: ident: 'yes': expected off, if-answered or required"),
        (RULE + 'users = "alice"', "line 1: users: nobody can prove to be one"),
        ('users = "users"\n' + RULE + 'users = "eve"', "line 2: users: 'eve' is not in the file of users"),
        ('users = "users"\n' + RULE + 'users = "bob"\nanonymous = true', "exclude each other"),
        (RULE + "user = 1", "line 1: 'user': no such key; there are action, from, "),
        (RULE + "[[rules]]\naction = 'deny'\nreserved = true", "line 3: anonymous, reserved and ident are for rules"),
        ("x", "expected a TOML file"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        loaded(tmp_path, text)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "S3cr3t" not in str(caught.value)


def test_the_file_of_the_readme_is_read(tmp_path: Path) -> None:
    readme = README.read_text()
    text = next(block for block in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) if "[[rules]]" in block)
    policy = loaded(tmp_path, text.replace("sockd.users", "users")).policy
    assert policy.admit(REMOTE) == Admission((USERNAME_PASSWORD, NO_AUTHENTICATION))
    assert policy.admit("203.0.113.1") == Admission((NO_AUTHENTICATION,))
    assert isinstance(policy.decide(demand("203.0.113.80", user=b"bob")), Permitted)
    assert isinstance(policy.decide(demand("10.0.0.1", user=b"bob")), Denied)
    assert isinstance(
        policy.decide(demand("203.0.113.80", 443, name="a.mirror.example", host="203.0.113.1")), Permitted
    )


@pytest.mark.parametrize("name", [*Limits._fields, *_KEYS, *_POLICY_KEYS, *_RULE_KEYS])
def test_every_key_is_described(name: str) -> None:
    readme = README.read_text()
    section = readme.partition("### Rules")[2]
    assert re.search(rf"\b{name}\b", section)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(str(tmp_path / "sockd.toml"), never)


def test_commands_are_the_protocols(tmp_path: Path) -> None:
    policy = loaded(tmp_path, RULE + 'commands = "bind"').policy
    assert isinstance(policy.decide(demand("192.0.2.1", command=BIND)), Permitted)
    assert isinstance(policy.decide(demand("192.0.2.1", command=CONNECT)), Denied)
