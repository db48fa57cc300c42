"""What is written past a socket's methods stays on this machine: seen on a wire of the test's own.

In a network namespace whose default routes lead into one end of a veth pair, the other end is listened to. A frame of
our own goes the same way behind what is tested, so that whatever was sent has been seen when that frame is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.processes import require, unavailable

NOBODY = "65534"

SETUP = """
for setting in ipv6/conf/default/accept_dad=0 ipv6/conf/default/router_solicitations=0 ipv4/ip_forward=1 \
    ipv6/conf/default/addr_gen_mode=1; do echo "${setting#*=}" >"/proc/sys/net/${setting%%=*}"; done
ip link set lo up
ip link add out type veth peer name sink
ip addr add 192.0.2.1/24 dev out
ip addr add 2001:db8::1/64 dev out nodad
ip link set out up
ip link set sink up
for gateway in 192.0.2.2 2001:db8::2; do
    ip route add default via $gateway
    ip neigh add $gateway lladdr 02:00:00:00:00:02 dev out
done
for host in 192.0.2.77 192.0.2.78 2001:db8::77; do ip neigh add $host lladdr 02:00:00:00:00:77 dev out; done
"""

PROGRAM = """
import errno, json, os, socket, sys, threading, warnings
import socksify

warnings.simplefilter("ignore")
sink = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sink.bind(("sink", 0))
sink.settimeout(10)
sink.setsockopt(socket.SOL_SOCKET, 33, 1 << 27)  # SO_RCVBUFFORCE
marker = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
marker.bind(("out", 0x88B5))
MARK, LEAK = b"\\xff" * 6 + bytes(6) + b"\\x88\\xb5" + b"MARK".ljust(46, b"."), b"LEAK" * 10
URL, DIRECT = "socks5h://192.0.2.2:1080", {socket.AF_INET: "192.0.2.77", socket.AF_INET6: "2001:db8::77"}
ROUTES = [f"[{host}]=direct" if ":" in host else f"{host}=direct" for host in DIRECT.values()]
SOL, DEVICE, OF_NUMBER, UNICAST_IF = socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 62, 50

def frames():
    marker.send(MARK)
    return [frame for frame in iter(lambda: sink.recv(2000), MARK) if LEAK in frame]

def leaks():
    return len(frames())

def write(fd):
    try:
        return os.write(fd, LEAK)
    except OSError as error:
        return errno.errorcode[error.errno]

def write_in_child(fd):
    pid = os.fork()
    if not pid:
        write(fd), write(fd)
        os._exit(0)
    os.waitpid(pid, 0)

def tried(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]

def names(sock):
    return [sock.getsockname()[0], *sock.getsockname()[2:], *sock.getpeername()]

def in_race(fd, call):
    stop = threading.Event()
    def run():
        while not stop.is_set():
            write(fd)
    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(300):
        call()
    stop.set()
    thread.join()

def options(sock, family):
    index = socket.if_nametoindex("out")
    number = socket.htonl(index)
    out = [tried(sock.setsockopt, SOL, DEVICE, b"out\\0"), tried(sock.setsockopt, SOL, OF_NUMBER, index)]
    if family == socket.AF_INET:
        out.append(tried(sock.setsockopt, socket.IPPROTO_IP, UNICAST_IF, number))
        out.append(sock.getsockopt(socket.IPPROTO_IP, UNICAST_IF) == number)
    return out, sock.getsockopt(SOL, DEVICE, 16)

def story(family, kind, proto, host):
    told = {}
    direct = ("::ffff:" if host.startswith("::f") else "") + DIRECT[socket.AF_INET if "." in host else family]
    with socket.socket(family, kind, proto) as sock:
        sock.connect((host, 4000))
        before = names(sock)
        write(sock.fileno())
        told["natively"] = leaks()
    socksify.install(URL, routes=ROUTES)
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(SOL, socket.SO_BROADCAST, 1)
    older = sock.dup()
    sock.connect((host, 4000))
    told["names"] = names(sock) == names(older) == names(sock.dup()) == before
    for fd in (sock.fileno(), older.fileno(), os.dup(sock.fileno())):
        write(fd), write(fd), write_in_child(fd)
    if family == socket.AF_INET:
        info = socket.if_nametoindex("out").to_bytes(4, sys.byteorder) + bytes(8)
        for each in (older, sock):
            told["led round"] = tried(each.sendmsg, [LEAK], [(socket.IPPROTO_IP, 8, info)])
    told["sent past it"] = [tried(older.send, LEAK) for _ in range(4)][-1] if kind == socket.SOCK_DGRAM else None
    told["sent"] = [tried(each.send, LEAK) for each in (sock, sock.dup(), socket.socket(fileno=os.dup(sock.fileno())))]
    told["past it"] = leaks()
    elsewhere = (direct, 0 if kind == socket.SOCK_RAW else 4001)
    tried(sock.sendto, LEAK, elsewhere), tried(sock.sendto, LEAK, elsewhere)
    told["elsewhere"] = leaks() > 0
    in_race(older.fileno(), lambda: (tried(sock.sendto, b"", elsewhere), tried(sock.connect, (host, 4000))))
    told["in a race"] = leaks()
    told["options"] = options(sock, family)[1] == b"out\\0"
    for fd in (sock.fileno(), older.fileno()):
        write(fd), write(fd), write_in_child(fd)
    told["behind options"] = leaks()
    # What another holder sends meanwhile goes to the one peer or nowhere, never to the other.
    turns = iter(range(10000))
    in_race(older.fileno(), lambda: tried(sock.connect, ((host, direct)[next(turns) % 2], 4000)))
    text = host.removeprefix("::ffff:")
    packed = socket.inet_pton(socket.AF_INET if "." in text else family, text)
    told["while connects change"] = sum(packed in frame for frame in frames())
    tried(sock.connect, (direct, 4000)), write(sock.fileno())
    told["connected anew"] = [write(sock.fileno()) == len(LEAK), leaks() > 0, sock.getpeername()[0] == direct]
    tried(sock.connect, (host, 4000))
    told["broadcast"] = sock.getsockopt(SOL, socket.SO_BROADCAST)
    leaks()
    socksify.uninstall()
    write(sock.fileno()), write(sock.fileno())
    told["after"] = [leaks() > 0, sock.getpeername()[0] == host]
    return told

