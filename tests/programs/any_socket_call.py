"""Makes the system calls of sockets with arguments drawn by lot: any_socket_call.py SEED NUMBER_OF_CALLS INTERFACE

Python checks no argument here. The last line of the output is the number of calls that have succeeded.
"""

import ctypes
import mmap
import os
import random
import socket
import struct
import sys

lot = random.Random(int(sys.argv[1]))
draw = lot.choice
INDEX = socket.if_nametoindex(sys.argv[3])
ARM = os.uname().machine == "aarch64"
NUMBERS = {
    "socket": (198, 41), "socketpair": (199, 53), "bind": (200, 49), "listen": (201, 50), "connect": (203, 42),
    "sendto": (206, 44), "setsockopt": (208, 54), "getsockopt": (209, 55), "getpeername": (205, 52),
    "sendmsg": (211, 46), "sendmmsg": (269, 307), "shutdown": (210, 48),
}  # fmt: skip
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.syscall.argtypes = [ctypes.c_long] * 7
# Whatever a call writes or reads is in here.
memory = mmap.mmap(-1, 1 << 16)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
ADDRESSES, VALUE, DATA, VECTOR, HEADER, CONTROL = 0, 256, 512, 1024, 2048, 4096

HOSTS = ["198.51.100.7", "198.51.100.98", "198.51.100.99", "224.0.0.251", "255.255.255.255", "0.0.0.0", "127.0.0.1"]
HOSTS6 = ["2001:db8:7::7", "2001:db8:99::1", "ff02::fb", "fe80::97", "::ffff:198.51.100.7", "::", "::1"]
FAMILIES = [socket.AF_INET] * 6 + [socket.AF_INET6] * 6 + [*range(46)]
KINDS = [socket.SOCK_STREAM] * 4 + [socket.SOCK_DGRAM] * 4 + [*range(11)]
PROTOCOLS = [0] * 8 + [6, 17] * 3 + [1, 33, 58, 115, 132, 136, 255, 256, 262]
LEVELS = [0, 1, 6, 17, 41, 255, 263, 0x534F434B]
FLAGS = [0] * 6 + [0x20000000, 0x20000040, 4, 0x10, 0x200, 0x800, 0x4000, 0x4000000]
# What the kernel ignores in an argument of 32 bits.
UPPER = [0] * 6 + [1 << 32, 0xDEADBEEF << 32]
sockets = []


def call(name, *arguments):
    return libc.syscall(NUMBERS[name][not ARM], *arguments, *[0] * (6 - len(arguments)))


def put(offset, data):
    memory[offset : offset + len(data)] = data
    return start + offset


def number(value):
    return (value | draw(UPPER)) - (1 << 64 if value >> 63 else 0)


def address():
    """An address in memory, and its length."""
    port = struct.pack("!H", draw([7, 53, 80, 2000, 0]))
    if lot.random() < 0.5:
        raw = struct.pack("=H", draw([socket.AF_INET] * 9 + [0])) + port + socket.inet_aton(draw(HOSTS)) + bytes(8)
    else:
        host = socket.inet_pton(socket.AF_INET6, draw(HOSTS6))
        raw = struct.pack("=H", socket.AF_INET6) + port + bytes(4) + host + struct.pack("=I", draw([0, 0, 1, INDEX]))
    return put(ADDRESSES, raw), len(raw)


def control():
    """Ancillary data that names the interface."""
    four = struct.pack("=QiiI8x4x", 28, 0, 8, INDEX)
    six = struct.pack("=Qii16sI4x", 36, 41, 50, draw([bytes(16), bytes(10) + b"\xff\xff" + bytes(4)]), INDEX)
    return draw([b"", b"", four, six])


def header():
    where, length = address() if lot.random() < 0.8 else (0, 0)
    vector = put(VECTOR, struct.pack("=QQ", start + DATA, 1))
    more = control()
    return struct.pack("=QIxxxxQQQQIxxxx", where, length, vector, 1, put(CONTROL, more) if more else 0, len(more), 0)


def value():
    options = bytes([1, 0x83, 11, 4]) + socket.inet_aton("198.51.100.99") * 2
    group = socket.inet_aton("224.5.6.8") + struct.pack("=4xI", INDEX)
    routes = bytes([0, 4, 4, 1, 1, 0, 0, 0]) + bytes(16) + socket.inet_pton(socket.AF_INET6, "2001:db8:99::1")
    request = struct.pack("=I4xHH4s120x", INDEX, socket.AF_INET, 0, socket.inet_aton("224.5.6.8"))
    one, index, name = struct.pack("=I", 1), struct.pack("=I", INDEX), sys.argv[3].encode() + b"\0"
    raw = draw([one] * 4 + [bytes(4), index, name, options, group, routes, request, b"smc\0", lot.randbytes(8)])
    return put(VALUE, raw), len(raw)


def opened():
    return draw(sockets) if sockets and lot.random() < 0.95 else draw([-1, 0, 1000])


def open_socket():
    kind = draw(KINDS) | draw([0, os.O_CLOEXEC]) | os.O_NONBLOCK
    made = call("socket", number(draw(FAMILIES)), number(kind), number(draw(PROTOCOLS)))
    if made >= 0:
        # An answer of the kernel's would be a change of the routes.
        if socket.socket(fileno=os.dup(made)).family == socket.AF_NETLINK:
            os.close(made)
        else:
            sockets.append(made)
    if len(sockets) > 30:
        os.close(sockets.pop(lot.randrange(len(sockets))))
    return made


def send_messages():
    count = draw([1, 2])
    return call("sendmmsg", opened(), put(HEADER, (header() + bytes(8)) * count), count, number(draw(FLAGS)))


CALLS = [
    open_socket,
    open_socket,
    lambda: call("socketpair", number(draw([*range(2, 46)])), number(draw(KINDS)), 0, start + DATA),
    lambda: call("bind", opened(), *address()),
    lambda: call("listen", opened(), 1),
    lambda: call("connect", opened(), *address()),
    lambda: call("connect", opened(), *address()),
    lambda: call("sendto", opened(), start + DATA, 1, number(draw(FLAGS)), *draw([address, lambda: (0, 0)])()),
    lambda: call("sendmsg", opened(), put(HEADER, header()), number(draw(FLAGS))),
    send_messages,
    lambda: call("setsockopt", opened(), number(draw(LEVELS)), number(lot.randrange(80)), *value()),
    lambda: call("setsockopt", opened(), number(draw(LEVELS)), number(lot.randrange(80)), *value()),
    lambda: call("getsockopt", opened(), draw(LEVELS), lot.randrange(80), *value()[:1], put(DATA, b"\x10\0\0\0")),
    lambda: call("getpeername", opened(), start + VALUE, put(DATA, b"\x10\0\0\0")),
    lambda: call("shutdown", opened(), draw([0, 1, 2])),
]

print(sum(draw(CALLS)() >= 0 for _ in range(int(sys.argv[2]))))
