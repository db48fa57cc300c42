"""Sessions in a terminal and in pipes, with servers that send what a test wants."""

from __future__ import annotations

import shlex
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.processes import require
from tests.support.terminals import Terminal, soon, terminal
from tests.unit.clients.rtelnet.peer import Peer
from tests.unit.clients.rtelnet.runs import Rtelnet
from tests.unit.clients.rtelnet.telnet_bytes import BINARY, DO, DONT, ECHO, IAC, NAWS, SB, SE, SGA, WILL, WONT

BY_CHARACTER = IAC + WILL + ECHO + IAC + WILL + SGA
AGREED = IAC + DO + ECHO + IAC + DO + SGA
PROMPT = "rtelnet> "


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


@pytest.fixture
def screen(rtelnet: Rtelnet, peer: Peer) -> Iterator[Terminal]:
    """A session with a server that has sent nothing yet."""
    with ExitStack() as stack:
        screen = stack.enter_context(rtelnet.terminal(*peer.words))
        screen.see("Escape character is '^]'.")
        _ = peer.connection
        yield screen


def negotiate(peer: Peer) -> None:
    """Negotiate like telnetd: the server echoes, and wants each key at once."""
    peer.say(BY_CHARACTER)
    peer.hear(AGREED)


def prompt(screen: Terminal, line: str) -> None:
    """Type a line at the prompt, and return to the session."""
    screen.type("\x1d")
    screen.see(PROMPT)
    screen.type(f"{line}\r")
    screen.see("\n")


def test_line_by_line(screen: Terminal, peer: Peer) -> None:
    """Nothing is negotiated with a server that does not speak telnet, such as those of ports 25 and 80."""
    peer.say(b"220 ready\r\n")
    screen.see("220 ready")
    screen.type("HELX\x7fO me\r")
    # The terminal shows it.
    screen.see("HELX")
    peer.hear(b"HELO me\r\n")
    peer.close()
    screen.see("Connection closed by foreign host.")
    assert screen.end() == 0


def test_key_by_key(screen: Terminal, peer: Peer) -> None:
    negotiate(peer)
    soon(lambda: not screen.echoes, "the terminal still echoes")
    screen.type("a")
    peer.hear(b"a")
    screen.type("\x03\x1a\x04\x11\x13\x7f\xe9\r\n")
    peer.hear(b"\x03\x1a\x04\x11\x13\x7f\xc3\xa9\r\0\n")
    assert "a" not in screen.text.partition("'^]'.")[2]


def test_a_password_is_not_shown(screen: Terminal, peer: Peer) -> None:
    """With ECHO alone, input is sent in lines, but the terminal does not show it."""
    peer.say(b"password: " + IAC + WILL + ECHO)
    screen.see("password: ")
    peer.hear(IAC + DO + ECHO)
    soon(lambda: not screen.echoes, "the terminal still echoes")
    screen.type("secret\r")
    peer.hear(b"secret\r\n")
    peer.say(b"\r\n" + IAC + WONT + ECHO)
    peer.hear(IAC + DONT + ECHO)
    soon(lambda: screen.echoes, "the terminal does not echo")
    assert "secret" not in screen.text


def test_keys_that_the_server_does_not_show(screen: Terminal, peer: Peer) -> None:
    peer.say(b"> " + IAC + WILL + SGA)
    screen.see("> ")
    peer.hear(IAC + DO + SGA)
    prompt(screen, "")
    screen.type("x")
    peer.hear(b"x")
    screen.see("x")
    screen.type("\r")
    peer.hear(b"\r\n")


def test_the_window_s_size_is_told_when_it_changes(screen: Terminal, peer: Peer) -> None:
    peer.say(IAC + DO + NAWS)
    peer.hear(IAC + WILL + NAWS + IAC + SB + NAWS + b"\0\x50\0\x18" + IAC + SE)
    screen.resize(50, 255)
    # 255 is IAC, and doubled.
    peer.hear(IAC + SB + NAWS + b"\0\xff\xff\0\x32" + IAC + SE)


def test_the_terminal_is_left_as_it_was_found(rtelnet: Rtelnet, peer: Peer) -> None:
    with rtelnet.terminal(*peer.words) as screen:
        before = screen.modes
        screen.see("Escape")
        negotiate(peer)
        soon(lambda: not screen.echoes, "the terminal still echoes")
        assert screen.modes != before
        peer.close()
        screen.see("closed by foreign host")
        soon(lambda: screen.modes == before, "the terminal is not as it was")
        assert screen.end() == 0


