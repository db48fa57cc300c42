"""No way round the proxy is left to a sealed program, be it root or nobody: each is tried, and the wire is recorded.

The attempts are those of tests/programs/escapes.py. They run natively first. Each attempt that this machine can make at
all must put a packet on the wire then: this shows that the attempt is a real one, and that the recording sees it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reports.client_runs import leaked
from tests.support.network.addresses import PROXY, TARGET4, TARGET6
from tests.support.network.packets import Packet
from tests.support.network.recorded import RecordedNetwork
from tests.support.paths import PROGRAMS, ROOT
from tests.support.processes import require, unavailable

SECONDS = 110.0
NOBODY = 65534
SEAL = ("-m", "socksify", "--seal=on", "--proxy=socks5h://{}:{}".format(*PROXY))
INTEL = os.uname().machine == "x86_64"

TCP = {"fast_open_by_sendto", "fast_open_by_sendmsg", "fast_open_by_sendmmsg", "mptcp"}
UDP = {
    "udp", "udp_by_sendmsg", "udp_by_interface", "udp_by_connection", "udp_by_device", "udp_by_index_of_device",
    "udp_to_a_group", "udp_to_a_group_joined", "udp_to_everybody", "udp_by_ipv6", "udp_to_a_link", "udplite",
}  # fmt: skip
I386 = {
    "connect_of_i386", "connect_by_socketcall_of_i386", "socket_of_i386", "socket_by_socketcall_of_i386",
    "fast_open_of_i386",
}  # fmt: skip
# What these put on the wire has no port.
KINDS = {"icmp", "ip", "dns", "tcp", "udp"}
PRIVILEGED = {"repair", "source_route"}

# What becomes of each attempt under the seal, beside those of UDP: nothing is expected of them but silence.
OUTCOMES = {
    "an_ordinary_connection": "echoed",
    "an_ordinary_connection_by_ipv6": "echoed",
    "fast_open_on_connect": "echoed",
    "a_filter_that_allows_everything": "echoed",
    "a_thread": "echoed",
    **dict.fromkeys(["fast_open_by_sendto", "fast_open_by_sendmsg", "fast_open_by_sendmmsg"], "ENOTSUP"),
    **dict.fromkeys(I386, "EPERM" if INTEL else "ENOSYS"),
    **dict.fromkeys(["io_uring", "connect_of_x32", "socket_of_x32"], "ENOSYS"),
    **dict.fromkeys(["mptcp", "sctp", "smc", "l2tp", "udplite"], "EPROTONOSUPPORT"),
    **dict.fromkeys(["sctp_with_messages", "dccp"], "ESOCKTNOSUPPORT"),
    **dict.fromkeys(["vsock", "packet"], "EAFNOSUPPORT"),
    **dict.fromkeys(["raw", "raw_with_flags_by_ipv6", "packet_of_the_internet_family", "repair"], "EPERM"),
    **dict.fromkeys(["source_route", "routing_header", "tcp_by_device"], "EPERM"),
    "ping": "EACCES",
    "an_address_of_nobody": "ENETUNREACH",
    "an_ipv6_address_of_nobody": "pending",
    "an_address_of_the_link": "ENETUNREACH",
    "a_group_joined_by_tcp": "ENODEV",
    "another_protocol_above_tcp": "ENOENT",
    "a_network_namespace": "ENETUNREACH",
    "a_second_listener": "EBUSY",
    "a_key_by_a_program_of_the_kernels": "ENOKEY",
    "the_parents_memory": "EPERM",
    "the_parents_descriptors": "EPERM",
}


def as_user(user: int) -> list[str]:
    """Return the first words of a command that this user runs, in an environment that the next words name."""
    # setpriv keeps its privileges until it executes a program. So another program looks for the command.
    return [require("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups", "env", "-i"]


@dataclass(frozen=True)
class Place:
    """A copy of the package and of the attempts that anybody may read, and a Python that anybody may run."""

    directory: Path
    python: str

    def words(self, user: int, *arguments: str) -> list[str]:
        """Return the command that runs the Python as this user."""
        environment = (f"PATH={os.environ['PATH']}", f"PYTHONPATH={self.directory}")
        return [*as_user(user), *environment, self.python, *arguments]

    def attempts(self) -> list[str]:
        """Return the command that makes the attempts. Nothing of the package is in that process."""
        return [self.python, "-I", "-S", str(self.directory / "escapes.py"), TARGET4, TARGET6, "eth0"]


@pytest.fixture(scope="module")
def place(root: None) -> Iterator[Place]:  # noqa: ARG001
    # pytest's own temporary directories are closed to other users.
    with tempfile.TemporaryDirectory(prefix="socksify-escapes-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        shutil.copytree(ROOT / "socksify", directory / "socksify", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROGRAMS / "escapes.py", directory)
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        yield Place(directory, python_of_anybody())


def python_of_anybody() -> str:
    """Return a Python that is new enough, and that is in no directory of root's alone."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        words = [*as_user(NOBODY), python, "-I", "-c", check]
        if subprocess.run(words, capture_output=True, timeout=SECONDS).returncode == 0:
            return python
    return unavailable("no Python from 3.11 on that nobody may run")


@dataclass(frozen=True)
class Run:
    """What became of each attempt, its port, and the packets."""

    outcomes: dict[str, str]
    ports: dict[int, str]
    packets: list[Packet]
    errors: str

    @property
    def seen(self) -> set[str]:
        """The attempts whose port is on the wire."""
        return {self.ports[packet.port] for packet in self.packets if packet.port in self.ports}


def run(network: RecordedNetwork, words: Sequence[str]) -> Run:
    with network.client() as client:
        done = subprocess.run(client.command(*words), capture_output=True, text=True, timeout=SECONDS)
        packets = client.packets()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    outcomes = {name: attempt["outcome"] for name, attempt in told.items()}
    return Run(outcomes, {attempt["port"]: name for name, attempt in told.items()}, packets, done.stderr)


@pytest.fixture(scope="module", params=[0, NOBODY], ids=["root", "nobody"])
def user(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def sealed(network: RecordedNetwork, place: Place, user: int) -> Run:
    return run(network, place.words(user, *SEAL, *place.attempts()))


def test_each_attempt_leaves_the_machine_without_a_seal(network: RecordedNetwork, place: Place, user: int) -> None:
    native = run(network, place.words(user, *place.attempts()[1:]))
    expected = TCP | UDP | (I386 if INTEL else set()) | (PRIVILEGED if user == 0 else set())
    assert native.seen >= expected
    assert {packet.kind for packet in native.packets} >= KINDS
    assert "2001:db8:99::1" in {packet.target for packet in native.packets}, "the routing header was not used"


def test_nothing_but_the_proxy_hears_of_a_sealed_program(sealed: Run) -> None:
    assert sealed.packets
    assert {str(packet) for packet in leaked(sealed.packets)} == set()


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_attempt_fails_as_on_a_kernel_that_cannot(sealed: Run, name: str) -> None:
    assert sealed.outcomes[name] == OUTCOMES[name]


def test_every_attempt_is_expected(sealed: Run) -> None:
    assert sealed.outcomes.keys() == OUTCOMES.keys() | UDP | {"dns"}
    assert "Traceback" not in sealed.errors


def test_there_is_no_seal_in_a_seal(network: RecordedNetwork, place: Place, user: int) -> None:
    with network.client() as client:
        words = place.words(user, *SEAL, place.python, *SEAL, "true")
        done = subprocess.run(client.command(*words), capture_output=True, text=True, timeout=SECONDS)
        assert (done.returncode, leaked(client.packets())) == (2, []), done.stderr
    assert "seccomp" in done.stderr
