"""UDP of sealed programs, with a pool of sockets and without: what they hear is what they would hear natively."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.network.namespaces import needs_root
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.unprivileged import as_user

MODES = pytest.mark.parametrize("mode", ["pool", "native"])
USERS = pytest.mark.parametrize("user", ["root", "nobody"])
# Nothing listens at the proxy, and nobody connects to it.
PROXY = "socks5h://127.0.0.1:9"

# The beginning of each program. A query for the address of example.org, and a socket that does not wait for ever.
BEGINNING = """
import errno, json, os, signal, socket, struct, sys, time
QUERY = bytes.fromhex("1234 0100 0001 0000 0000 0000 07") + b"example" + bytes.fromhex("03") + b"org" + bytes(1)
QUERY += bytes.fromhex("0001 0001")
INET, INET6, DATAGRAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_DGRAM

def new(family=INET, flags=0, seconds=10):
    sock = socket.socket(family, DATAGRAM | flags)
    sock.settimeout(seconds)
    return sock

def error_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

def is_answer(data):
    # RFC 1035 section 4.1.1: the same number, a response, one record.
    return data[:2] == QUERY[:2] and bool(data[2] & 0x80) and data[6:8] == bytes((0, 1))
"""


def sealed(mode: str, argv: list[str], user: str = "root", **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a program as `tests.support.sealed_datagrams` does. `python` stands for a Python that the user may run."""
    needs_root()
    command, python = as_user(user)
    program = [python if word == "python" else word for word in argv]
    text = json.dumps({"proxy": PROXY, **settings})
    return subprocess.run(
        [*command, python, "-m", "tests.support.sealed_datagrams", mode, text, *program],
        capture_output=True, text=True, timeout=60, cwd="/", env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=False,
    )  # fmt: skip


