"""Every message as a value and as bytes, written by hand from the RFCs. One table tests encoders and parsers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from socksify.protocol import http_connect, socks4, socks5
from socksify.protocol.address import IPV4, IPV6, NAME, Address
from tests.unit.protocol.wire import script_of

if TYPE_CHECKING:
    from socksify.protocol.conversation import Script


class Message(NamedTuple):
    name: str
    value: Any
    wire: bytes

    def parse(self) -> Script[Any]:
        return script_of(type(self.value))


V4 = Address(IPV4, "192.0.2.1", 80)
V6 = Address(IPV6, "2001:db8::1", 443)
MAPPED = Address(IPV6, "::ffff:192.0.2.1", 80)
HOST = Address(NAME, "example.com", 8080)
LONG = Address(NAME, "a" * 255, 65535)
RAW = Address(NAME, "caf\udce9", 1)

V4_WIRE = b"\x01\xc0\x00\x02\x01\x00\x50"
V6_WIRE = b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbb"
MAPPED_WIRE = b"\x04" + bytes(10) + b"\xff\xff\xc0\x00\x02\x01\x00\x50"
HOST_WIRE = b"\x03\x0bexample.com\x1f\x90"
LONG_WIRE = b"\x03\xff" + b"a" * 255 + b"\xff\xff"
RAW_WIRE = b"\x03\x04caf\xe9\x00\x01"

ADDRESSES = [
    Message("an IPv4 address", V4, V4_WIRE),
    Message("an IPv6 address", V6, V6_WIRE),
    Message("a mapped address", MAPPED, MAPPED_WIRE),
    Message("a name", HOST, HOST_WIRE),
    Message("a name of 255 bytes", LONG, LONG_WIRE),
    Message("a name that is not ASCII", RAW, RAW_WIRE),
]

SOCKS5 = [
    Message("a greeting", socks5.Greeting(b"\x00"), b"\x05\x01\x00"),
    Message("a greeting with two methods", socks5.Greeting(b"\x00\x02"), b"\x05\x02\x00\x02"),
    Message("a greeting without methods", socks5.Greeting(b""), b"\x05\x00"),
    Message("a greeting with all methods", socks5.Greeting(bytes(range(255))), b"\x05\xff" + bytes(range(255))),
    Message("a method", socks5.MethodChoice(2), b"\x05\x02"),
    Message("no method", socks5.MethodChoice(255), b"\x05\xff"),
    Message("credentials", socks5.Credentials(b"me", b"open"), b"\x01\x02me\x04open"),
    Message("long ones", socks5.Credentials(b"u" * 255, b"p" * 255), b"\x01\xff" + b"u" * 255 + b"\xff" + b"p" * 255),
    Message("accepted", socks5.CredentialsStatus(0), b"\x01\x00"),
    Message("not accepted", socks5.CredentialsStatus(7), b"\x01\x07"),
    *(
        Message(f"CONNECT to {name}", socks5.Request(1, value), b"\x05\x01\x00" + wire)
        for name, value, wire in ADDRESSES
    ),
    Message("BIND", socks5.Request(2, V4), b"\x05\x02\x00" + V4_WIRE),
    Message("UDP ASSOCIATE", socks5.Request(3, V6), b"\x05\x03\x00" + V6_WIRE),
    Message("an unknown command", socks5.Request(0xF0, HOST), b"\x05\xf0\x00" + HOST_WIRE),
    *(Message(f"success at {name}", socks5.Reply(0, value), b"\x05\x00\x00" + wire) for name, value, wire in ADDRESSES),
    *(Message(f"reply {code}", socks5.Reply(code, V4), b"\x05%c\x00" % code + V4_WIRE) for code in (1, 8, 9, 255)),
]

SOCKS4 = [
    Message("CONNECT", socks4.Request(1, V4, b"me"), b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00"),
    Message("BIND without userid", socks4.Request(2, V4, b""), b"\x04\x02\x00\x50\xc0\x00\x02\x01\x00"),
    Message("0.0.0.0", socks4.Request(2, Address(IPV4, "0.0.0.0", 9), b""), b"\x04\x02\x00\x09\x00\x00\x00\x00\x00"),
    Message("4A", socks4.Request(1, HOST, b"me"), b"\x04\x01\x1f\x90\x00\x00\x00\x01me\x00example.com\x00"),
    Message("4A raw", socks4.Request(1, RAW, b""), b"\x04\x01\x00\x01\x00\x00\x00\x01\x00caf\xe9\x00"),
    Message(
        "4A at its longest",
        socks4.Request(1, LONG, b"u" * 255),
        b"\x04\x01\xff\xff\x00\x00\x00\x01" + b"u" * 255 + b"\x00" + b"a" * 255 + b"\x00",
    ),
    *(
        Message(f"reply {code}", socks4.Reply(code, V4), b"\x00%c\x00\x50\xc0\x00\x02\x01" % code)
        for code in (0, 90, 91, 92, 93, 255)
    ),
]

HTTP = [
    Message(
        "CONNECT to a name",
        http_connect.ConnectRequest(HOST),
        b"CONNECT example.com:8080 HTTP/1.1\r\nHost: example.com:8080\r\n\r\n",
    ),
    Message(
        "CONNECT to IPv4",
        http_connect.ConnectRequest(V4),
        b"CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n",
    ),
    Message(
        "CONNECT to IPv6, with credentials",
        http_connect.ConnectRequest(V6, (b"Aladdin", b"open:sesame")),
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
        b"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n\r\n",
    ),
    Message(
        "200",
        http_connect.Response(200, "Connection established"),
        b"HTTP/1.1 200 Connection established\r\n\r\n",
    ),
    Message("no reason", http_connect.Response(403, ""), b"HTTP/1.1 403 \r\n\r\n"),
    Message("Latin-1", http_connect.Response(502, "d\xe9sol\xe9"), b"HTTP/1.1 502 d\xe9sol\xe9\r\n\r\n"),
]

MESSAGES = [*ADDRESSES, *SOCKS5, *SOCKS4, *HTTP]
