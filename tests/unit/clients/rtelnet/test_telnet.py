"""Telnet, byte by byte: the server's bytes and the client's answers."""

from __future__ import annotations

import pytest

from socksify.clients.rtelnet.telnet import COMMANDS, Protocol
from tests.unit.clients.rtelnet.telnet_bytes import (
    BINARY,
    DO,
    DONT,
    ECHO,
    ENVIRON,
    IAC,
    IS,
    LINEMODE,
    NAWS,
    SB,
    SE,
    SEND,
    SGA,
    STATUS,
    TM,
    TSPEED,
    TTYPE,
    WILL,
    WONT,
)


def made(user: str | None = None) -> Protocol:
    return Protocol("xterm", lambda: (24, 80), user)


def taken(protocol: Protocol) -> bytes:
    sent = bytes(protocol.outgoing)
    protocol.outgoing.clear()
    return sent


DIALOGUES = {
    "echo": ([IAC + WILL + ECHO, IAC + DO + ECHO], [IAC + WILL + ECHO, b""]),
    "suppress go ahead": ([IAC + WILL + SGA, IAC + DO + SGA], [IAC + DO + SGA, IAC + WILL + SGA]),
    "binary": ([IAC + WILL + BINARY, IAC + DO + BINARY], [IAC + DO + BINARY, IAC + WILL + BINARY]),
    "terminal type": (
        [IAC + DO + TTYPE, IAC + WILL + TTYPE],
        [IAC + SB + TTYPE + SEND + IAC + SE, IAC + SB + TTYPE + IS + b"xterm" + IAC + SE],
    ),
    "terminal speed": (
        [IAC + DO + TSPEED, IAC + WILL + TSPEED],
        [IAC + SB + TSPEED + SEND + IAC + SE, IAC + SB + TSPEED + IS + b"38400,38400" + IAC + SE],
    ),
    "window size": ([IAC + DO + NAWS, IAC + WILL + NAWS + IAC + SB + NAWS + b"\0\x50\0\x18" + IAC + SE], [b"", b""]),
    # The end of an option is acknowledged once. An option that is off is not acknowledged.
    "echo ends": ([IAC + WILL + ECHO, IAC + DO + ECHO], [IAC + WONT + ECHO, IAC + DONT + ECHO, IAC + WONT + ECHO, b""]),
    "binary ends": ([IAC + DO + BINARY, IAC + WILL + BINARY], [IAC + DONT + BINARY, IAC + WONT + BINARY]),
    # Options that a terminal does not have.
    "line mode": ([IAC + DO + LINEMODE, IAC + WONT + LINEMODE], [IAC + DO + LINEMODE, IAC + WONT + LINEMODE]),
    "timing mark": ([IAC + DO + TM, IAC + WONT + TM], [IAC + DO + TM, IAC + WONT + TM]),
    "status": ([IAC + WILL + STATUS, IAC + DONT + STATUS], [IAC + DO + STATUS, IAC + WONT + STATUS]),
    "environment": ([IAC + DO + ENVIRON, IAC + WONT + ENVIRON], []),
    "our echo": ([IAC + DO + ECHO, IAC + WONT + ECHO], []),
    "unheard of": ([IAC + WILL + b"\xc8", IAC + DONT + b"\xc8"], [IAC + DO + b"\xc8", IAC + WONT + b"\xc8"]),
}


@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES)
def test_options(dialogue: tuple[list[bytes], list[bytes]], piecewise: bool) -> None:
    protocol = made()
    lines = [*dialogue[0], *dialogue[1]]
    for heard, answered in zip(lines[::2], lines[1::2], strict=True):
        screen = b"".join(map(protocol.receive, _pieces(b"a" + heard + b"b", piecewise)))
        assert screen == b"ab"
        assert taken(protocol) == answered


def _pieces(data: bytes, piecewise: bool) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))] if piecewise else [data]


def test_a_user_is_told_when_there_is_one() -> None:
    protocol = made("alice")
    protocol.receive(IAC + DO + ENVIRON + IAC + SB + ENVIRON + SEND + b"\0USER" + IAC + SE)
    assert taken(protocol) == IAC + WILL + ENVIRON + IAC + SB + ENVIRON + IS + b"\0USER\1alice" + IAC + SE


def test_the_window_s_size_is_told_again_when_it_was_asked_for() -> None:
    protocol = made()
    protocol.resized()
    assert taken(protocol) == b""
    protocol.receive(IAC + DO + NAWS)
    taken(protocol)
    protocol.resized()
    assert taken(protocol) == IAC + SB + NAWS + b"\0\x50\0\x18" + IAC + SE


