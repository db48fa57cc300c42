"""A reload refuses files that were emptied, cut off or removed while the server runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.server.config.options import Options
from socksify.server.config.plan import Plan, plan, refuse_opening
from socksify.server.policy.policy import Denied, Permitted
from tests.support.running_sockd import Sockd, sockd
from tests.support.streams import receive
from tests.unit.server.policies import cheap_hash, demand

FILE = """\
# who may do what
users = "users"
routes = [".lab.example=socks5h://127.0.0.1:9"]

[limits]
per_client = 20
per_user = 10

[[rules]]
action = "deny"
to = ["10.0.0.0/8"]

[[rules]]
action = "permit"
from = ["198.51.100.0/24"]
users = ["alice"]
to = ["192.0.2.0/24"]

[[rules]]
action = "deny"
"""
CONF = """\
deny *=/LIST 0.0.0.0 0.0.0.0
permit 198.51.100.0 255.255.255.0 192.0.2.0 255.255.255.0 eq 80
"""
# Many kinds of clients and requests.
DEMANDS = [
    demand(address, port, host=host, user=user, userid=user or b"")
    for address in ("10.1.1.1", "192.0.2.1", "203.0.113.1")
    for port in (80, 25)
    for host in ("127.0.0.1", "198.51.100.7", "203.0.113.9")
    for user in (None, b"alice", b"carol")
]


def permitted(read: Plan) -> set[int]:
    """The numbers of the demands that are permitted. A demand is not permitted if its client may not even connect."""
    policy = read.policy
    return {
        number
        for number, each in enumerate(DEMANDS)
        if not isinstance(policy.admit(each.client), Denied)
        and isinstance(policy.decide(each), Permitted)
        and (each.user is None or policy.users is not None)
    }


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    (tmp_path / "users").write_text(f"alice:{cheap_hash(b'open sesame')}\ncarol:{cheap_hash(b'secret')}\n")
    (tmp_path / "sockd.toml").write_text(FILE)
    return tmp_path / "sockd.toml"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "list").write_text("mallory\ncarol\n")
    (tmp_path / "sockd.route").write_text("192.0.2.9 192.0.2.0 255.255.255.0\n")
    path = tmp_path / "sockd.conf"
    path.write_text(CONF.replace("/LIST", str(tmp_path / "list")))
    return path


def read(path: Path) -> Plan:
    route = str(path.with_name("sockd.route")) if path.suffix == ".conf" else ""
    return plan(Options(config=str(path), route=route), {})


@pytest.mark.parametrize("kind", ["toml", "conf"])
def test_no_beginning_of_a_file_opens_anything(kind: str, request: pytest.FixtureRequest) -> None:
    """The file is cut off at every byte, with and without a newline. The reload is refused, or permits nothing more."""
    path: Path = request.getfixturevalue(kind)
    whole, before = path.read_text(), read(path)
    accepted = 0
    for end in range(len(whole)):
        for more in ("", "\n"):
            path.write_text(whole[:end] + more)
            try:
                after = read(path)
                refuse_opening(after, before)
            except ConfigError:
                continue
            accepted += 1
            assert permitted(after) <= permitted(before), whole[:end]
            assert after.policy.routes == before.policy.routes
            assert after.policy.limits == before.policy.limits
            assert (after.policy.users is None) == (before.policy.users is None)
    assert accepted < 8


@pytest.mark.parametrize("name", ["list", "sockd.route"])
def test_nor_does_that_of_a_file_beside_it(name: str, conf: Path) -> None:
    path = conf.with_name(name)
    whole, before = path.read_bytes(), read(conf)
    for end in range(len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ConfigError):
            refuse_opening(read(conf), before)


@pytest.mark.parametrize("left", ["", "\n\n", "# nothing\n  # more\n"])
@pytest.mark.parametrize("kind", ["toml", "conf"])
def test_nothing_left_is_told(kind: str, left: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    before = read(path)
    path.write_text(left)
    with pytest.raises(ConfigError, match=f"{path}: there is nothing left in it"):
        refuse_opening(read(path), before)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[rules]]\naction = "permit"\nto = "192.0.2.1"\n', "users: nobody would be asked for a password"),
        ('users = "users"\n[limits]\nper_client = 20\n', "rules: there is none left"),
    ],
)
def test_what_was_written_anew_is_no_more_open_by_accident(text: str, why: str, toml: Path) -> None:
    before = read(toml)
    toml.write_text(text)
    with pytest.raises(ConfigError, match=why):
        refuse_opening(read(toml), before)


@pytest.mark.parametrize(
    ("was", "text"),
    [
        # Permissions are removed, also at the end.
        (FILE + '[[rules]]\naction = "permit"\nfrom = ["127.0.0.1"]\n', FILE),
        (FILE, FILE),
        (FILE, FILE.replace("10.0.0.0/8", "172.16.0.0/12")),
        (FILE, FILE.replace("[[rules]]", "# a remark\n[[rules]]")),
        ("", ""),
        ("", FILE),
    ],
)
def test_whatever_else_an_operator_means_is_done(was: str, text: str, toml: Path) -> None:
    toml.write_text(was)
    before = read(toml)
    toml.write_text(text)
    refuse_opening(read(toml), before)


def test_a_user_of_a_list_may_be_taken_out(conf: Path) -> None:
    conf.write_text(f"permit *={conf.with_name('list')} 0.0.0.0 0.0.0.0\n")
    before = read(conf)
    conf.with_name("list").write_text("mallory\n")
    refuse_opening(read(conf), before)


def test_a_plan_does_not_show_what_it_was_made_of(toml: Path) -> None:
    toml.write_text('proxy = "socks5h://me:open%20sesame@127.0.0.1:9"\n' + FILE)
    assert "sesame" not in repr(read(toml))


def asks_for_a_password(server: Sockd) -> bool:
    """True if the server asks a client of this machine for a password."""
    with server.connect() as stream:
        stream.sendall(b"\x05\x01\x00")
        return receive(stream, 2) == b"\x05\xff"


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("how", ["emptied", "cut", "gone", "users emptied", "users gone", "a directory", "zeros"])
def test_local_clients_need_their_password_afterwards(how: str, workers: str, toml: Path) -> None:
    toml.write_text('# who may do what\nusers = "users"\n')
    with sockd("--config", str(toml), "--workers", workers) as server:
        path = toml.with_name("users") if how.startswith("users") else toml
        if how.endswith("emptied"):
            path.write_text("")
        elif how == "cut":
            path.write_text("# who may do what\n")
        elif how == "zeros":
            path.write_bytes(bytes(path.stat().st_size))
        else:
            path.unlink()
        if how == "a directory":
            path.mkdir()
        os.kill(server.process.pid, signal.SIGHUP)
        assert str(path) in server.line("the configuration is as before")
        assert all(asks_for_a_password(server) for _ in range(4))
