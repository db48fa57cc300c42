"""A session: sends the user's keys to the server and shows the answers, until the server or the user ends it."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from socksify.clients.rtelnet.telnet import Protocol
from socksify.clients.rtelnet.terminal import Terminal, visible

_CHUNK = 1 << 16
_STDIN = 0
# The key that a terminal's line discipline takes for the end of the input.
_END_OF_INPUT = b"\x04"
# After the end of a piped input, a telnet server must have been silent for this many seconds. Then the end-of-input key
# is sent, which ends the shell of the server. The key is not sent at once, because telnetd discards the last output of
# a shell that ends.
_QUIET_SECONDS = 1.0
# After this silence the connection is half closed. telnetd then ends everything that still runs, so it gets more time.
_PATIENCE_SECONDS = 3.0
_TELNET_PATIENCE_SECONDS = 60.0
_SIGNALS = (signal.SIGWINCH, signal.SIGINT, signal.SIGCONT)


class Session:
    """A connection between a terminal, or a pipe, and a server.

    `escape` is the key that leads to the prompt, None if there is no such key. `run_command` runs a line that was typed
    at the prompt.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol: Protocol,
        terminal: Terminal,
        escape: bytes | None,
        run_command: Callable[[Session, str], None],
    ) -> None:
        self.protocol, self.terminal, self.escape = protocol, terminal, escape
        self._run_command = run_command
        # The mode that the user has chosen; it outranks the mode that was negotiated.
        self._chosen_by_character: bool | None = None
        self._is_over = False
        self._sock = sock
        self._input_is_open = True
        self._end_key_is_sent = False
        self._half_closed = False
        self._last_receive = time.monotonic()

    @property
    def by_character(self) -> bool:
        """True if keys are sent one by one, False if they are sent in lines."""
        return self.protocol.by_character if self._chosen_by_character is None else self._chosen_by_character

    def set_mode(self, by_character: bool) -> None:
        """Send keys one by one or in lines from now on. Negotiations with the server do not change this."""
        self._chosen_by_character = by_character

    def end(self) -> None:
        """Let run() return."""
        self._is_over = True

    def run(self) -> None:
        """Return when the server has closed the connection or the user has left. Raises OSError if it breaks."""
        self._sock.setblocking(False)
        with self._signals() as signals:
            try:
                self._set_terminal()
                self.terminal.tell(f"Escape character is '{visible(self.escape)}'.")
                while not self._is_over:
                    self._step(signals)
                    self._set_terminal()
            finally:
                self.terminal.restore()

    def _set_terminal(self) -> None:
        self.terminal.set(self.by_character, self.protocol.echoes, self.escape)

    def _step(self, signals: int) -> None:
        """Wait for the server, the user or a signal, and handle what has come."""
        wanted: list[socket.socket | int] = [self._sock, signals]
        # If the server does not read what was typed, no more is read from the user.
        if self._input_is_open and len(self.protocol.outgoing) < _CHUNK:
            wanted.append(_STDIN)
        sending = [self._sock] if self.protocol.outgoing else []
        readable, writable, _ = select.select(wanted, sending, [], self._seconds_left())
        if signals in readable:
            self._handle_signals(os.read(signals, _CHUNK))
        if self._sock in readable:
            self._receive()
        if writable and not self._is_over:
            self._send()
        if _STDIN in readable and not self._is_over:
            self._handle_typed(self.terminal.read())
        if self._seconds_left() == 0.0:
            self._announce_end()

    def _seconds_left(self) -> float | None:
        """Seconds until the server is told that the input has ended; None if it has not ended, or the server knows."""
        if self._input_is_open or self._half_closed or self.protocol.outgoing:
            return None
        if not self.protocol.speaks_telnet:
            patience = _PATIENCE_SECONDS
        else:
            patience = _TELNET_PATIENCE_SECONDS if self._end_key_is_sent else _QUIET_SECONDS
        return max(0.0, self._last_receive + patience - time.monotonic())

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        self._last_receive = time.monotonic()
        self.terminal.show(self.protocol.receive(data))
        if not data:
            self.terminal.restore()
            self.terminal.tell("Connection closed by foreign host.")
            self.end()

    def _send(self) -> None:
        outgoing = self.protocol.outgoing
        try:
            del outgoing[: self._sock.send(outgoing)]
        except BlockingIOError:
            pass

    def _handle_typed(self, typed: bytes) -> None:
        if not typed:
            self._end_input()
        elif self.terminal.is_tty and self.escape is not None and self.escape in typed:
            before, _, after = typed.partition(self.escape)
            self._send_typed(before)
            self.prompt(after)
        else:
            self._send_typed(typed)

    def _send_typed(self, typed: bytes) -> None:
        if self._half_closed:
            return
        if self.by_character and self.protocol.echoes and self.terminal.is_tty:
            self.protocol.send_keys(typed)
        else:
            self.protocol.send_lines(typed)

    def _end_input(self) -> None:
        """Handle the end of a pipe, or a ^D at the beginning of a terminal's line."""
        self._last_receive = time.monotonic()
        if not self.terminal.is_tty:
            self._input_is_open = False
        elif self.protocol.speaks_telnet:
            self.protocol.send_keys(_END_OF_INPUT)
        else:
            self._half_close()

    def _announce_end(self) -> None:
        """Tell a silent server that the input has ended: first by a key, if it speaks telnet, then by a half close."""
        if self.protocol.speaks_telnet and not self._end_key_is_sent:
            self._end_key_is_sent = True
            self._last_receive = time.monotonic()
            self.protocol.send_keys(_END_OF_INPUT)
        else:
            self._half_close()

    def _half_close(self) -> None:
        if not self._half_closed:
            self._sock.shutdown(socket.SHUT_WR)
            self._half_closed = True

    def prompt(self, typed: bytes = b"") -> None:
        """Ask the user for one command and run it. `typed` is what was typed after the escape character already."""
        # Earlier keys must not wait for the command.
        self._send()
        previous_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            line, after = self.terminal.ask("\nrtelnet> ", typed)
            self._run_command(self, line)
        except KeyboardInterrupt:
            self.terminal.show(b"\n")
            after = b""
        finally:
            signal.signal(signal.SIGINT, previous_handler)
        if after and not self._is_over:
            self._handle_typed(after)

    def _handle_signals(self, numbers: bytes) -> None:
        if signal.SIGWINCH in numbers or signal.SIGCONT in numbers:
            self.protocol.resized()
        if signal.SIGINT in numbers:
            # RFC 854: IP interrupts the process at the other end. Other protocols have no such command.
            if self.protocol.speaks_telnet:
                self.protocol.send_command("ip")
            else:
                self.prompt()

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Yield a descriptor from which the numbers of signals are read. Without a terminal no signal is handled."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.getsignal(number) for number in _SIGNALS if self.terminal.is_tty}
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in before:
            signal.signal(number, _do_nothing)
        try:
            yield reading
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            os.close(reading)
            os.close(writing)


def _do_nothing(*_: object) -> None:
    """Handle a signal: Python has written its number to the wake-up descriptor."""