@pytest.mark.parametrize("by_character", [False, True], ids=["lines", "keys"])
def test_the_escape_character(screen: Terminal, peer: Peer, by_character: bool) -> None:
    if by_character:
        negotiate(peer)
        soon(lambda: not screen.echoes, "the terminal still echoes")
    screen.type("\x1d")
    screen.see(PROMPT)
    # At the prompt the terminal always echoes.
    assert screen.echoes
    screen.type("status\r")
    screen.see("keys go one by one" if by_character else "keys go in lines")
    screen.type("\x1dclose\r")
    screen.see("Connection closed.")
    assert screen.end() == 0
    assert "rtelnet>" not in peer.heard.decode()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("help", "close the connection, and leave"),
        ("?", "close the connection, and leave"),
        ("nonsense", "nonsense: no such command; see help"),
        ("s", "which of send, status?"),
        ("mode", "usage: mode character|raw|line"),
        ("mode sideways", "mode: one of character, raw, line"),
        ("send", "usage: send WORD..."),
        ("send nonsense", "send: one of escape, abort"),
        ("toggle nonsense", "toggle: crlf or binary"),
        ("status", "no telnet so far, escape character ^]"),
        ("!echo a$((1+1))b", "a2b"),
    ],
)
def test_what_the_prompt_answers(screen: Terminal, peer: Peer, line: str, told: str) -> None:
    screen.type("\x1d")
    screen.see(PROMPT)
    screen.type(f"{line}\r")
    screen.see(told)
    # The session goes on.
    screen.type("on\r")
    peer.hear(b"on\r\n")


def test_commands_that_are_sent(screen: Terminal, peer: Peer) -> None:
    negotiate(peer)
    prompt(screen, "send ayt brk ip escape nop")
    peer.hear(IAC + b"\xf6" + IAC + b"\xf3" + IAC + b"\xf4" + b"\x1d" + IAC + b"\xf1")


def test_the_user_s_mode_wins(screen: Terminal, peer: Peer) -> None:
    prompt(screen, "mode raw")
    screen.type("x")
    peer.hear(b"x")
    prompt(screen, "mode line")
    screen.type("ab\x7fc\r")
    peer.hear(b"ac\r\n")


def test_with_telnet_the_mode_is_negotiated(screen: Terminal, peer: Peer) -> None:
    negotiate(peer)
    prompt(screen, "mode line")
    peer.hear(IAC + DONT + SGA + IAC + DONT + ECHO)
    prompt(screen, "mode character")
    peer.hear(IAC + DO + SGA + IAC + DO + ECHO)


def test_what_the_return_key_sends(screen: Terminal, peer: Peer) -> None:
    negotiate(peer)
    soon(lambda: not screen.echoes, "the terminal still echoes")
    screen.type("\r")
    peer.hear(b"\r\0")
    prompt(screen, "toggle crlf")
    soon(lambda: not screen.echoes, "the terminal still echoes")
    screen.type("\r")
    peer.hear(b"\r\n")


def test_ctrl_c_in_lines(screen: Terminal, peer: Peer) -> None:
    """A server that speaks telnet gets an IP. With other servers, the prompt appears."""
    screen.type("\x03")
    screen.see(PROMPT)
    screen.type("\r")
    peer.say(IAC + DO + NAWS)
    peer.hear(IAC + WILL + NAWS + IAC + SB + NAWS + b"\0\x50\0\x18" + IAC + SE)
    screen.type("\x03")
    peer.hear(IAC + b"\xf4")


def test_ctrl_d_in_lines_ends_what_is_sent(screen: Terminal, peer: Peer) -> None:
    screen.type("last\r\x04")
    peer.hear(b"last\r\n")
    peer.hear_end()
    peer.say(b"bye\r\n")
    peer.close()
    screen.see("bye")
    assert screen.end() == 0


def test_suspended_and_brought_back(rtelnet: Rtelnet, peer: Peer) -> None:
    """A shell with job control gives the terminal to the program that it continues."""
    shell = [require("bash"), "--norc", "--noprofile", "-i"]
    with terminal(shell, {**rtelnet.environment, "PS1": "shell> "}, rtelnet.directory) as screen:
        screen.see("shell> ")
        screen.type(f"{shlex.join(rtelnet.argv(*peer.words))}\r")
        screen.see("Escape character is '^]'.")
        negotiate(peer)
        soon(lambda: not screen.echoes, "the terminal still echoes")
        screen.type("\x1dz\r")
        screen.see("shell> ")
        screen.type("echo a$((1+1))b\r")
        screen.see("a2b")
        screen.see("shell> ")
        screen.type("fg\r")
        screen.see("rtelnet")
        soon(lambda: not screen.echoes, "the terminal still echoes")
        screen.type("on\r")
        peer.hear(b"on\r\0")
        peer.close()
        screen.see("closed by foreign host")
        screen.see("shell> ")
        screen.type("exit\r")
        assert screen.end() == 0


