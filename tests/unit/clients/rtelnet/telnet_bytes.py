"""The commands and options of telnet, as the bytes that stand for them (RFC 854 and the options' own RFCs)."""

from __future__ import annotations

IAC, DONT, DO, WONT, WILL, SB, SE = (bytes([number]) for number in (255, 254, 253, 252, 251, 250, 240))
BINARY, ECHO, SGA, STATUS, TM, TTYPE, NAWS, TSPEED, LINEMODE, ENVIRON = (
    bytes([number]) for number in (0, 1, 3, 5, 6, 24, 31, 32, 34, 39)
)
IS, SEND = b"\0", b"\1"
