"""Line ends are translated correctly wherever a stream is cut into pieces."""

from __future__ import annotations

import pytest

from socksify.clients.rftp.transfer_commands import from_network, to_network


def pieces(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("network", "here"),
    [
        (b"", b""),
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"a\rb\nc", b"a\rb\nc"),
        (b"\r\r\n\r", b"\r\n\r"),
        (b"\r\n\r\n", b"\n\n"),
    ],
)
def test_from_the_network(network: bytes, here: bytes, size: int) -> None:
    got: list[bytes] = []
    write = from_network(got.append)
    for piece in pieces(network, size):
        write(piece)
    write(b"")
    assert b"".join(got) == here


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("here", "network"),
    [
        (b"", b""),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb", b"a\r\nb"),
        (b"a\rb", b"a\rb"),
        (b"\r\r\n\n\r", b"\r\r\n\r\n\r"),
    ],
)
def test_to_the_network(here: bytes, network: bytes, size: int) -> None:
    translate = to_network()
    assert b"".join(translate(piece) for piece in pieces(here, size)) == network
