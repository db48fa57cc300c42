"""An empty network namespace: each address is its own, and nothing leads out."""

from __future__ import annotations

import errno
import json

import pytest

from tests.support.unprivileged import run_python

USERS = pytest.mark.parametrize("user", ["root", "nobody"])

# Sends a datagram to port 53 of each address, and prints what has arrived.
QUESTIONS = """
import json, socket
from socksify.seal.datagrams import network_namespace

network_namespace.enter()
found = {}
for address in ("9.9.9.9", "127.0.0.53", "198.18.3.4", "2001:db8::53", "::1", "100::5", "::ffff:9.9.9.9"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
        server.bind(("::" if family == socket.AF_INET6 else "", 53))
        client.settimeout(5)
        server.settimeout(5)
        client.sendto(b"question", (address, 53))
        found[address] = server.recvfrom(100)[0].decode()
print(json.dumps(found))
"""


@USERS
def test_each_address_is_an_address_of_the_namespace(user: str) -> None:
    done = run_python(user, QUESTIONS)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout).values()) == {"question"}


OWN_ADDRESS = """
import json, socket
from socksify.seal.datagrams import network_namespace

def own():
    found = []
    for family, address in ((socket.AF_INET, "203.0.113.9"), (socket.AF_INET6, "2001:db8::9")):
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            try:
                asked.connect((address, 9))
                found.append(asked.getsockname()[0])
            except OSError:
                found.append(None)
    return found

before = own()
network_namespace.enter()
print(json.dumps([before, own()]))
"""


@USERS
def test_the_own_address_stays_that_of_the_machine(user: str) -> None:
    done = run_python(user, OWN_ADDRESS)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert after == [before[0] or "127.0.0.1", before[1] or "::1"]


# Root alone may write the setting.
WITHOUT_IPV6 = """
import socket
from socksify.seal.datagrams import network_namespace

leave = network_namespace._leave

def leave_and_switch_off() -> None:
    leave()
    with open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "w") as file:
        file.write("1")

network_namespace._leave = leave_and_switch_off
network_namespace.enter()
for family, address in ((socket.AF_INET, "9.9.9.9"), (socket.AF_INET6, "2001:db8::9")):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        print(client.connect_ex((address, 53)))
"""


def test_a_machine_without_ipv6_has_a_namespace_without_it() -> None:
    done = run_python("root", WITHOUT_IPV6)
    assert done.returncode == 0, done.stderr
    # EADDRNOTAVAIL, as natively.
    assert done.stdout.splitlines() == ["0", str(errno.EADDRNOTAVAIL)]


NO_SOCKET_LEADS_OUT = """
import json, os, socket
from socksify.seal.datagrams import network_namespace

before = os.readlink("/proc/self/ns/net")
network_namespace.enter()
assert os.readlink("/proc/self/ns/net") != before
print(json.dumps([[name for _, name in socket.if_nameindex()], os.getuid(), os.getgid()]))
"""


@USERS
def test_the_namespace_has_loopback_alone_and_the_user_stays_the_same(user: str) -> None:
    done = run_python(user, NO_SOCKET_LEADS_OUT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["lo"], *([0, 0] if user == "root" else [65534, 65534])]


# A filter refuses unshare(2), as the profile of a container does.
REFUSED = """
import ctypes, errno, os, struct
from socksify.seal.datagrams import network_namespace

NUMBERS = {"x86_64": (0xC000003E, 272), "aarch64": (0xC00000B7, 97)}
audit, number = NUMBERS[os.uname().machine]
program = [
    (0x20, 0, 0, 4), (0x15, 0, 3, audit), (0x20, 0, 0, 0), (0x15, 0, 1, number),
    (0x06, 0, 0, 0x00050000 | errno.EPERM), (0x06, 0, 0, 0x7FFF0000),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(header)), 0, 0) == 0, os.strerror(ctypes.get_errno())
"""


@USERS
def test_the_error_names_the_call_that_was_refused(user: str) -> None:
    program = """
try:
    network_namespace.enter()
except OSError as error:
    print(error.errno == errno.EPERM, error.strerror)
"""
    done = run_python(user, REFUSED + program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True unshare(CLONE_NEWUSER|CLONE_NEWNET): Operation not permitted\n"


@USERS
def test_a_pool_that_cannot_be_had_raises_that_error_and_leaves_nothing(user: str) -> None:
    program = """
from socksify.seal.datagrams.socket_pool import SocketPool
before = os.listdir("/proc/self/fd")
try:
    SocketPool()
except OSError as error:
    print(error.errno == errno.EPERM, error.strerror)
print(os.listdir("/proc/self/fd") == before)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child")
"""
    done = run_python(user, REFUSED + program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "True unshare(CLONE_NEWUSER|CLONE_NEWNET): Operation not permitted",
        "True",
        "no child",
    ]
