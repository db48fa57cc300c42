"""The filter's decision about each call, on both architectures, as an interpreter of its program reads it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksify._supervision import PRIVATE_LEVEL
from socksify.seal.kernel.filter import ALLOW, ERROR, KILL, NOTIFY, filter_program
from socksify.seal.kernel.system_calls import AARCH64, X86_64, Architecture, CallTable
from tests.support.classic_bpf import run, system_call_data

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
FLAGS = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
INET, INET6 = socket.AF_INET, socket.AF_INET6
MPTCP, SCTP, UDPLITE, SMC, DCCP, L2TP = 262, 132, 136, 256, 33, 115
SOCK_DCCP, SOCK_PACKET = 6, 10
AF_ALG, AF_PACKET, AF_BLUETOOTH, AF_SMC, AF_XDP, AF_TIPC, AF_RDS, AF_KCM, AF_VSOCK = 38, 17, 31, 43, 44, 30, 21, 41, 40
FAST_OPEN = 0x20000000
POINTER = 0x7FFC_1234_5678
# The lower half of this pointer is 0.
ALIGNED_POINTER = 0x7FFC_0000_0000
# What the kernel does not look at in an argument of 32 bits.
UPPER_HALF = 0xDEAD_BEEF_0000_0000

ARCHITECTURES = pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=["x86-64", "aarch64"])
POOLED = pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "on loopback"])


def result_of(architecture: Architecture, pooled: bool, name: str, *arguments: int) -> int:
    data = system_call_data(architecture.numbers[name], architecture.audit, *arguments)
    return run(filter_program(architecture, pooled=pooled), data)


def refused(error: int) -> int:
    return ERROR | error


IO_URING = ("io_uring_setup", "io_uring_enter", "io_uring_register")
SOCKET_CALLS = ("socketcall", "socket", "socketpair", "connect", "sendto", "sendmsg", "sendmmsg", "setsockopt")
REFUSED_TO_COMPATIBLE = {
    **dict.fromkeys(IO_URING, refused(errno.ENOSYS)),
    **dict.fromkeys((*SOCKET_CALLS, "request_key"), refused(errno.EPERM)),
}

SOCKETS: list[tuple[tuple[int, int, int], int]] = [
    # The tree's own: TCP, and sockets that do not leave the machine.
    ((INET, STREAM, 0), ALLOW),
    ((INET, STREAM, socket.IPPROTO_TCP), ALLOW),
    ((INET6, STREAM | FLAGS, socket.IPPROTO_TCP), ALLOW),
    ((socket.AF_UNIX, STREAM, 0), ALLOW),
    ((socket.AF_UNIX, socket.SOCK_SEQPACKET, 0), ALLOW),
    ((socket.AF_NETLINK, socket.SOCK_RAW | FLAGS, 0), ALLOW),
    ((AF_ALG, socket.SOCK_SEQPACKET, 0), ALLOW),
    # The supervisor's: UDP.
    ((INET, DATAGRAM, 0), NOTIFY),
    ((INET, DATAGRAM | FLAGS, socket.IPPROTO_UDP), NOTIFY),
    ((INET6, DATAGRAM | socket.SOCK_CLOEXEC, 0), NOTIFY),
    ((INET6, DATAGRAM, socket.IPPROTO_UDP), NOTIFY),
    # Nobody's.
    ((INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), refused(errno.EPERM)),
    ((INET, socket.SOCK_RAW | FLAGS, 255), refused(errno.EPERM)),
    ((INET6, socket.SOCK_RAW, socket.IPPROTO_TCP), refused(errno.EPERM)),
    ((INET, SOCK_PACKET, 0x300), refused(errno.EPERM)),
    ((INET, DATAGRAM, socket.IPPROTO_ICMP), refused(errno.EACCES)),
    ((INET6, DATAGRAM | FLAGS, socket.IPPROTO_ICMPV6), refused(errno.EACCES)),
    ((INET, STREAM, MPTCP), refused(errno.EPROTONOSUPPORT)),
    ((INET6, STREAM | FLAGS, MPTCP), refused(errno.EPROTONOSUPPORT)),
    ((INET, STREAM, SCTP), refused(errno.EPROTONOSUPPORT)),
    ((INET, STREAM, SMC), refused(errno.EPROTONOSUPPORT)),
    ((INET, STREAM, socket.IPPROTO_UDP), refused(errno.EPROTONOSUPPORT)),
    ((INET, DATAGRAM, UDPLITE), refused(errno.EPROTONOSUPPORT)),
    ((INET, DATAGRAM, L2TP), refused(errno.EPROTONOSUPPORT)),
    ((INET, DATAGRAM, socket.IPPROTO_TCP), refused(errno.EPROTONOSUPPORT)),
    ((INET, socket.SOCK_SEQPACKET, SCTP), refused(errno.ESOCKTNOSUPPORT)),
    ((INET, socket.SOCK_RDM, 0), refused(errno.ESOCKTNOSUPPORT)),
    ((INET, SOCK_DCCP, DCCP), refused(errno.ESOCKTNOSUPPORT)),
    ((INET, 0, 0), refused(errno.ESOCKTNOSUPPORT)),
    *(
        ((family, kind, 0), refused(errno.EAFNOSUPPORT))
        for family in (0, AF_PACKET, AF_VSOCK, AF_BLUETOOTH, AF_SMC, AF_XDP, AF_TIPC, AF_RDS, AF_KCM, 0xFFFF_FFFF)
        for kind in (STREAM, DATAGRAM, socket.SOCK_RAW)
    ),
]


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize(("arguments", "result"), SOCKETS)
def test_a_socket_is_of_tcp_or_udp_or_stays_here(
    architecture: Architecture, pooled: bool, arguments: tuple[int, int, int], result: int
) -> None:
    assert result_of(architecture, pooled, "socket", *arguments) == result
    # The kernel takes the lower half of each: what a program leaves in the upper half changes nothing.
    assert result_of(architecture, pooled, "socket", *(UPPER_HALF | argument for argument in arguments)) == result


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize(
    ("family", "result"),
    [(socket.AF_UNIX, ALLOW), (AF_TIPC, refused(errno.EOPNOTSUPP)), (INET, refused(errno.EOPNOTSUPP))],
)
def test_a_pair_is_of_unix_sockets(architecture: Architecture, pooled: bool, family: int, result: int) -> None:
    assert result_of(architecture, pooled, "socketpair", family, STREAM, 0, POINTER) == result


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize("name", ["connect", "getpeername"])
def test_the_supervisor_sees_connections_and_their_peers(architecture: Architecture, pooled: bool, name: str) -> None:
    assert result_of(architecture, pooled, name, 3, POINTER, 16) == NOTIFY


OPTIONS = [
    # getsockopt, setsockopt, setsockopt on loopback
    ((PRIVATE_LEVEL, 1), ALLOW, NOTIFY, NOTIFY),
    ((PRIVATE_LEVEL, 0xFFFF_FFFF), ALLOW, NOTIFY, NOTIFY),
    ((socket.SOL_SOCKET, socket.SO_ERROR), NOTIFY, ALLOW, ALLOW),
    ((socket.SOL_SOCKET, socket.SO_REUSEADDR), ALLOW, ALLOW, ALLOW),
    ((socket.SOL_SOCKET, socket.SO_BINDTODEVICE), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.SOL_SOCKET, 62), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_TCP, socket.TCP_NODELAY), ALLOW, ALLOW, ALLOW),
    ((socket.IPPROTO_TCP, socket.SO_ERROR), ALLOW, ALLOW, ALLOW),
    ((socket.IPPROTO_TCP, 19), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_TCP, 31), ALLOW, refused(errno.ENOENT), refused(errno.ENOENT)),
    ((socket.IPPROTO_IP, socket.IP_TOS), ALLOW, ALLOW, ALLOW),
    ((socket.IPPROTO_IP, socket.IP_OPTIONS), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_IP, 15), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_IP, 19), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_IPV6, 75), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_IPV6, 78), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_IP, 39), ALLOW, refused(errno.ENODEV), refused(errno.ENODEV)),
    ((socket.IPPROTO_IP, 42), ALLOW, refused(errno.ENODEV), refused(errno.ENODEV)),
    ((socket.IPPROTO_IP, 46), ALLOW, refused(errno.ENODEV), refused(errno.ENODEV)),
    ((socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP), ALLOW, ALLOW, refused(errno.ENODEV)),
    ((socket.IPPROTO_IP, 8), ALLOW, ALLOW, ALLOW),
    ((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), ALLOW, ALLOW, ALLOW),
    ((socket.IPPROTO_IPV6, socket.IPV6_RTHDR), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_IPV6, 6), ALLOW, refused(errno.EPERM), refused(errno.EPERM)),
    ((socket.IPPROTO_IPV6, 42), ALLOW, refused(errno.ENODEV), refused(errno.ENODEV)),
    ((socket.IPPROTO_IPV6, 46), ALLOW, refused(errno.ENODEV), refused(errno.ENODEV)),
    ((socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP), ALLOW, ALLOW, refused(errno.ENODEV)),
    ((socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO), ALLOW, ALLOW, ALLOW),
]


@ARCHITECTURES
@pytest.mark.parametrize(("option", "got", "when_pooled", "on_loopback"), OPTIONS)
@pytest.mark.parametrize("rest", [0, UPPER_HALF], ids=["", "upper half"])
def test_an_option_that_leads_round_the_proxy_is_refused(
    architecture: Architecture, option: tuple[int, int], got: int, when_pooled: int, on_loopback: int, rest: int
) -> None:
    arguments = (3, rest | option[0], rest | option[1], POINTER, 4)
    assert result_of(architecture, True, "getsockopt", *arguments) == got
    assert result_of(architecture, False, "getsockopt", *arguments) == got
    assert result_of(architecture, True, "setsockopt", *arguments) == when_pooled
    assert result_of(architecture, False, "setsockopt", *arguments) == on_loopback


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize(("name", "index"), [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)])
@pytest.mark.parametrize("rest", [0, UPPER_HALF, socket.MSG_NOSIGNAL], ids=["alone", "upper half", "with another"])
def test_no_data_connects_a_socket(architecture: Architecture, pooled: bool, name: str, index: int, rest: int) -> None:
    before = (3, POINTER, POINTER)[:index] + (5,) * (index - 3)
    assert result_of(architecture, pooled, name, *before, rest | FAST_OPEN) == refused(errno.EOPNOTSUPP)
    is_seen = name != "sendto" and not pooled
    assert result_of(architecture, pooled, name, *before, rest) == (NOTIFY if is_seen else ALLOW)


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize("name", ["sendto", "recvfrom"])
@pytest.mark.parametrize(
    ("address", "result"),
    [(0, ALLOW), (POINTER, NOTIFY), (ALIGNED_POINTER, NOTIFY), (1, NOTIFY)],
    ids=["none", "any", "lower half 0", "upper half 0"],
)
def test_a_datagram_with_an_address_is_the_supervisors(
    architecture: Architecture, pooled: bool, name: str, address: int, result: int
) -> None:
    """In the pool's namespace the true sender answers, so recvfrom(2) is left to the kernel."""
    arguments = (3, POINTER, 100, 0, address, 16)
    is_left = pooled and name == "recvfrom"
    assert result_of(architecture, pooled, name, *arguments) == (ALLOW if is_left else result)


