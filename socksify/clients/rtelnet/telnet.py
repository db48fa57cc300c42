"""The telnet protocol without I/O.

The bytes of the server go in, the bytes for the screen come out, and `outgoing` collects the bytes to send.
telnetlib3's interpreter knows the options and their states. This module decides which options a terminal client offers
and accepts. It also acknowledges the end of an option, which RFC 854 requires and the interpreter does not do.
The client never negotiates first, because the servers of many ports (80, 25) do not speak telnet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from telnetlib3 import telopt
from telnetlib3.stream_writer import TelnetWriter

# telnetlib3's messages about a server's mistakes would appear on the user's screen.
logging.getLogger("telnetlib3").addHandler(logging.NullHandler())

_CR_LF, _CR_NUL = b"\r\n", b"\r\0"
# The options of this side: RFC 856, 858, 1073, 1091, 1079. A timing mark (RFC 860) is refused, because a refusal is a
# mark as well. BSD's telnetd takes an agreement for "kludge line mode", in which the user cannot see his own lines.
_OUR_OPTIONS = {telopt.BINARY, telopt.SGA, telopt.NAWS, telopt.TTYPE, telopt.TSPEED}
# The options of the server's side: RFC 856, 858, 857.
_THEIR_OPTIONS = {telopt.BINARY, telopt.SGA, telopt.ECHO}
_LINE_SPEED = (38400, 38400)

# The commands of RFC 854 and RFC 1184 that a user can send.
COMMANDS = {
    "abort": telopt.ABORT,
    "ao": telopt.AO,
    "ayt": telopt.AYT,
    "brk": telopt.BRK,
    "ec": telopt.EC,
    "el": telopt.EL,
    "eof": telopt.EOF,
    "ga": telopt.GA,
    "ip": telopt.IP,
    "nop": telopt.NOP,
    "susp": telopt.SUSP,
}


class Protocol:
    """The protocol state of one connection.

    `terminal_type` is a name as in TERM. `size` returns the rows and columns of the window. `user` is the name with
    which to log in, None for no name. The sender takes the bytes that it has sent out of `outgoing`. `speaks_telnet` is
    True as soon as the server has sent a telnet command. `sends_crlf` tells if the return key sends CR LF, not CR NUL.
    """

    def __init__(self, terminal_type: str, size: Callable[[], tuple[int, int]], user: str | None = None) -> None:
        self.outgoing = bytearray()
        self.speaks_telnet = False
        self.sends_crlf = False
        self._after_cr = False
        self._interpreter = _Interpreter(
            _Outgoing(self.outgoing), _OUR_OPTIONS | ({telopt.NEW_ENVIRON} if user else set())
        )
        callbacks: dict[bytes, Callable[..., object]] = {
            telopt.TTYPE: lambda: terminal_type,
            telopt.NAWS: size,
            telopt.TSPEED: lambda: _LINE_SPEED,
            telopt.NEW_ENVIRON: lambda _names: {"USER": user},
        }
        for option, callback in callbacks.items():
            self._interpreter.set_ext_send_callback(option, callback)

    @property
    def echoes(self) -> bool:
        """True if the server echoes what is typed."""
        return self._interpreter.remote_option.enabled(telopt.ECHO)

    @property
    def by_character(self) -> bool:
        """True if the server wants each character at once, and not whole lines."""
        return self._interpreter.remote_option.enabled(telopt.SGA)

    @property
    def sends_binary(self) -> bool:
        """True if this side sends eight bits."""
        return self._interpreter.outbinary

    @property
    def receives_binary(self) -> bool:
        """True if the server sends eight bits."""
        return self._interpreter.inbinary

    def receive(self, data: bytes) -> bytes:
        """Handle the commands in bytes of the server, and return the bytes for the screen."""
        screen, at = bytearray(), 0
        while at < len(data):
            if not self._interpreter.is_oob:
                command = data.find(telopt.IAC, at)
                end = len(data) if command < 0 else command
                screen += data[at:end]
                at = end
            if at < len(data):
                if self._feed(data[at : at + 1]):
                    screen += data[at : at + 1]
                at += 1
        return self._without_nul(bytes(screen))

    def _feed(self, byte: bytes) -> bool:
        self.speaks_telnet = True
        try:
            return self._interpreter.feed_byte(byte)
        except Exception:
            # The server has sent a malformed command. The interpreter has read it and can go on.
            return False

    def _without_nul(self, text: bytes) -> bytes:
        """Replace CR NUL by CR.

        RFC 854: "the sequence 'CR NUL' must be used where a carriage return alone is actually desired".
        """
        if not text or not self.speaks_telnet or self.receives_binary:
            return text
        if self._after_cr:
            text = text.removeprefix(b"\0")
        self._after_cr = text.endswith(b"\r")
        return text.replace(_CR_NUL, b"\r")

    def send_lines(self, text: bytes) -> None:
        """Send text whose lines end with LF or CR LF."""
        if not self.sends_binary:
            text = text.replace(_CR_LF, b"\n").replace(b"\n", _CR_LF)
        self._interpreter.write(text)

    def send_keys(self, keys: bytes) -> None:
        """Send keys as they were typed. The return key is CR."""
        if not self.sends_binary:
            keys = keys.replace(b"\r", _CR_LF if self.sends_crlf else _CR_NUL)
        self._interpreter.write(keys)

    def send_command(self, name: str) -> None:
        """Send one of COMMANDS, by its name."""
        self._interpreter.send_iac(telopt.IAC + COMMANDS[name])

    def resized(self) -> None:
        """Send the new size of the window, if the server has asked for the size."""
        if self._interpreter.local_option.enabled(telopt.NAWS):
            self._interpreter.handle_do(telopt.NAWS)

    def toggle_crlf(self) -> None:
        """Let the return key send CR LF instead of CR NUL, or the reverse."""
        self.sends_crlf = not self.sends_crlf

    def ask_binary(self, wanted: bool) -> None:
        """Ask for eight bits in both directions, or for their end (RFC 856)."""
        self._interpreter.iac(telopt.DO if wanted else telopt.DONT, telopt.BINARY)
        self._interpreter.iac(telopt.WILL if wanted else telopt.WONT, telopt.BINARY)

    def ask_by_character(self, wanted: bool) -> None:
        """Ask the server to take single characters and to echo them, or to leave both to us (RFC 857, RFC 858)."""
        for option in (telopt.SGA, telopt.ECHO):
            self._interpreter.iac(telopt.DO if wanted else telopt.DONT, option)


class _Outgoing:
    """The transport of the interpreter: collects what it sends."""

    def __init__(self, outgoing: bytearray) -> None:
        self._outgoing = outgoing

    def write(self, data: bytes) -> None:
        self._outgoing += data

    def is_closing(self) -> bool:
        return False


class _Interpreter(TelnetWriter):
    """telnetlib3's interpreter, with the options of a terminal and RFC 854's acknowledgements."""

    def __init__(self, transport: _Outgoing, ours: set[bytes]) -> None:
        super().__init__(transport, None, client=True)  # type: ignore[arg-type]
        self._ours = ours
        # Keys of a terminal's line discipline have no special meaning in the data of a server.
        self.slc_simulated = False

    def handle_do(self, opt: bytes) -> bool:
        if opt in self._ours:
            return super().handle_do(opt)
        self.iac(telopt.WONT, opt)
        return False

    def handle_will(self, opt: bytes) -> None:
        if opt in _THEIR_OPTIONS:
            super().handle_will(opt)
        else:
            self.send_iac(telopt.IAC + telopt.DONT + opt)

    def handle_dont(self, opt: bytes) -> None:
        if self.local_option.enabled(opt):
            self.iac(telopt.WONT, opt)

    def handle_wont(self, opt: bytes) -> None:
        if self.remote_option.enabled(opt):
            self.iac(telopt.DONT, opt)
        self.remote_option[opt] = False
