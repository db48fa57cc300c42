"""A driver without sockets: it runs a conversation as the tunnel does, on byte strings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from socksify.protocol import client, server, socks4, socks5
from socksify.protocol.address import Address
from socksify.protocol.conversation import Conversation

if TYPE_CHECKING:
    from socksify.protocol.conversation import Script
    from socksify.protocol.credentials import Credentials
    from socksify.protocol.http_connect import Response

Verify = Callable[[bytes, bytes], bool]


def socks5_script(command: int, target: Address, credentials: Credentials = None) -> Script[socks5.Reply]:
    return client.negotiate(client.socks5_exchanges(command, target, credentials))


def socks4_script(command: int, target: Address, userid: bytes) -> Script[socks4.Reply]:
    return client.socks4_exchange(command, target, userid).run()


def http_script(target: Address, credentials: Credentials = None) -> Script[Response]:
    return client.http_exchange(target, credentials).run()


def message_of(exchange: client.Exchange) -> bytes:
    """Return the message of an exchange that has no hidden credentials."""
    assert isinstance(exchange.message, bytes)
    return exchange.message


class End:
    """One end of a connection: a conversation, the bytes in its kernel buffer, and the sizes of its reads."""

    def __init__(self, script: Script[Any]) -> None:
        self.conversation = Conversation(script)
        self.kernel = bytearray()
        self.reads: list[int] = []
        self.most_held = 0

    def advance(self) -> bytes:
        """Continue as far as the present bytes allow. Return the bytes written."""
        written = b""
        conversation = self.conversation
        while not conversation.over:
            if conversation.outgoing:
                written += conversation.outgoing
                conversation.sent(len(conversation.outgoing))
            elif not self.kernel:
                break
            elif conversation.peeking:
                self._take(conversation.peeked(bytes(self.kernel)))
            else:
                conversation.receive(self._take(conversation.needs))
            self.most_held = max(self.most_held, len(conversation._held))
        return written

    def hear(self, data: bytes, at_a_time: int | None = None) -> bytes:
        """Let `data` arrive, `at_a_time` bytes each time. Return the bytes written meanwhile."""
        return b"".join(self._arrive(chunk) for chunk in chunks(data, at_a_time))

    def _arrive(self, chunk: bytes) -> bytes:
        self.kernel += chunk
        return self.advance()

    def _take(self, count: int) -> bytes:
        taken = bytes(self.kernel[:count])
        del self.kernel[:count]
        self.reads.append(len(taken))
        return taken


class Host:
    """The server's end of a connection, which runs a dialogue. `rest` are the bytes for the target."""

    def __init__(self, verify: Verify | None = None, answer: Callable[[server.Request], bytes] = lambda _: b"") -> None:
        self._verify = verify
        self._answer = answer
        self.dialogue = server.Dialogue((socks5.USERNAME_PASSWORD if verify else socks5.NO_AUTHENTICATION,))
        self.result: server.Request | None = None
        self.kernel = b""
        self.most_held = 0
        self.said = b""

    def advance(self) -> bytes:
        """Return nothing, because a server does not speak first."""
        return b""

    def hear(self, data: bytes, at_a_time: int | None = None) -> bytes:
        """Do as `End.hear`. Raises the error of the dialogue. `said` are all bytes written, also with an error."""
        return b"".join(self._arrive(chunk) for chunk in chunks(data, at_a_time))

    def _arrive(self, chunk: bytes) -> bytes:
        dialogue = self.dialogue
        if dialogue.request is not None:
            self.kernel += chunk
            return b""
        said = dialogue.hear(chunk)
        if dialogue.credentials is not None and self._verify is not None:
            said += dialogue.verified(self._verify(dialogue.credentials.user, dialogue.credentials.password))
        self.most_held = max(self.most_held, len(dialogue.rest))
        if dialogue.request is not None:
            self.result, self.kernel = dialogue.request, dialogue.rest
            said += self._answer(dialogue.request)
        self.said += said
        if dialogue.failure is not None:
            raise dialogue.failure
        return said


def reading(read: Callable[[bytes], tuple[Any, int] | None]) -> Script[Any]:
    """Return a script that calls `read` with one more byte each time, and checks the end that it returns."""
    said = b""
    while (found := read(said)) is None:
        said += yield 1
    message, end = found
    assert end == len(said)
    return message


def script_of(kind: Any) -> Script[Any]:
    """Return the script that parses a message. A message of a client has no script of its own, so `read` is used."""
    if hasattr(kind, "parse"):
        return kind.parse()  # type: ignore[no-any-return]
    return reading(kind.read if kind is not Address else lambda said: Address.read(said, 0))


def chunks(data: bytes, size: int | None) -> Iterator[bytes]:
    size = size or max(1, len(data))
    return (data[at : at + size] for at in range(0, len(data), size))


def parse(script: Script[Any], data: bytes, at_a_time: int | None = None) -> Any:
    """Return the result of a script that reads exactly `data`."""
    end = End(script)
    end.advance()
    end.hear(data, at_a_time)
    assert end.conversation.over, f"still needs {end.conversation.needs}"
    assert not end.kernel, f"left {bytes(end.kernel)!r}"
    return end.conversation.result


def talk(one: End | Host, other: End | Host, at_a_time: int | None = None) -> None:
    """Let two ends talk until both are silent."""
    said = one.advance()
    other.advance()
    while said:
        said = other.hear(said, at_a_time)
        one, other = other, one
