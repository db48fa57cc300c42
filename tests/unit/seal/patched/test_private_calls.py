"""The supervisor's answers to messages, also to those that no patched Python would send."""

from __future__ import annotations

import os
import random
import socket
import sys
from errno import EBADF, EFAULT, EINVAL, ENOTSOCK, ESTALE

import pytest

from socksify import _supervision, config
from socksify.config import inherited
from socksify.config.match import parse
from socksify.config.rules import Rule
from socksify.config.settings import Settings, passed_on, scoped
from socksify.routing import fake_addresses
from tests.support.supervision import Supervisor, fails


def message(number: int = 0, data: bytes = b"") -> bytearray:
    return bytearray(number.to_bytes(_supervision.NUMBER, sys.byteorder) + data)


def number_in(answer: bytearray) -> int:
    return int.from_bytes(answer[: _supervision.NUMBER], sys.byteorder)


@pytest.fixture
def settings() -> Settings:
    return config.load({"proxy": "socks5h://192.0.2.1:1080"}, {}, "/nonexistent")


@pytest.fixture
def supervisor(settings: Settings) -> Supervisor:
    return Supervisor(settings)


def test_a_name_has_the_address_that_the_supervisors_table_gives(supervisor: Supervisor) -> None:
    asked = message(0, b"name.example")
    supervisor.ask(_supervision.INDEX_OF_NAME, asked)
    index = fake_addresses.TABLE.index_of("name.example")
    assert number_in(asked) == index
    answer = message(index, bytes(_supervision.LONGEST_NAME))
    supervisor.ask(_supervision.NAME_OF_INDEX, answer)
    length = number_in(answer)
    assert answer[_supervision.NUMBER :][:length] == b"name.example"
    assert supervisor.calls.answered == [1, 1]


@pytest.mark.parametrize(
    ("option", "data"),
    [
        (0, b""),
        (99, b"name.example"),
        (-1, b""),
        (_supervision.INDEX_OF_NAME, b""),
        (_supervision.INDEX_OF_NAME, b"\xff\xfe"),
        (_supervision.INDEX_OF_NAME, b"a" * 256),
        (_supervision.NAME_OF_INDEX, b"a" * 256),
        (_supervision.NETWORKS, b""),
        (_supervision.REGISTER, b""),
        (_supervision.REGISTER, b"no settings"),
        (_supervision.REGISTER, b"(" * 1000),
        (_supervision.SCOPE_OF_SOCKET, b"more"),
        (_supervision.FIRST_HOP, b"192.0.2.1"),
    ],
)
def test_a_message_without_sense_is_refused(supervisor: Supervisor, option: int, data: bytes) -> None:
    with fails(EINVAL):
        supervisor.ask(option, message(0, data))
    assert supervisor.calls.answered == []


@pytest.mark.parametrize("length", [0, 1, _supervision.NUMBER - 1])
@pytest.mark.parametrize("option", range(8))
def test_a_message_without_a_number_is_refused(supervisor: Supervisor, option: int, length: int) -> None:
    with fails(EINVAL):
        supervisor.ask(option, bytearray(length))


def test_an_answer_is_never_longer_than_the_message(supervisor: Supervisor) -> None:
    asked = message(0, b"name.example")
    supervisor.ask(_supervision.INDEX_OF_NAME, asked)
    short = message(number_in(asked), bytes(5))
    before = bytes(short)
    with fails(EINVAL):
        supervisor.ask(_supervision.NAME_OF_INDEX, short)
    assert bytes(short) == before


def test_settings_may_have_many_rules(supervisor: Supervisor, settings: Settings) -> None:
    names = [f"host{number}.example" for number in range(9000)]
    rules = tuple(Rule(f"{name}=direct", "", "direct", parse(name, "")) for name in names)
    asked = message(0, inherited.encoded(settings.replace(rules=rules)))
    supervisor.ask(_supervision.REGISTER, asked)
    assert number_in(asked) > 0


def test_settings_are_too_long(supervisor: Supervisor, settings: Settings) -> None:
    with fails(EINVAL):
        supervisor.ask(_supervision.REGISTER, message(0, inherited.encoded(settings.replace(log="x" * (1 << 22)))))


def test_a_message_is_read_in_parts(supervisor: Supervisor, settings: Settings) -> None:
    data = inherited.encoded(passed_on(scoped(settings, ("socks5h://192.0.2.2:1080",), None)))
    asked = message(0, data)
    supervisor.ask(_supervision.REGISTER, asked, part=100)
    assert number_in(asked) == supervisor.scopes.register(data) > 0


def test_memory_that_ends_is_a_fault(supervisor: Supervisor) -> None:
    with fails(EFAULT):
        supervisor.ask(_supervision.INDEX_OF_NAME, message(0, b"name.example"), part=0)


def test_nothing_is_written_for_a_caller_that_has_gone(supervisor: Supervisor) -> None:
    """Its number may be that of another process by now."""
    supervisor.calls.are_valid = False
    asked = message(0, b"gone.example")
    before = bytes(asked)
    supervisor.ask(_supervision.INDEX_OF_NAME, asked)
    assert (bytes(asked), supervisor.calls.answered) == (before, [])


def test_a_scope_is_for_sockets(supervisor: Supervisor) -> None:
    with open(os.devnull) as file, socket.socket() as sock:
        for fd, error in ((file.fileno(), ENOTSOCK), (1 << 20, EBADF), (-1, EBADF)):
            with fails(error):
                supervisor.ask(_supervision.SCOPE_OF_SOCKET, message(0), fd)
        with fails(ESTALE):
            supervisor.ask(_supervision.SCOPE_OF_SOCKET, message(7), sock.fileno())
        supervisor.ask(_supervision.SCOPE_OF_SOCKET, message(0), sock.fileno())


@pytest.mark.parametrize(
    ("port", "address"),
    [(0, b"192.0.2.1"), (65536, b"192.0.2.1"), (80, b""), (80, b"name.example"), (80, b"\xff"), (80, b"192.0.2.1\0")],
)
def test_a_first_hop_has_an_address_and_a_port(supervisor: Supervisor, port: int, address: bytes) -> None:
    with fails(EINVAL):
        supervisor.ask(_supervision.FIRST_HOP, message(port, address))


def test_an_address_of_a_proxy_is_added(supervisor: Supervisor) -> None:
    supervisor.ask(_supervision.FIRST_HOP, message(1080, b"2001:DB8::50"))
    assert supervisor.scopes.base.is_first_hop("2001:db8::50", 1080)


def test_damaged_messages_raise_nothing_else(supervisor: Supervisor, settings: Settings) -> None:
    chance = random.Random(15)
    data = inherited.encoded(passed_on(scoped(settings, ("socks5h://user:word@192.0.2.2:1080",), None)))
    refused = 0
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice(b"()[]{0usigNTFl\0\1\x7f\xff")
        try:
            supervisor.ask(_supervision.REGISTER, message(0, bytes(damaged)))
        except OSError as error:
            assert error.errno == EINVAL
            refused += 1
    assert refused > 1000
