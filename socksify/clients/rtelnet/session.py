"""A session: keys to the server, its answers to the screen, until one of them has enough."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from socksify.clients.rtelnet.telnet import Protocol
from socksify.clients.rtelnet.terminal import Terminal, visible

_CHUNK = 1 << 16
_STDIN = 0
# What a terminal's line discipline takes for the end of the input.
_END_OF_INPUT = b"\x04"
# How long a server may be silent, in seconds, after the end of a piped input. Then a telnet server's shell is ended as
# its user would end it; not at once, because telnetd throws away what a shell wrote just before it ended.
_QUIET = 1.0
# Then the server is told that no more comes, for which telnetd ends everything that still runs.
_PATIENCE = 3.0
_PATIENCE_WITH_TELNET = 60.0
_SIGNALS = (signal.SIGWINCH, signal.SIGINT, signal.SIGCONT)


class Session:
    """One connection between a terminal, or a pipe, and a server. `escape` is the key that leads to the prompt."""

    def __init__(self, sock: socket.socket, protocol: Protocol, terminal: Terminal, escape: bytes | None) -> None:
        self.protocol, self.terminal, self.escape = protocol, terminal, escape
        # The user's will, against what the server has negotiated.
        self.forced: bool | None = None
        self.is_over = False
        self._sock = sock
        self._input_is_open = True
        self._end_is_typed = False
        self._half_closed = False
        self._last_heard = time.monotonic()

    @property
    def by_character(self) -> bool:
        return self.protocol.by_character if self.forced is None else self.forced

    def run(self) -> None:
        """Returns when the server has closed the connection or the user has left. Raises OSError when it breaks."""
        self._sock.setblocking(False)
        with self._signals() as signals:
            try:
                self._set_terminal()
                self.terminal.tell(f"Escape character is '{visible(self.escape)}'.")
                while not self.is_over:
                    self._step(signals)
                    self._set_terminal()
            finally:
                self.terminal.restore()

    def _set_terminal(self) -> None:
        self.terminal.set(self.by_character, self.protocol.echoes, self.escape)

    def _step(self, signals: int) -> None:
        """Waits until something can go on, and lets it."""
        wanted: list[socket.socket | int] = [self._sock, signals]
        # A server that does not take what was typed stops the typing.
        if self._input_is_open and len(self.protocol.outgoing) < _CHUNK:
            wanted.append(_STDIN)
        sending = [self._sock] if self.protocol.outgoing else []
        readable, writable, _ = select.select(wanted, sending, [], self._patience())
        if signals in readable:
            self._handle(os.read(signals, _CHUNK))
        if self._sock in readable:
            self._receive()
        if writable and not self.is_over:
            self._send()
        if _STDIN in readable and not self.is_over:
            self._type(self.terminal.read())
        if self._patience() == 0.0:
            self._insist()

    def _patience(self) -> float | None:
        """Seconds until the server hears that no more comes; None while more may come, or when it knows."""
        if self._input_is_open or self._half_closed or self.protocol.outgoing:
            return None
        if not self.protocol.speaks_telnet:
            patience = _PATIENCE
        else:
            patience = _PATIENCE_WITH_TELNET if self._end_is_typed else _QUIET
        return max(0.0, self._last_heard + patience - time.monotonic())

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        self._last_heard = time.monotonic()
        self.terminal.show(self.protocol.receive(data))
        if not data:
            self.terminal.restore()
            self.terminal.tell("Connection closed by foreign host.")
            self.is_over = True

    def _send(self) -> None:
        outgoing = self.protocol.outgoing
        try:
            del outgoing[: self._sock.send(outgoing)]
        except BlockingIOError:
            pass

    def _type(self, typed: bytes) -> None:
        if not typed:
            self._end_input()
        elif self.terminal.is_there and self.escape is not None and self.escape in typed:
            before, _, behind = typed.partition(self.escape)
            self._send_typed(before)
            self.prompt(behind)
        else:
            self._send_typed(typed)

    def _send_typed(self, typed: bytes) -> None:
        if self._half_closed:
            return
        if self.by_character and self.protocol.echoes and self.terminal.is_there:
            self.protocol.send_keys(typed)
        else:
            self.protocol.send_lines(typed)

    def _end_input(self) -> None:
        """The end of a pipe, or a line of the terminal that has nothing but ^D in it."""
        self._last_heard = time.monotonic()
        if not self.terminal.is_there:
            self._input_is_open = False
        elif self.protocol.speaks_telnet:
            self.protocol.send_keys(_END_OF_INPUT)
        else:
            self._half_close()

    def _insist(self) -> None:
        """The input is at its end, and the server has nothing to say to that."""
        if self.protocol.speaks_telnet and not self._end_is_typed:
            self._end_is_typed = True
            self._last_heard = time.monotonic()
            self.protocol.send_keys(_END_OF_INPUT)
        else:
            self._half_close()

    def _half_close(self) -> None:
        if not self._half_closed:
            self._sock.shutdown(socket.SHUT_WR)
            self._half_closed = True

    def prompt(self, typed: bytes = b"") -> None:
        """Asks the user for one command, and obeys it."""
        from socksify.clients.rtelnet.escape_commands import obey

        # What was typed before does not wait for it.
        self._send()
        interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            line, behind = self.terminal.ask("\nrtelnet> ", typed)
            obey(self, line)
        except KeyboardInterrupt:
            self.terminal.show(b"\n")
            behind = b""
        finally:
            signal.signal(signal.SIGINT, interrupted)
        if behind and not self.is_over:
            self._type(behind)

    def _handle(self, numbers: bytes) -> None:
        if signal.SIGWINCH in numbers or signal.SIGCONT in numbers:
            self.protocol.resized()
        if signal.SIGINT in numbers:
            # RFC 854: IP is what interrupts the process at the other end; who does not speak telnet has none.
            if self.protocol.speaks_telnet:
                self.protocol.send_command("ip")
            else:
                self.prompt()

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """A descriptor that has the numbers of the signals that came; without a terminal they are nobody's concern."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.getsignal(number) for number in _SIGNALS if self.terminal.is_there}
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in before:
            signal.signal(number, _seen)
        try:
            yield reading
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            os.close(reading)
            os.close(writing)


def _seen(*_: object) -> None:
    """The wake-up descriptor has the number."""
