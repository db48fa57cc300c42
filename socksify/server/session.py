"""One client, from its first byte to the end of both directions.

A session is a row of stages, each of which owns the sockets while it lasts: the conversation, the look-up, the
outgoing connection, the relay, or, when something was refused, the farewell.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from socksify import _real
from socksify.protocol import server as role
from socksify.protocol import socks5
from socksify.protocol.address import Address
from socksify.protocol.conversation import Conversation
from socksify.protocol.errnos import socks5_reply_of
from socksify.protocol.errors import ProtocolError
from socksify.server.dial import Dial
from socksify.server.loop import READABLE, WRITABLE, Loop
from socksify.server.relay import Relay
from socksify.server.resolver import Candidate, Resolver

Verify = Callable[[bytes, bytes], bool]
# A client that does not say what it wants is let go; danted's time-out.
REQUEST_SECONDS = 30.0
# RFC 1928 section 6: after a failure the server "must terminate the TCP connection shortly after ... no more than 10
# seconds". Until then what the client still sends is taken: it would turn the close into a reset that eats the reply.
FAREWELL_SECONDS = 5.0


class Session:
    """Serves `client`, a connection that was just accepted from `peer`; calls `over` with a line for the log."""

    def __init__(
        self,
        loop: Loop,
        resolver: Resolver,
        client: _real.Socket,
        peer: str,
        verify: Verify | None,
        over: Callable[[Session, str], None],
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._client = client
        self._peer = peer
        self._over = over
        self._conversation = Conversation(role.request(verify))
        self._request: role.Request | None = None
        self._stage: Dial | Relay | None = None
        self._began = time.monotonic()
        self._closed = False
        self._timer = loop.after(REQUEST_SECONDS, lambda: self._end("no request in time"))
        loop.watch(client.fileno(), READABLE, self._converse)

    def close(self) -> None:
        """Ends the session, at whatever stage it is."""
        self._end("server ended")

    def _converse(self) -> None:
        try:
            wanted = _advance(self._conversation, self._client)
        except ProtocolError as error:
            self._say_farewell(str(error))
        except OSError as error:
            self._end(os.strerror(error.errno or 0))
        else:
            self._loop.watch(self._client.fileno(), wanted, self._converse)
            if self._conversation.over:
                self._serve(self._conversation.result)

    def _serve(self, request: role.Request) -> None:
        self._request = request
        self._timer.cancel()
        if request.command == socks5.CONNECT:
            self._resolver.resolve(request.target, self._dial)
        else:
            self._refuse(socks5.COMMAND_NOT_SUPPORTED, f"command {request.command} is not supported")

    def _dial(self, candidates: list[Candidate]) -> None:
        if self._closed:
            return
        if not candidates:
            self._refuse(socks5.HOST_UNREACHABLE, "unknown host")
            return
        self._stage = dial = Dial(self._loop, candidates, self._dialled)
        dial.start()

    def _dialled(self, target: _real.Socket | None, failure: int) -> None:
        assert self._request is not None
        self._stage = None
        if target is None:
            self._refuse(socks5_reply_of(failure), os.strerror(failure))
            return
        host, port = _real.getsockname(target)[:2]
        greeting = role.reply(self._request, socks5.SUCCEEDED, Address.of(host, port))
        self._stage = relay = Relay(self._loop, self._client, target, greeting, self._relayed)
        relay.advance()

    def _relayed(self, error: OSError | None) -> None:
        self._end(os.strerror(error.errno or 0) if error else "done")

    def _refuse(self, code: int, why: str) -> None:
        assert self._request is not None
        try:
            # A reply is 22 bytes at most, and this is the first that the connection is sent since the negotiation.
            self._client.send(role.reply(self._request, code), socket.MSG_NOSIGNAL)
        except OSError as error:
            self._end(os.strerror(error.errno or 0))
        else:
            self._say_farewell(f"refused: {why}")

    def _say_farewell(self, why: str) -> None:
        """Ends the connection by FIN, and closes it when the client has done so or its time is up."""
        self._timer.cancel()
        try:
            self._client.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(why)
            return
        self._timer = self._loop.after(FAREWELL_SECONDS, lambda: self._end(why))
        self._loop.watch(self._client.fileno(), READABLE, lambda: self._drain(why))

    def _drain(self, why: str) -> None:
        try:
            gone = not self._client.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._end(why)

    def _end(self, outcome: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        carried = ""
        if isinstance(self._stage, Relay):
            carried = f", {self._stage.outward.carried} bytes out, {max(0, self._stage.back.carried)} back"
        if self._stage is not None:
            self._stage.close()
        self._loop.discard(self._client)
        seconds = time.monotonic() - self._began
        self._over(self, f"{self._peer} -> {self._target()}: {outcome}{carried}, {seconds:.3f} s")

    def _target(self) -> str:
        if self._request is None:
            return "?"
        target = self._request.target
        # A name is whatever the client sent: nothing in it may forge a line of the log or drive a terminal.
        host = ascii(target.host)[1:-1]
        return f"[{host}]:{target.port}" if ":" in host else f"{host}:{target.port}"


def _advance(conversation: Conversation, client: _real.Socket) -> int:
    """Carries the conversation on as far as the socket allows; what it waits for then, 0 when it is over."""
    try:
        while not conversation.over:
            if conversation.outgoing:
                conversation.sent(client.send(conversation.outgoing, socket.MSG_NOSIGNAL))
            elif data := client.recv(conversation.needs):
                conversation.receive(data)
            else:
                conversation.end()
    except BlockingIOError:
        return WRITABLE if conversation.outgoing else READABLE
    return 0