def results(mode: str, program: str, *arguments: object, user: str = "root", **settings: object) -> Any:
    """Return what a sealed program has printed in JSON."""
    done = sealed(mode, ["python", "-c", BEGINNING + program, *map(str, arguments)], user, **settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def echo(host: str = "127.0.0.1") -> Iterator[int]:
    """Send each datagram back that arrives at a port of this machine. The port is the result."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind((host, 0))

        def serve() -> None:
            while True:
                data, client = service.recvfrom(65535)
                if data == b"the end":
                    return
                service.sendto(data, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield service.getsockname()[1]
        finally:
            with socket.socket(service.family, socket.SOCK_DGRAM) as end:
                end.sendto(b"the end", service.getsockname())
            thread.join()


@MODES
@USERS
def test_the_resolver_of_libc_gets_fake_addresses(mode: str, user: str) -> None:
    done = sealed(mode, [require("getent"), "ahostsv4", "example.org"], user)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("198.18.", "198.19."))


@MODES
@pytest.mark.parametrize("server", ["9.9.9.9", "127.0.0.53", "2001:db8::53", "::1"])
def test_dig_hears_from_the_server_that_it_has_asked(mode: str, server: str) -> None:
    done = sealed(mode, [require("dig"), "+tries=1", "+time=5", "example.org", f"@{server}"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SERVER: {server}#53({server}) (UDP)" in done.stdout


SENDERS = """
found = []
for family, server in ((INET, "9.9.9.9"), (INET6, "2001:db8::53"), (INET6, "::ffff:9.9.9.9")):
    with new(family) as unconnected, new(family) as connected, new(family) as messages:
        unconnected.sendto(QUERY, (server, 53))
        connected.connect((server, 53))
        connected.send(QUERY)
        messages.sendmsg([QUERY[:5], QUERY[5:]], [], 0, (server, 53))
        assert error_of(unconnected.getpeername) == "ENOTCONN"
        found.append([server, connected.getpeername()[:2]])
        for sock in (unconnected, connected):
            data, sender = sock.recvfrom(512)
            found.append([server, sender[:2], is_answer(data)])
        data, ancillary, flags, sender = messages.recvmsg(512, 64)
        found.append([server, sender[:2], is_answer(data) and ancillary == [] and flags == 0])
print(json.dumps(found))
"""


@MODES
@USERS
def test_an_answer_comes_from_the_name_server_that_was_asked(mode: str, user: str) -> None:
    for server, reported, *is_answer in results(mode, SENDERS, user=user):
        assert (reported, *is_answer) == ([server, 53], *[True] * len(is_answer))


# The arguments of recvfrom(2) that Python has no words for: a short buffer, MSG_TRUNC, little room for the address.
RECEIVING = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)

def receive(sock, size, flags, room):
    data, address = (ctypes.create_string_buffer(b"?" * 600, 600) for _ in range(2))
    length = ctypes.c_uint(room)
    got = libc.recvfrom(sock.fileno(), data, size, flags, address, ctypes.byref(length))
    return [got, len(data.raw.rstrip(b"?")), address.raw[:17].hex(), length.value]

sock = new()
sock.sendto(QUERY, ("9.9.9.9", 53))
whole = len(sock.recv(512, socket.MSG_PEEK))
found = [receive(sock, 12, socket.MSG_PEEK, 16), receive(sock, 12, socket.MSG_PEEK | socket.MSG_TRUNC, 16)]
found += [receive(sock, 0, socket.MSG_PEEK, 4), receive(sock, 600, 0, 40)]
print(json.dumps([whole, found]))
"""


@MODES
def test_recvfrom_cuts_data_and_address_as_the_kernel_does(mode: str) -> None:
    whole, found = results(mode, RECEIVING)
    address = "0200003509090909" + "00" * 8
    assert found == [
        [12, 12, address + "3f", 16],
        [whole, 12, address + "3f", 16],
        [0, 0, address[:8] + "3f" * 13, 16],
        [whole, whole, address + "3f", 16],
    ]


PARTS = """
sock = new()
found = []
for parts, flags in (((4, 0, 600), 0), ((4, 3), 0), ((4, 3), socket.MSG_TRUNC)):
    sock.sendto(QUERY, ("9.9.9.9", 53))
    buffers = [bytearray(b"?" * size) for size in parts]
    count, _, flags, sender = sock.recvmsg_into(buffers, 0, flags)
    shown = b"".join(buffers).rstrip(b"?")
    found.append([count, len(shown), QUERY[:2] == shown[:2], flags == socket.MSG_TRUNC, sender])
print(json.dumps(found))
"""


@MODES
def test_recvmsg_fills_its_parts_as_the_kernel_does(mode: str) -> None:
    (whole, shown, *rest), *truncated = results(mode, PARTS)
    assert (whole, rest) == (shown, [True, False, ["9.9.9.9", 53]])
    assert truncated == [[7, 7, True, True, ["9.9.9.9", 53]], [whole, 7, True, True, ["9.9.9.9", 53]]]


# Nobody answers what is no query.
WAITING = """
found = []
sock = new(seconds=None)
sock.sendto(b"no query", ("9.9.9.9", 53))
found.append(error_of(sock.recvfrom, 10, socket.MSG_DONTWAIT))
sock.setblocking(False)
found.append(error_of(sock.recvfrom, 10))
sock.setblocking(True)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 200000))
begin = time.monotonic()
found.append(error_of(sock.recvfrom, 10))
found.append(0.19 < time.monotonic() - begin < 5)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(16))

class Interrupted(Exception):
    pass

def interrupt(*_):
    raise Interrupted

signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    sock.recvfrom(10)
except Interrupted:
    found.append("interrupted")
# The call that was interrupted has not taken the answer.
sock.sendto(QUERY, ("9.9.9.9", 53))
found.append(is_answer(sock.recvfrom(512)[0]))
print(json.dumps(found))
"""


@MODES
def test_recvfrom_waits_as_the_kernel_does(mode: str) -> None:
    assert results(mode, WAITING) == ["EAGAIN", "EAGAIN", "EAGAIN", True, "interrupted", True]


BATCH = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)

class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]

class mmsghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("name_size", ctypes.c_uint), ("parts", ctypes.POINTER(iovec)),
        ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("padding", ctypes.c_int), ("sent", ctypes.c_size_t),
    ]