@ARCHITECTURES
@POOLED
def test_a_message_is_received_by_the_supervisor_on_loopback(architecture: Architecture, pooled: bool) -> None:
    assert result_of(architecture, pooled, "recvmsg", 3, POINTER, 0) == (ALLOW if pooled else NOTIFY)


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize("name", IO_URING)
def test_there_is_no_io_uring(architecture: Architecture, pooled: bool, name: str) -> None:
    assert result_of(architecture, pooled, name, 8, POINTER) == refused(errno.ENOSYS)


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize(
    ("call_out", "result"),
    [(0, ALLOW), (POINTER, refused(errno.ENOKEY)), (ALIGNED_POINTER, refused(errno.ENOKEY))],
)
def test_no_key_is_fetched_by_a_program_of_the_kernels(
    architecture: Architecture, pooled: bool, call_out: int, result: int
) -> None:
    assert result_of(architecture, pooled, "request_key", POINTER, POINTER, call_out, 0) == result


TERMINAL = [
    (0x5401, ALLOW),
    (0x5412, refused(errno.EPERM)),
    (0x541C, refused(errno.EPERM)),
    (0x1_0000_5412, refused(1)),
]


@ARCHITECTURES
@POOLED
@pytest.mark.parametrize(("command", "result"), TERMINAL)
def test_nothing_is_typed_into_the_terminal(
    architecture: Architecture, pooled: bool, command: int, result: int
) -> None:
    assert result_of(architecture, pooled, "ioctl", 0, command, POINTER) == result
    (compatible,) = architecture.compatible
    data = system_call_data(compatible.numbers["ioctl"], compatible.audit, 0, command, POINTER)
    assert run(filter_program(architecture, pooled=pooled), data) == result


