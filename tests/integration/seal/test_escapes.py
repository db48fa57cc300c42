"""No way round the proxy is left to a sealed program, be it root or nobody: each is tried, and the wire is recorded.

The attempts are those of tests/programs/escapes.py. They run natively first. Each attempt that this kernel can make at
all must put a packet on the wire then: this shows that the attempt is a real one, and that the recording sees it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
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
from tests.support.unprivileged import as_user

SECONDS = 110.0
PYTHON = "PYTHON"
# The client's own address on the link.
LINK = "fe80::97"
ESCAPES, ANY_CALL = PROGRAMS / "escapes.py", PROGRAMS / "any_socket_call.py"
WITHOUT_NAMESPACES = Path(__file__).with_name("without_namespaces.py")
SEAL = ("-m", "socksify", "--seal=on", "--proxy=socks5h://{}:{}".format(*PROXY))
INTEL = os.uname().machine == "x86_64"

TCP = {"fast_open_by_sendto", "fast_open_by_sendmsg", "fast_open_by_sendmmsg", "mptcp", "loopback_by_interface"}
UDP = {
    "udp", "udp_by_sendmsg", "udp_by_interface", "udp_by_connection", "udp_by_device", "udp_by_index_of_device",
    "udp_to_a_group", "udp_to_a_group_joined", "udp_to_everybody", "udp_by_ipv6", "udp_to_a_link", "udp_from_a_link",
    "udp_after_a_connection", "udplite",
}  # fmt: skip
I386 = {
    "connect_of_i386", "connect_by_socketcall_of_i386", "socket_of_i386", "socket_by_socketcall_of_i386",
    "fast_open_of_i386",
}  # fmt: skip
PRIVILEGED = {"repair", "source_route"}
# What other attempts put on the wire has no port: ping, DNS, IGMP, an IPv6 packet with a routing header.
WITHOUT_PORT = {f"icmp to {TARGET4}", f"udp to {TARGET4} port 53 asking for secret.example", "ip 2 to 224.0.0.22"}
ROUTED = "ip 43 to 2001:db8:99::1"
# A kernel that is built without a protocol says so. Without 32-bit programs it ends the process.
CANNOT = {"EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT", "ENOSYS", f"ended by signal {int(signal.SIGSEGV)}"}

# What becomes of each attempt under the seal, beside those of UDP: nothing is expected of them but silence.
OUTCOMES = {
    "an_ordinary_connection": "echoed",
    "an_ordinary_connection_by_ipv6": "echoed",
    "fast_open_on_connect": "echoed",
    "a_filter_that_allows_everything": "echoed",
    "a_thread": "echoed",
    **dict.fromkeys(["fast_open_by_sendto", "fast_open_by_sendmsg", "fast_open_by_sendmmsg"], "ENOTSUP"),
    **dict.fromkeys(I386, "EPERM" if INTEL else "ENOSYS"),
    "another_call_of_i386": "answered" if INTEL else "ENOSYS",
    **dict.fromkeys(["io_uring", "connect_of_x32", "socket_of_x32"], "ENOSYS"),
    **dict.fromkeys(["mptcp", "sctp", "smc", "l2tp", "udplite"], "EPROTONOSUPPORT"),
    **dict.fromkeys(["sctp_with_messages", "dccp"], "ESOCKTNOSUPPORT"),
    **dict.fromkeys(["vsock", "packet"], "EAFNOSUPPORT"),
    **dict.fromkeys(["raw", "raw_with_flags_by_ipv6", "packet_of_the_internet_family", "repair"], "EPERM"),
    **dict.fromkeys(["source_route", "routing_header", "tcp_by_device"], "EPERM"),
    "ping": "EACCES",
    "an_address_of_nobody": "EPERM",
    "an_ipv6_address_of_nobody": "EPERM",
    "an_address_of_the_link": "ENETUNREACH",
    "loopback_by_interface": "ENETUNREACH",
    "a_group_joined_by_tcp": "ENODEV",
    "another_protocol_above_tcp": "ENOENT",
    "a_network_namespace": "ENETUNREACH",
    "a_second_listener": "EBUSY",
    "a_key_by_a_program_of_the_kernels": "ENOKEY",
    "the_parents_memory": "EPERM",
    "the_parents_descriptors": "EPERM",
}


@dataclass(frozen=True)
class Place:
    """A copy of the package and of the programs, which any user may read."""

    directory: Path

    def words(self, user: str, *arguments: str) -> list[str]:
        """Return a command that runs Python as this user. PYTHON stands for the Python among the arguments."""
        command, python = as_user(user)
        # setpriv keeps its privileges until it executes a program. So another program looks for Python.
        environment = ["env", "-i", f"PATH={os.environ['PATH']}", f"PYTHONPATH={self.directory}"]
        return [*command, *environment, *(python if word == PYTHON else word for word in (PYTHON, *arguments))]

    def file(self, name: str) -> str:
        return str(self.directory / name)

    def attempts(self) -> list[str]:
        """Return the arguments of Python that make the attempts. Nothing of the package is in that process."""
        return ["-I", "-S", self.file(ESCAPES.name), TARGET4, TARGET6, "eth0", LINK]


@pytest.fixture(scope="module")
def place(root: None) -> Iterator[Place]:  # noqa: ARG001
    # pytest's own temporary directories are closed to other users.
    with tempfile.TemporaryDirectory(prefix="socksify-escapes-") as name:
        directory = Path(name)
        shutil.copytree(ROOT / "socksify", directory / "socksify", ignore=shutil.ignore_patterns("__pycache__"))
        for program in (ESCAPES, ANY_CALL, WITHOUT_NAMESPACES):
            shutil.copy(program, directory)
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        yield Place(directory)


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
        client.namespace.ip(f"addr add {LINK}/64 dev eth0 nodad")
        done = subprocess.run(client.command(*words), capture_output=True, text=True, timeout=SECONDS)
        packets = client.packets()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    outcomes = {name: attempt["outcome"] for name, attempt in told.items()}
    return Run(outcomes, {attempt["port"]: name for name, attempt in told.items()}, packets, done.stderr)


@pytest.fixture(scope="module", params=["root", "nobody"])
def user(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module", params=[True, False], ids=["with a pool", "on loopback"])
def pooled(request: pytest.FixtureRequest) -> bool:
    """Whether UDP sockets are in an empty namespace, or bound to the loopback interface for want of one."""
    found: bool = request.param
    return found


@pytest.fixture(scope="module")
def seal(place: Place, pooled: bool) -> list[str]:
    """The arguments of Python that seal the command after them."""
    return [*([] if pooled else [place.file(WITHOUT_NAMESPACES.name), PYTHON]), *SEAL]


@pytest.fixture(scope="module")
def sealed(network: RecordedNetwork, place: Place, user: str, seal: list[str]) -> Run:
    return run(network, place.words(user, *seal, PYTHON, *place.attempts()))


@pytest.fixture(scope="module")
def native(network: RecordedNetwork, place: Place, user: str) -> Run:
    return run(network, place.words(user, *place.attempts()))


def test_each_attempt_leaves_the_machine_without_a_seal(native: Run, user: str) -> None:
    expected = TCP | UDP | I386 | (PRIVILEGED if user == "root" else set())
    assert native.seen >= {name for name in expected if native.outcomes[name] not in CANNOT}
    packets = {str(packet) for packet in native.packets}
    assert packets >= WITHOUT_PORT
    # The kernel may be built without segment routing.
    assert ROUTED in packets or native.outcomes["routing_header"] != "timed out"


def test_nothing_but_the_proxy_hears_of_a_sealed_program(sealed: Run) -> None:
    assert sealed.packets
    assert {str(packet) for packet in leaked(sealed.packets)} == set()


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_an_attempt_fails_as_on_a_kernel_that_cannot(sealed: Run, native: Run, pooled: bool, name: str) -> None:
    in_sandbox = {} if pooled else {"a_network_namespace": "EPERM"}
    expected = in_sandbox.get(name, OUTCOMES[name])
    found = sealed.outcomes[name]
    assert found == expected or found == native.outcomes[name] in CANNOT


def test_every_attempt_is_expected(sealed: Run) -> None:
    assert sealed.outcomes.keys() == OUTCOMES.keys() | UDP | {"dns"}
    assert "Traceback" not in sealed.errors


def test_no_system_call_leaks_whatever_its_arguments(
    network: RecordedNetwork, place: Place, user: str, seal: list[str]
) -> None:
    """Natively, some hundred packets leave."""
    calls = [PYTHON, "-I", "-S", place.file(ANY_CALL.name), str(sys.version_info.minor), "20000", "eth0"]
    with network.client() as client:
        words = client.command(*place.words(user, *calls[1:]))
        subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=True)
        assert {packet.kind for packet in client.packets()} >= {"tcp", "udp"}
        words = client.command(*place.words(user, *seal, *calls))
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=True)
        assert {str(packet) for packet in leaked(client.packets())} == set()
    assert int(done.stdout) > 1000
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("setting", ["on", "off"])
def test_a_launcher_in_a_seal_stays_in_it(network: RecordedNetwork, place: Place, setting: str) -> None:
    inner = [*SEAL, f"--seal={setting}"]
    nested = run(network, place.words("nobody", *SEAL, PYTHON, *inner, PYTHON, *place.attempts()))
    assert {str(packet) for packet in leaked(nested.packets)} == set()
    assert nested.outcomes["an_ordinary_connection"] == "echoed"