def beforehand(*settings, bound=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for setting in settings:
        sock.setsockopt(*setting)
    if bound:
        sock.bind(bound)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as native:
        for setting in settings:
            native.setsockopt(*setting)
        native.connect(("203.0.113.5", 53))
        wanted = native.getsockname()[0]
    socksify.install(URL)
    try:
        sock.connect(("203.0.113.5", 53))
        write(sock.fileno()), write(sock.fileno())
        kept = [sock.getsockopt(*setting[:2], 16) == setting[2] for setting in settings]
        return [leaks(), sock.getsockname()[0] == (bound or (wanted,))[0], *kept]
    finally:
        socksify.uninstall()

# All that is needed is imported while it may be read.
import socksify.routing.local_host
socksify.install(URL, routes=ROUTES)
socksify.uninstall()
if sys.argv[1:]:
    os.setgroups([])
    os.setresgid(*[int(sys.argv[1])] * 3)
    os.setresuid(*[int(sys.argv[1])] * 3)
    os.environ["HOME"] = "/nonexistent"
UDP, LITE = (socket.SOCK_DGRAM, 0), (socket.SOCK_DGRAM, 136)
told = {
    "UDP": story(socket.AF_INET, *UDP, "203.0.113.5"),
    "UDP on link": story(socket.AF_INET, *UDP, "192.0.2.78"),
    "UDP over IPv6": story(socket.AF_INET6, *UDP, "2001:db8:1::5"),
    "UDP to a mapped address": story(socket.AF_INET6, *UDP, "::ffff:203.0.113.5"),
    "UDP-Lite": story(socket.AF_INET, *LITE, "203.0.113.5"),
}
if not sys.argv[1:]:
    told["raw"] = story(socket.AF_INET, socket.SOCK_RAW, 253, "203.0.113.5")
    told["raw IPv6"] = story(socket.AF_INET6, socket.SOCK_RAW, 253, "2001:db8:1::5")
number = socket.htonl(socket.if_nametoindex("out")).to_bytes(4, sys.byteorder)
OUT = (SOL, DEVICE, b"out\\0"), (socket.IPPROTO_IP, UNICAST_IF, number)
told["before"] = {
    "a device": beforehand(OUT[0]), "an interface": beforehand(OUT[1]), "both": beforehand(*reversed(OUT)),
    "an address": beforehand(bound=("192.0.2.1", 5353)),
    "a device and an address": beforehand(OUT[0], bound=("192.0.2.1", 5354)),
    "any address": beforehand(bound=("", 5355)), "an interface and any address": beforehand(OUT[1], bound=("", 5356)),
}
print(json.dumps(told))
"""


@pytest.mark.parametrize("user", [[], [NOBODY]], ids=["with CAP_NET_RAW", "without"])
def test_nothing_leaves_past_the_methods_of_a_socket(user: list[str]) -> None:
    """Not while another sends to a direct destination, nor behind an option that the client sets."""
    told = in_a_network_of_its_own(*user)
    before = told.pop("before")
    assert len(told) == (5 if user else 7)
    for what, story in told.items():
        assert story.pop("led round", "EACCES") == "EACCES"
        assert story == {
            "natively": 1,
            "names": True,
            "sent past it": None if "raw" in what else story["sent past it"],
            "sent": ["EACCES"] * 3,
            "past it": 0,
            "elsewhere": True,
            "in a race": 0,
            "options": True,
            "behind options": 0,
            "while connects change": 0,
            "connected anew": [True, True, True],
            "broadcast": 1,
            "after": [True, True],
        }, what
        assert story["sent past it"] in (None, "EACCES", "ECONNREFUSED", "EINVAL", 40)
    for what, found in before.items():
        if "any address" in what:
            # The kernel then tells the address that it has chosen.
            found[1] = True
        assert found[0] == 0, what
        assert all(found[1:]), (what, found)


def in_a_network_of_its_own(*arguments: str) -> Any:
    """What the program prints."""
    if os.geteuid() != 0:
        unavailable("namespaces need root")
    unshare = [
        require("unshare"),
        "--net",
        "--mount",
        "sh",
        "-ec",
        f'mount -t sysfs none /sys\n{SETUP}\nexec "$@"',
        "sh",
    ]
    child = subprocess.run(
        [*unshare, sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)