def compatible_calls() -> Iterator[tuple[Architecture, CallTable, str]]:
    for architecture in (X86_64, AARCH64):
        for table in architecture.compatible:
            yield from ((architecture, table, name) for name in REFUSED_TO_COMPATIBLE if name in table.numbers)


@POOLED
@pytest.mark.parametrize(("architecture", "table", "name"), list(compatible_calls()))
def test_programs_of_another_architecture_have_no_sockets(
    pooled: bool, architecture: Architecture, table: CallTable, name: str
) -> None:
    program = filter_program(architecture, pooled=pooled)
    data = system_call_data(table.numbers[name], table.audit, socket.AF_UNIX, STREAM, 0)
    assert run(program, data) == REFUSED_TO_COMPATIBLE[name]


def test_i386_has_two_ways_to_each_call_of_sockets() -> None:
    (i386,) = X86_64.compatible
    assert {"socketcall", "socket", "connect", "sendto", "sendmsg", "sendmmsg"} <= i386.numbers.keys()


@ARCHITECTURES
@POOLED
def test_programs_of_another_architecture_run(architecture: Architecture, pooled: bool) -> None:
    # read(2), write(2), execve(2) have the same numbers on i386 and ARM.
    for number in (3, 4, 11):
        data = system_call_data(number, architecture.compatible[0].audit)
        assert run(filter_program(architecture, pooled=pooled), data) == ALLOW