def test_with_its_output_in_a_pipe_the_terminal_is_one_all_the_same(rtelnet: Rtelnet, peer: Peer) -> None:
    """Otherwise a password would be shown."""
    words = ["/bin/sh", "-c", f"{shlex.join(rtelnet.argv(*peer.words))} | cat"]
    with terminal(words, rtelnet.environment, rtelnet.directory) as screen:
        screen.see("Escape character is '^]'.")
        peer.say(b"password: " + IAC + WILL + ECHO)
        screen.see("password: ")
        peer.hear(IAC + DO + ECHO)
        soon(lambda: not screen.echoes, "the terminal still echoes")
        screen.type("secret\r")
        peer.hear(b"secret\r\n")
        peer.close()
        assert screen.end() == 0
        assert "secret" not in screen.text


@pytest.mark.parametrize("options", [["-e", "^A"], ["-e", "\x01"], ["-e", "q"]], ids=repr)
def test_another_escape_character(rtelnet: Rtelnet, peer: Peer, options: list[str]) -> None:
    key = "\x01" if options[1] != "q" else "q"
    with rtelnet.terminal(*options, *peer.words) as screen:
        screen.see("Escape character is '^A'." if key == "\x01" else "Escape character is 'q'.")
        negotiate(peer)
        soon(lambda: not screen.echoes, "the terminal still echoes")
        screen.type(f"\x1d{key}")
        screen.see(PROMPT)
        peer.hear(b"\x1d")


def test_no_escape_character(rtelnet: Rtelnet, peer: Peer) -> None:
    with rtelnet.terminal("-E", *peer.words) as screen:
        screen.see("Escape character is 'off'.")
        negotiate(peer)
        soon(lambda: not screen.echoes, "the terminal still echoes")
        screen.type("\x1d")
        peer.hear(b"\x1d")


def test_eight_bits_from_the_start(rtelnet: Rtelnet, peer: Peer) -> None:
    with rtelnet.terminal("-8", *peer.words):
        peer.hear(IAC + DO + BINARY + IAC + WILL + BINARY)


def test_a_server_that_takes_nothing_stops_nobody_from_leaving(screen: Terminal, peer: Peer) -> None:
    negotiate(peer)
    soon(lambda: not screen.echoes, "the terminal still echoes")
    screen.type("x" * 1000)
    prompt(screen, "close")
    assert screen.end() == 0


def test_a_connection_that_breaks(rtelnet: Rtelnet) -> None:
    """The proxy passes on the server's reset as a reset or as an end. rtelnet hangs in neither case."""
    with Peer() as peer, rtelnet.terminal(*peer.words) as screen:
        screen.see("Escape")
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert screen.end() in (0, 1)
        assert "Traceback" not in screen.text


def test_a_script_on_stdin(rtelnet: Rtelnet) -> None:
    """The lines are sent, only the answer is printed, and rtelnet ends with the server's connection."""
    with Peer() as peer:

        def serve() -> None:
            peer.hear(b"GET / HTTP/1.0\r\n\r\n")
            peer.say(b"HTTP/1.0 200 OK\r\n\r\nthe page")
            peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        done = rtelnet.piped(b"GET / HTTP/1.0\n\n", *peer.words)
        thread.join(20)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"HTTP/1.0 200 OK\r\n\r\nthe page", b"")


def test_a_server_that_waits_for_the_end_hears_it(rtelnet: Rtelnet) -> None:
    with Peer() as peer:

        def serve() -> None:
            peer.hear(b"all\r\n")
            began = time.monotonic()
            peer.hear_end()
            # The server must have had time to start telnet.
            assert time.monotonic() - began > 1
            peer.say(b"thanks\r\n")
            peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        done = rtelnet.piped(b"all\n", *peer.words)
        thread.join(20)
    assert (done.returncode, done.stdout) == (0, b"thanks\r\n")


def test_a_lot_in_both_directions(rtelnet: Rtelnet) -> None:
    text = b"0123456789abcde\n" * 100_000
    with Peer() as peer:

        def serve() -> None:
            while len(peer.heard) < len(text) * 17 // 16:
                piece = peer.connection.recv(1 << 20)
                peer.heard += piece
                peer.say(piece)
            peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        done = rtelnet.piped(text, *peer.words)
        thread.join(20)
    assert done.stdout == text.replace(b"\n", b"\r\n")