def test_what_the_server_does() -> None:
    protocol = made()
    assert not (protocol.echoes or protocol.by_character or protocol.speaks_telnet)
    protocol.receive(IAC + WILL + ECHO + IAC + WILL + SGA)
    assert protocol.echoes
    assert protocol.by_character
    assert protocol.speaks_telnet
    protocol.receive(IAC + WONT + ECHO + IAC + WONT + SGA)
    assert not (protocol.echoes or protocol.by_character)


@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(
    ("heard", "screen"),
    [
        (b"plain\r\n", b"plain\r\n"),
        (b"\xff\xff", b"\xff"),
        (b"a\xff\xff\xff\xffb", b"a\xff\xffb"),
        (IAC + WILL + SGA + b"\r\0x\r\n", b"\rx\r\n"),
        (IAC + WILL + BINARY + b"\r\0x", b"\r\0x"),
        # Without telnet the bytes may be any data.
        (b"\r\0x", b"\r\0x"),
        (b"a" + IAC + b"\xf1b", b"ab"),
        (b"a" + IAC + b"\xf9b" + IAC + b"\xf6c", b"abc"),
    ],
)
def test_what_is_for_the_screen(heard: bytes, screen: bytes, piecewise: bool) -> None:
    protocol = made()
    assert b"".join(map(protocol.receive, _pieces(heard, piecewise))) == screen


@pytest.mark.parametrize(
    "malformed",
    [
        IAC + SB + IAC + SE,
        IAC + SB + TTYPE + IAC + SE,
        IAC + SB + NAWS + b"\0" + IAC + SE,
        IAC + SB + b"\xc8what" + IAC + SE,
        IAC + SB + TTYPE + IAC + WILL + ECHO,
        IAC + WILL + TM,
        IAC + DO + b"\x12",
        IAC + SB + TTYPE + SEND * 100_000 + IAC + SE,
    ],
    ids=lambda malformed: repr(malformed[:8]),
)
def test_what_is_malformed_is_passed_over(malformed: bytes) -> None:
    protocol = made()
    protocol.receive(malformed)
    taken(protocol)
    assert protocol.receive(b"ok" + IAC + WILL + SGA) == b"ok"
    assert taken(protocol) == IAC + DO + SGA


@pytest.mark.parametrize(
    ("typed", "sent"),
    [(b"ls\n", b"ls\r\n"), (b"ls\r\n", b"ls\r\n"), (b"a\nb", b"a\r\nb"), (b"\xff", b"\xff\xff"), (b"a\rb", b"a\rb")],
)
def test_lines(typed: bytes, sent: bytes) -> None:
    protocol = made()
    protocol.send_lines(typed)
    assert taken(protocol) == sent


def test_keys() -> None:
    protocol = made()
    protocol.send_keys(b"ls\r\x03\xff")
    assert taken(protocol) == b"ls\r\0\x03\xff\xff"
    protocol.sends_crlf = True
    protocol.send_keys(b"\r")
    assert taken(protocol) == b"\r\n"


def test_eight_bits() -> None:
    protocol = made()
    protocol.ask_binary(True)
    assert taken(protocol) == IAC + DO + BINARY + IAC + WILL + BINARY
    protocol.receive(IAC + WILL + BINARY + IAC + DO + BINARY)
    assert taken(protocol) == b""
    assert protocol.sends_binary
    assert protocol.receives_binary
    protocol.send_keys(b"\r\n\xff")
    protocol.send_lines(b"\r\n")
    assert taken(protocol) == b"\r\n\xff\xff\r\n"
    protocol.ask_binary(False)
    assert taken(protocol) == IAC + DONT + BINARY + IAC + WONT + BINARY


def test_the_mode_is_asked_for() -> None:
    protocol = made()
    protocol.ask_by_character(True)
    assert taken(protocol) == IAC + DO + SGA + IAC + DO + ECHO
    protocol.receive(IAC + WILL + SGA + IAC + WILL + ECHO)
    assert taken(protocol) == b""
    protocol.ask_by_character(False)
    assert taken(protocol) == IAC + DONT + SGA + IAC + DONT + ECHO
    protocol.receive(IAC + WONT + SGA + IAC + WONT + ECHO)
    assert taken(protocol) == b""


@pytest.mark.parametrize(("name", "number"), [("ip", 244), ("brk", 243), ("ayt", 246), ("nop", 241), ("eof", 236)])
def test_commands(name: str, number: int) -> None:
    protocol = made()
    protocol.send_command(name)
    assert taken(protocol) == IAC + bytes([number])
    assert name in COMMANDS


def test_much_of_either_kind_is_quick() -> None:
    """One chunk holds a megabyte of text, or as many commands as fit into 100,000 bytes."""
    protocol = made()
    assert len(protocol.receive(b"x" * 1_000_000)) == 1_000_000
    assert protocol.receive((IAC + b"\xf1") * 50_000 + b"end") == b"end"