@POOLED
@given(number=st.integers(0, 600), marker=st.sampled_from([0x40000000, -0x40000000]))
def test_x32_is_refused(pooled: bool, number: int, marker: int) -> None:
    data = system_call_data(marker + number, X86_64.audit)
    assert run(filter_program(X86_64, pooled=pooled), data) == refused(errno.ENOSYS)


@POOLED
@pytest.mark.parametrize(
    ("architecture", "audit"),
    [(X86_64, AARCH64.audit), (AARCH64, X86_64.audit), (X86_64, 0), (X86_64, 0xFFFF_FFFF), (AARCH64, 0x40000003)],
)
@given(number=st.integers(-(2**31), 2**31 - 1))
def test_a_call_of_an_unknown_architecture_ends_the_process(
    pooled: bool, architecture: Architecture, audit: int, number: int
) -> None:
    assert run(filter_program(architecture, pooled=pooled), system_call_data(number, audit)) == KILL


@ARCHITECTURES
@POOLED
@given(number=st.integers(0, 1000), arguments=st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_every_other_call_goes_on(architecture: Architecture, pooled: bool, number: int, arguments: list[int]) -> None:
    watched = {*SOCKET_CALLS, *IO_URING, "getpeername", "getsockopt", "recvfrom", "recvmsg", "request_key", "ioctl"}
    result = run(filter_program(architecture, pooled=pooled), system_call_data(number, architecture.audit, *arguments))
    if number not in {architecture.numbers.get(name) for name in watched}:
        assert result == ALLOW


@ARCHITECTURES
def test_the_program_is_small(architecture: Architecture) -> None:
    # Each call that has to be looked at pays for the instructions on its way.
    assert len(filter_program(architecture, pooled=True)) <= 150 * 8
