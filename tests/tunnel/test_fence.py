"""What is written past a socket's methods stays on this machine: seen on a wire of the test's own.

In a network namespace whose default routes lead into one end of a veth pair, the other end is listened to. A frame of
our own goes the same way behind what is tested, so that whatever was sent has been seen when that frame is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import require, unavailable

ROOT = Path(__file__).parents[2]
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
ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev out
"""

PROGRAM = """
import json, os, socket, sys
from socksify import _real
from socksify.tunnel import fence
import socksify.tunnel.watch

sink = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sink.bind(("sink", 0))
sink.settimeout(10)
marker = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
marker.bind(("out", 0x88B5))
MARK, LEAK = b"\\xff" * 6 + bytes(6) + b"\\x88\\xb5" + b"MARK".ljust(46, b"."), b"LEAK" * 10

def leaks():
    marker.send(MARK)
    frames = list(iter(lambda: sink.recv(2000), MARK))
    return sum(LEAK in frame for frame in frames)

def write(sock):
    try:
        os.write(sock.fileno(), LEAK)
    except OSError as error:
        return type(error).__name__
    return "written"

def names(sock):
    return [list(sock.getsockname()), list(sock.getpeername())]

def story(family, kind, proto, host):
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    copy = sock.dup()
    told = {}
    sock.connect((host, 4000))
    before = names(sock)
    write(sock)
    told["without"] = leaks()
    fence.put_up(sock)
    write(sock), write(copy)
    try:
        socket.socket.send(sock, LEAK)
    except OSError:
        pass
    told["within"], told["names within"] = leaks(), names(sock) == before
    copy.close()
    elsewhere = (host, 0 if kind == socket.SOCK_RAW else 4001)
    fence.open_for(sock, lambda: _real.sendto(sock, LEAK, elsewhere))
    told["elsewhere"] = leaks()
    write(sock)
    told["behind it"] = leaks()
    fence.take_down(sock)
    told["names after"] = names(sock) == before
    told["broadcast"] = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    write(sock)
    told["after"] = leaks()
    sock.close()
    return told

if sys.argv[1:]:
    os.setgroups([])
    os.setresgid(*[int(sys.argv[1])] * 3)
    os.setresuid(*[int(sys.argv[1])] * 3)
UDP, LITE = (socket.SOCK_DGRAM, 0), (socket.SOCK_DGRAM, 136)
told = {
    "UDP": story(socket.AF_INET, *UDP, "203.0.113.5"),
    "UDP on link": story(socket.AF_INET, *UDP, "192.0.2.77"),
    "UDP over IPv6": story(socket.AF_INET6, *UDP, "2001:db8:1::5"),
    "UDP to a mapped address": story(socket.AF_INET6, *UDP, "::ffff:203.0.113.5"),
    "UDP-Lite": story(socket.AF_INET, *LITE, "203.0.113.5"),
}
if not sys.argv[1:]:
    told["raw"] = story(socket.AF_INET, socket.SOCK_RAW, 253, "203.0.113.5")
    told["raw IPv6"] = story(socket.AF_INET6, socket.SOCK_RAW, 253, "2001:db8:1::5")
print(json.dumps(told))
"""


@pytest.mark.parametrize("user", [[], [NOBODY]], ids=["with CAP_NET_RAW", "without"])
def test_nothing_leaves_while_the_fence_is_up(user: list[str]) -> None:
    """Without it, the same calls are seen leaving; and the socket tells the same names all the time.

    Who may not take the fence down again gets a fresh kernel socket on the fd, with the same names and options.
    """
    told = in_a_network_of_its_own(*user)
    assert len(told) == (5 if user else 7)
    for what, story in told.items():
        assert story == {
            "without": 1,
            "within": 0,
            "names within": True,
            "elsewhere": 1,
            "behind it": 0,
            "names after": True,
            "broadcast": 1,
            "after": 1,
        }, what


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