def send(sock, *servers):
    messages = (mmsghdr * len(servers))()
    for message, server in zip(messages, servers):
        message.name = server and struct.pack("=H", INET) + struct.pack("!H", 53) + socket.inet_aton(server) + bytes(8)
        message.name_size = 16 if server else 0
        message.parts, message.count = ctypes.pointer(iovec(QUERY, len(QUERY))), 1
    done = libc.sendmmsg(sock.fileno(), messages, len(servers), 0)
    return [done, sum(message.sent for message in messages) // len(QUERY)]

with new() as unconnected, new() as connected:
    connected.connect(("9.9.9.9", 53))
    found = [send(connected, None, None)]
    sent = send(unconnected, "9.9.9.9", "9.9.9.9")
    # The caller sends the rest.
    if sent == [1, 1]:
        sent = [sum(both) for both in zip(sent, send(unconnected, "9.9.9.9"))]
    found.append(sent)
    for sock in (connected, unconnected):
        for _ in range(2):
            data, sender = sock.recvfrom(512)
            found.append([is_answer(data), sender])
print(json.dumps(found))
"""


@MODES
def test_questions_can_be_sent_in_batches(mode: str) -> None:
    assert results(mode, BATCH) == [[2, 2], [2, 2], *[[True, ["9.9.9.9", 53]]] * 4]


SERVICE = """
port = int(sys.argv[1])
found = []
for family, host in ((INET, "127.0.0.1"), (INET6, "::ffff:127.0.0.1")):
    with new(family) as unconnected, new(family) as connected:
        unconnected.sendto(b"datagram", (host, port))
        data, sender = unconnected.recvfrom(100)
        found.append([data.decode(), list(sender[:2]) == [host, port]])
        connected.connect((host, port))
        # Before and after: the socket is the same one.
        twin = connected.dup()
        connected.send(bytes(60000))
        found.append([len(twin.recv(65535)), list(twin.getpeername()[:2]) == [host, port]])
        twin.close()
print(json.dumps(found))
"""


@MODES
@USERS
def test_a_service_of_this_machine_is_reached(mode: str, user: str) -> None:
    with echo() as port:
        assert results(mode, SERVICE, port, user=user) == [["datagram", True], [60000, True]] * 2


IN_THE_TREE = """
found = []
with new() as server, new() as client:
    server.bind(("127.0.0.1", 0))
    address = server.getsockname()
    client.connect(address)
    client.send(b"to the tree")
    data, sender = server.recvfrom(100)
    server.sendto(data, sender)
    found.append(client.recv(100).decode())
    server.close()
    client.send(b"to nobody")
    found.append(error_of(client.recv, 100))
    with new() as other:
        other.bind(address)
print(json.dumps(found))
"""


@MODES
def test_programs_of_the_tree_reach_each_other(mode: str) -> None:
    assert results(mode, IN_THE_TREE) == ["to the tree", "ECONNREFUSED"]


REFUSED = """
found = []
with new() as sock:
    found.append(error_of(sock.sendto, b"x", ("192.0.2.7", 123)))
    # Programs find their own address in this way.
    found.append(error_of(sock.connect, ("192.0.2.7", 443)))
for kind in (DATAGRAM | 0x100000, DATAGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC):
    found.append(error_of(lambda: socket.socket(INET, kind).close()))
print(json.dumps(found))
"""


@MODES
def test_a_datagram_for_the_proxy_is_refused_and_the_reason_told(mode: str) -> None:
    done = sealed(mode, ["python", "-c", BEGINNING + REFUSED])
    assert json.loads(done.stdout) == ["EACCES", None, "EINVAL", None]
    assert done.stderr.count("UDP to 192.0.2.7:123 refused: rule '*=proxy' (built in) leaves it to proxy") == 1


LEFT_BEHIND = """
def supervisor():
    return len(os.listdir(f"/proc/{os.getppid()}/fd"))

def use():
    for _ in range(1000):
        with new(INET6), new() as sock:
            sock.sendto(QUERY, ("9.9.9.9", 53))
            assert is_answer(sock.recvfrom(512)[0])

use()
before = supervisor(), len(os.listdir("/proc/self/fd"))
use()
print(json.dumps([supervisor() - before[0], len(os.listdir("/proc/self/fd")) - before[1]]))
"""


@MODES
def test_a_thousand_sockets_leave_nothing_behind(mode: str) -> None:
    of_supervisor, own = results(mode, LEFT_BEHIND)
    # The stock of each family may be on its way.
    assert abs(of_supervisor) <= 32
    assert own == 0


FLAGS = """
import fcntl
found = []
for flags in (0, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC):
    import ctypes
    fd = ctypes.CDLL(None).socket(INET, DATAGRAM | flags, 0)
    found.append([bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK), os.get_inheritable(fd)])
print(json.dumps(found))
"""


@MODES
def test_a_socket_has_the_flags_that_the_program_wants(mode: str) -> None:
    assert results(mode, FLAGS) == [[False, True], [True, True], [False, False]]


LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
kept = []

def fill():
    while True:
        kept.append(socket.socket(INET, DATAGRAM))

error = error_of(fill)
count = len(kept)
kept.pop().close()
kept.append(socket.socket(INET, DATAGRAM))
print(json.dumps([error, len(kept) == count > 5]))
"""


@MODES
def test_the_limit_of_open_files_is_the_programs_own(mode: str) -> None:
    assert results(mode, LIMIT) == ["EMFILE", True]
