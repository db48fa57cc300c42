"""Real programs under the seal, as root and as nobody, on a network that records every packet.

The test builds its networks as root; without root it is skipped. Each program runs natively first and must leak: this
shows that the recording sees its packets. Under the seal, its output and its exit status must be the same, and the only
packets must be TCP to the proxy. `make wire` does the same with more programs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.reports.client_runs import Run, leaked
from tests.reports.sealed.bed import Bed, bed
from tests.reports.sealed.matrix import Case, Row, usual_rows
from tests.reports.sealed.runs import NATIVE, expect_leaks, run, sealed, users_of
from tests.reports.sealed.users import User, without_network_namespaces
from tests.support.network.addresses import CLOSED_PROXY
from tests.support.network.recorded import RecordedNetwork
from tests.support.targets import PAGE

SECONDS = 30
CURL = Case("curl -s http://{target}/")
# The daemon waits until it is told to go on; setsid(1) ends at once.
DAEMON = Case("setsid -f /bin/sh -c 'read line && curl -s http://{target}/'")


@pytest.fixture(scope="module")
def programs(network: RecordedNetwork, sealed_system: None) -> Iterator[Bed]:  # noqa: ARG001
    with bed(network) as found:
        yield found


# SO_BINDTODEVICE of a new UDP socket: socket(7).
BOUND = "import socket; print(socket.socket(type=socket.SOCK_DGRAM).getsockopt(socket.SOL_SOCKET, 25, 16))"
BOUND_DEVICE = Case(f"{{python}} -I -c '{BOUND}'")


def others_errors(ended: Run, case: Case) -> str:
    """Return the errors of a run. For a program that fails, socksify tells on stderr which proxy refused what."""
    lines = ended.errors.splitlines()
    return "\n".join(line for line in lines if case.status == 0 or not line.startswith("socksify: proxy "))


@pytest.mark.parametrize("row", usual_rows(), ids=lambda row: row.what)
def test_a_program_does_the_same_and_only_the_proxy_hears_of_it(programs: Bed, row: Row) -> None:
    for case in row.cases:
        for user in users_of(programs, case):
            compare(programs, case, user)


@pytest.mark.parametrize(
    "row", [row for row in usual_rows() if row.what.startswith(("dig:", "C:"))], ids=lambda row: row.what
)
def test_it_is_so_where_no_network_namespace_can_be_had(programs: Bed, row: Row) -> None:
    """UDP sockets are then bound to lo, and the answers of the supervisor come from there."""
    for user in map(without_network_namespaces, programs.users):
        assert run(programs, sealed(), BOUND_DEVICE, user).output == repr(b"lo\0")
        for case in row.cases:
            compare(programs, case, user)


def compare(programs: Bed, case: Case, user: User) -> None:
    """Run a program natively and under the seal, and check that the outcomes are the same."""
    native = run(programs, NATIVE, case, user)
    expect_leaks(case, native)
    ended = run(programs, sealed(), case, user)
    outcomes = [(each.status, each.output, others_errors(each, case)) for each in (ended, native)]
    assert outcomes[0] == outcomes[1], f"{case.command} as {user.name}: {ended.story}"
    assert ended.packets
    assert not ended.leaked, f"{case.command} as {user.name}: {ended.story}"


def test_nothing_goes_direct_when_the_proxy_is_down(programs: Bed) -> None:
    for user in programs.users:
        ended = run(programs, sealed(CLOSED_PROXY), CURL, user)
        assert ended.status not in (0, None), ended.story
        assert {str(packet) for packet in ended.packets} == {"tcp to {} port {}".format(*CLOSED_PROXY)}, ended.story


def test_a_daemon_is_sealed_when_its_launcher_has_ended(programs: Bed) -> None:
    for user in programs.users:
        with programs.network.client() as client, programs.working_directory(user) as directory:
            command = sealed().words(DAEMON, user, programs.words(DAEMON, user))
            argv = client.command(*user.words, f"--chdir={directory}", *command)
            with subprocess.Popen(
                argv, env=NATIVE.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as launcher:
                assert launcher.wait(SECONDS) == 0
                output, errors = launcher.communicate(b"go on\n", timeout=SECONDS)
            assert (output, errors) == (PAGE, b"")
            packets = client.packets()
            assert packets
            assert not leaked(packets)
