"""Telnet without I/O: bytes of the server in, bytes for the screen out, and what is to be sent in `outgoing`.

telnetlib3's interpreter knows the options and their state; here is which of them a terminal client offers and wants,
and what its interpreter leaves out: that the end of an option is acknowledged, as RFC 854 asks.
Nothing is negotiated before the server does, because many a port (80, 25) does not speak telnet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from telnetlib3 import telopt
from telnetlib3.stream_writer import TelnetWriter

# What it has to say of a server's mistakes would land on the user's screen.
logging.getLogger("telnetlib3").addHandler(logging.NullHandler())

_CR_LF, _CR_NUL = b"\r\n", b"\r\0"
# What we do when the server asks: RFC 856, 858, 1073, 1091, 1079. A timing mark (RFC 860) is as good a mark when it is
# refused; BSD's telnetd takes an agreement for "kludge line mode", and has the user type unseen lines.
_OURS = {telopt.BINARY, telopt.SGA, telopt.NAWS, telopt.TTYPE, telopt.TSPEED}
# What the server may do: RFC 856, 858, 857.
_THEIRS = {telopt.BINARY, telopt.SGA, telopt.ECHO}
_LINE_SPEED = (38400, 38400)

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
    """One connection. `outgoing` is what is to be sent; whoever sends takes it out."""

    def __init__(self, terminal_type: str, size: Callable[[], tuple[int, int]], user: str | None = None) -> None:
        """`size` tells the window's rows and columns whenever they are asked for; `user` is whom to log in as."""
        self.outgoing = bytearray()
        self.speaks_telnet = False
        self.sends_crlf = False
        self._after_cr = False
        self._interpreter = _Interpreter(_Outgoing(self.outgoing), _OURS | ({telopt.NEW_ENVIRON} if user else set()))
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
        """Whether the server shows what is typed."""
        return self._interpreter.remote_option.enabled(telopt.ECHO)

    @property
    def by_character(self) -> bool:
        """Whether the server wants each character as it is typed, and not lines."""
        return self._interpreter.remote_option.enabled(telopt.SGA)

    @property
    def sends_binary(self) -> bool:
        return self._interpreter.outbinary

    @property
    def receives_binary(self) -> bool:
        return self._interpreter.inbinary

    def receive(self, data: bytes) -> bytes:
        """Obeys the commands in what the server sent; what is for the screen."""
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
            # Malformed by the server, in whatever way; the interpreter is behind it and goes on.
            return False

    def _without_nul(self, text: bytes) -> bytes:
        """RFC 854: "the sequence 'CR NUL' must be used where a carriage return alone is actually desired"."""
        if not text or not self.speaks_telnet or self.receives_binary:
            return text
        if self._after_cr:
            text = text.removeprefix(b"\0")
        self._after_cr = text.endswith(b"\r")
        return text.replace(_CR_NUL, b"\r")

    def send_lines(self, text: bytes) -> None:
        """Sends text whose lines end with LF or CR LF."""
        if not self.sends_binary:
            text = text.replace(_CR_LF, b"\n").replace(b"\n", _CR_LF)
        self._interpreter.write(text)

    def send_keys(self, keys: bytes) -> None:
        """Sends what was typed, as it was typed; the return key is CR."""
        if not self.sends_binary:
            keys = keys.replace(b"\r", _CR_LF if self.sends_crlf else _CR_NUL)
        self._interpreter.write(keys)

    def send_command(self, name: str) -> None:
        """Sends one of COMMANDS."""
        self._interpreter.send_iac(telopt.IAC + COMMANDS[name])

    def resized(self) -> None:
        """Tells the window's size again, if the server has asked for it."""
        if self._interpreter.local_option.enabled(telopt.NAWS):
            self._interpreter.handle_do(telopt.NAWS)

    def ask_binary(self, wanted: bool) -> None:
        """Asks for, or ends, eight bits both ways (RFC 856)."""
        self._interpreter.iac(telopt.DO if wanted else telopt.DONT, telopt.BINARY)
        self._interpreter.iac(telopt.WILL if wanted else telopt.WONT, telopt.BINARY)

    def ask_by_character(self, wanted: bool) -> None:
        """Asks the server to take characters and to echo them, or to leave both to us (RFC 857, RFC 858)."""
        for option in (telopt.SGA, telopt.ECHO):
            self._interpreter.iac(telopt.DO if wanted else telopt.DONT, option)


class _Outgoing:
    """What the interpreter takes for its transport."""

    def __init__(self, outgoing: bytearray) -> None:
        self._outgoing = outgoing

    def write(self, data: bytes) -> None:
        self._outgoing += data

    def is_closing(self) -> bool:
        return False


class _Interpreter(TelnetWriter):
    """telnetlib3's, with the options of a terminal and RFC 854's acknowledgements."""

    def __init__(self, transport: _Outgoing, ours: set[bytes]) -> None:
        super().__init__(transport, None, client=True)  # type: ignore[arg-type]
        self._ours = ours
        # The keys of a terminal's line discipline are no news in what a server sends.
        self.slc_simulated = False

    def handle_do(self, opt: bytes) -> bool:
        if opt in self._ours:
            return super().handle_do(opt)
        self.iac(telopt.WONT, opt)
        return False

    def handle_will(self, opt: bytes) -> None:
        if opt in _THEIRS:
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
