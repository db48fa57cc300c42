"""Line ends of RFC 959's ASCII type, in a stream that comes in pieces: CR LF on the network, LF here."""

from __future__ import annotations

from collections.abc import Callable


def from_network(write: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """A write() for what the network brings; an empty piece is the end."""
    held = b""

    def translate(piece: bytes) -> None:
        nonlocal held
        text = held + piece
        # Whether the last CR is half a line's end, the next piece tells.
        held = b"\r" if piece and text.endswith(b"\r") else b""
        write(text.removesuffix(held).replace(b"\r\n", b"\n") if held else text.replace(b"\r\n", b"\n"))

    return translate


def to_network() -> Callable[[bytes], bytes]:
    """A translation for what goes to the network; lines that have CR LF already keep it."""
    previous = b""

    def translate(piece: bytes) -> bytes:
        nonlocal previous
        text = previous + piece
        # A CR that went already is not sent again.
        translated = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")[len(previous) :]
        previous = b"\r" if piece.endswith(b"\r") else b""
        return translated

    return translate
