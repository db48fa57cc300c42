"""Calls everything that takes an address, with arguments drawn by lot: arguments seed and number of calls."""

import _socket
import random
import socket
import sys

lot = random.Random(int(sys.argv[1]))
draw = lot.choice

NAMES = ["target.example", "Target.Example.", "other.example", "a.b.c.example", "_srv._tcp.example", "printer.local"]
NAMES += ["tärget.example", "target\u3002example", "xn--trget-bua.example", "xn--", "ß.example", "wpad", "_gateway", "1e3"]
NAMES += ["target.example%eth0", "target.example ", "foo bar.example", "user@target.example", "x\x7f.example", "*.example"]
NAMES += ["a" * 64 + ".example", "a." * 150, "ex\0ample", "\ud800.example", "target..example", ".example", "..", " "]
OWN = ["localhost", "LOCALHOST.", "x.localhost", "desk", "DESK.", "desk.example", "", None, "<broadcast>", "ip6-localhost"]
NUMBERS = ["198.51.100.7", "198.51.100.7.", "198.51.100.07", "198.51.25607", "3325256711", "0xc6336407", "0306.063.0144.7"]
NUMBERS += ["198.51.100.7 x", "198.51.100.7\n", "198.51.100.7\0", "198.51.100.7%eth0", "１９８.51.100.7", "1.2.3.4.5", "1"]
NUMBERS += ["2001:db8:7::7", "2001:DB8:7::7%eth0", "[2001:db8:7::7]", "::ffff:198.51.100.7", "::ffff:c633:6407", "fe80::1"]
NUMBERS += ["::198.51.100.7", "64:ff9b::198.51.100.7", "2002:c633:6407::1", "::ffff:198.51.100.7%1", "fe80::1%nosuch"]
NUMBERS += ["127.1", "::ffff:127.0.0.1", "0", "192.0.2.1", "::ffff:192.0.2.1", "255.255.255.255", "224.0.0.251", "ff02::fb"]
FAKE = ["198.18.0.1", "198.19.255.254", "::ffff:198.18.0.1", "100::1", "100::1%lo"]
BYTES = [b"target.example", bytearray(b"target.example"), b"198.51.100.7", b"\xff.example", bytearray(b"::ffff:198.51.100.7")]
HOSTS = [*NAMES[:6] * 3, *NUMBERS[:1] * 3, *NAMES, *OWN, *NUMBERS, *FAKE, *BYTES, memoryview(b"target.example"), 123, ("target.example",)]
# What makes sense stands often enough in these for a call to come as far as the network.
SERVICES = [80, 53, 0, "80", "http", None] * 3 + [b"http", "domain", "nosuch", "", True, -1, 65536]
FAMILIES, KINDS, PROTOCOLS = [0, 2, 10] * 6 + [1, 17, -1], [0, 1, 2] * 6 + [3, 5, -1], [0, 0, 6, 17] * 4 + [132, 255, -1]
HINTS = [0] * 12 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2 | 8, 4 | 1024, 8 | 16 | 32, 1 << 31, -1]
SEND_FLAGS = [0, socket.MSG_DONTWAIT, socket.MSG_CONFIRM, socket.MSG_FASTOPEN, socket.MSG_FASTOPEN | socket.MSG_DONTWAIT]


def address():
    host, port = draw(HOSTS), draw([7, 80, 0])
    return draw([(host, port)] * 12 + [(host, port, 0, 0), (host, port, 0, 2), [host, port], (host,), host])


def a_socket(*kinds):
    sock = socket.socket(draw([socket.AF_INET, socket.AF_INET6]), draw(kinds))
    sock.settimeout(draw([0, 0.5]))
    return sock


def send_connected():
    with a_socket(socket.SOCK_DGRAM) as sock:
        sock.connect(address())
        sock.send(b"x")


def sending(method):
    def send():
        with a_socket(socket.SOCK_DGRAM, socket.SOCK_STREAM) as sock:
            method(sock)

    return send


CALLS = [
    lambda: socket.getaddrinfo(draw(HOSTS), draw(SERVICES), draw(FAMILIES), draw(KINDS), draw(PROTOCOLS), draw(HINTS)),
    lambda: _socket.getaddrinfo(draw(HOSTS), draw(SERVICES), draw(FAMILIES), draw(KINDS), draw(PROTOCOLS), draw(HINTS)),
    lambda: socket.gethostbyname(draw(HOSTS)),
    lambda: socket.gethostbyname_ex(draw(HOSTS)),
    lambda: socket.gethostbyaddr(draw(HOSTS)),
    lambda: socket.getfqdn(draw(HOSTS)),
    lambda: socket.getnameinfo(address(), draw([0, 1, 2, 4, 8, 16, 3, 32, -1])),
    lambda: socket.create_server(address()).close(),
    lambda: socket.create_connection(address(), 0.5, source_address=draw([None, address()])).close(),
    send_connected,
    sending(lambda sock: sock.bind(address())),
    sending(lambda sock: sock.connect(address())),
    sending(lambda sock: sock.connect_ex(address())),
    sending(lambda sock: sock.sendto(b"x", address())),
    sending(lambda sock: sock.sendto(b"x", draw(SEND_FLAGS), address())),
    sending(lambda sock: sock.sendmsg([b"x"], [], draw(SEND_FLAGS), address())),
]

for _ in range(int(sys.argv[2])):
    try:
        draw(CALLS)()
    except Exception:
        pass
print("done")
