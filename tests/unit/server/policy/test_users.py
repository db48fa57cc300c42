from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socksify.config.errors import ConfigError
from socksify.server.policy import users as module
from socksify.server.policy.users import Hash, Users, entry
from tests.unit.server.policies import CHEAP, cheap_hash

# RFC 7914 section 12's third vector, its first 32 bytes: password, salt, N = 16384, r = 8, p = 1.
VECTOR = Hash(
    14, 8, 1, b"SodiumChloride", bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
)


def written(tmp_path: Path, *lines: str | bytes) -> str:
    path = tmp_path / "users"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return str(path)


def test_the_hash_is_scrypts() -> None:
    assert VECTOR.fits(b"pleaseletmein")
    assert not VECTOR.fits(b"pleaseletmeout")
    assert Hash.parse(str(VECTOR)) == VECTOR


def test_a_line_lets_its_user_in(tmp_path: Path) -> None:
    line = entry(b"alice", b"open sesame")
    assert line.startswith("alice:$scrypt$ln=14,r=8,p=1$")
    assert "sesame" not in line
    users = Users.load(written(tmp_path, line))
    assert users.verify(b"alice", b"open sesame")
    assert not users.verify(b"alice", b"open sesam")
    assert not users.verify(b"bob", b"open sesame")


def test_every_line_has_its_own_salt() -> None:
    assert entry(b"alice", b"open sesame") != entry(b"alice", b"open sesame")


def test_a_file_of_users(tmp_path: Path) -> None:
    users = Users.load(
        written(
            tmp_path,
            "# the office",
            "",
            f"alice:{cheap_hash(b'one')}\r",
            f"b:ob:{cheap_hash(b'two')}",
            b"\xffeve:" + cheap_hash(b"\x00\xff").encode(),
        )
    )
    assert len(users) == 3
    assert b"alice" in users and b"b:ob" in users and b"bob" not in users
    for user, password in ((b"alice", b"one"), (b"b:ob", b"two"), (b"\xffeve", b"\x00\xff")):
        # A verified login is remembered, a wrong one is not.
        assert [users.verify(user, password) for _ in range(2)] == [True, True]
        assert [users.verify(user, password + b"x") for _ in range(2)] == [False, False]
    assert not users.verify(b"alice", b"two")
    assert not users.verify(b"", b"")


def test_user_and_password_are_not_run_together(tmp_path: Path) -> None:
    users = Users.load(written(tmp_path, f"al:{cheap_hash(b'icesecret')}", f"alice:{cheap_hash(b'other')}"))
    assert users.verify(b"al", b"icesecret")
    assert not users.verify(b"alice", b"secret")


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice:open sesame",
        "alice:",
        ":" + CHEAP + "A" * 43,
        "alice:$2b$12$abcdefghijklmnopqrstuv",
        "alice:" + CHEAP,
        "alice:" + CHEAP + "AAAA",
        "alice:" + CHEAP + "A" * 43 + "$",
        "alice:$scrypt$ln=40,r=8,p=1$c2FsdA$" + "A" * 43,
        "alice:$scrypt$ln=14,r=8000,p=1$c2FsdA$" + "A" * 43,
        "alice:$scrypt$ln=14,r=8,p=1000$c2FsdA$" + "A" * 43,
        "alice:$scrypt$ln=0,r=8,p=1$c2FsdA$" + "A" * 43,
        "alice:$scrypt$ln=-1,r=8,p=1$c2FsdA$" + "A" * 43,
        "alice:$scrypt$r=8,ln=14,p=1$c2FsdA$" + "A" * 43,
        "alice:$scrypt$ln=14,r=8$c2FsdA$" + "A" * 43,
        "alice:$scrypt$ln=14,r=8,p=1$!$" + "A" * 43,
        "älice:$scrypt$ln=14,r=8,p=1$ä$" + "A" * 43,
    ],
)
def test_a_line_that_cannot_be_used_is_an_error_that_does_not_quote_it(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"users, line 2: expected NAME:\$scrypt") as caught:
        Users.load(written(tmp_path, "#", line))
    assert "sesame" not in str(caught.value)


def test_no_users_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no users in it"):
        Users.load(written(tmp_path, "# nobody", ""))
    with pytest.raises(ConfigError, match="No such file"):
        Users.load(str(tmp_path / "nothing"))


def test_a_user_has_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2: this user has a line already"):
        Users.load(written(tmp_path, f"alice:{cheap_hash(b'one')}", f"alice:{cheap_hash(b'two')}"))


def test_an_unknown_user_costs_as_much_as_a_known_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes are counted, not timed: one for each login, and always of the same cost for the same name."""
    dear = "$scrypt$ln=2,r=1,p=1$c2FsdA$" + "A" * 43
    users = Users.load(written(tmp_path, f"alice:{cheap_hash(b'one')}", f"bob:{dear}"))
    costs: list[int] = []
    scrypt = module._scrypt

    def counted(password: bytes, ln: int, *rest: object) -> bytes:
        costs.append(ln)
        return scrypt(password, ln, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_scrypt", counted)
    for user in (b"alice", b"bob", *(b"nobody%d" % number for number in range(40))):
        assert not users.verify(user, b"wrong")
        assert not users.verify(user, b"wrong again")
    assert costs[:4] == [1, 1, 2, 2]
    assert len(costs) == 84
    assert costs[::2] == costs[1::2]
    assert set(costs[4:]) == {1, 2}
    # The password of the user whose hash is used instead does not help either.
    assert not any(users.verify(b"nobody%d" % number, b"one") for number in range(40))


def test_a_verified_login_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = Users.load(written(tmp_path, f"alice:{cheap_hash(b'one')}"))
    assert not users.remembers(b"alice", b"one")
    assert users.verify(b"alice", b"one")

    def unexpected(*_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(module, "_scrypt", unexpected)
    assert users.verify(b"alice", b"one")
    assert users.remembers(b"alice", b"one")
    assert not users.remembers(b"alice", b"two")
    assert not users.remembers(b"alic", b"eone")
    assert b"one" not in b"".join(users._known)


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (b"", b"x"),
        (b"x", b""),
        (b"x" * 256, b"x"),
        (b"x", b"x" * 256),
        (b"#x", b"x"),
        (b" x", b"x"),
        (b"x\t", b"x"),
        (b"x\ny", b"x"),
        (b"x\0y", b"x"),
    ],
)
def test_users_and_passwords_that_no_line_can_hold(user: bytes, password: bytes) -> None:
    with pytest.raises(ValueError, match=r"the user must not|1 to 255 bytes"):
        entry(user, password)


@given(st.text())
@example("a:$scrypt$ln=1,r=1,p=1$c2FsdA$" + "A" * 43)
def test_any_text_is_a_line_or_a_configuration_error(text: str) -> None:
    try:
        user, _ = module._entry(text.encode("utf-8", "surrogatepass"), "users")
    except ConfigError:
        return
    assert user
