"""What the kernel's socket calls return, natively and under the seal: the same.

Each case is a program that makes raw system calls (`tests.support.socket_calls`). It runs twice. Natively its peer is a
listener of this test. Under the seal its peer is the same code at the end of a SOCKS proxy: the proxy plays the target,
so it can hold, refuse and reset as a listener can.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from tests.support.bad_proxy import BadProxy, Session
from tests.support.held_listener import Step, held_listener
from tests.support.network.namespaces import needs_root
from tests.support.paths import ROOT
from tests.support.processes import free_port
from tests.support.steps import CLOSE, READ_GREETING, READ_REQUEST, Send, socks5_reply
from tests.support.unprivileged import as_user

pytestmark = pytest.mark.usefixtures("sealed_system")

SECONDS = 60.0
REFUSED, TIMED_OUT = 5, 6


def ECHO(session: Session) -> None:
    while data := session.stream.recv(65536):
        session.stream.sendall(data)


def SAYS_BYE(session: Session) -> None:
    session.stream.sendall(b"bye")
    CLOSE(session)


def ABORTS(session: Session) -> None:
    """Answer a byte with a reset."""
    session.stream.sendall(b"bye")
    session.read(1)
    session.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    session.stream.close()


def TAKES_URGENT_DATA(session: Session) -> None:
    """Answer with the urgent byte, and what comes before and after it."""
    is_urgent = select.select([], [], [session.stream], 2)[2]
    urgent = session.stream.recv(1, socket.MSG_OOB) if is_urgent else b"none"
    before = session.read(6)
    after = session.read(5)
    session.stream.sendall(urgent + before + after)
    ECHO(session)


def SENDS_URGENT_DATA(session: Session) -> None:
    session.stream.sendall(b"before")
    session.stream.send(b"!", socket.MSG_OOB)
    session.read(1)
    session.stream.sendall(b"after")
    ECHO(session)


class Answer(Enum):
    """What becomes of the connects to the peer."""

    AT_ONCE = "accepted at once"
    HELD = "accepted after the program's go()"
    REFUSED = "refused at once"
    HELD_REFUSED = "refused after the program's go()"
    NEVER = "never answered; the proxy says that it was not"


@dataclass(frozen=True)
class Case:
    """A function of `tests.support.socket_calls` and the peer that it expects.

    `code` is the proxy's reply where natively there is no answer; `routes` are those under the seal.
    """

    name: str
    answer: Answer = Answer.AT_ONCE
    step: Step = ECHO
    host: str = "127.0.0.1"
    code: int = 0
    routes: tuple[str, ...] = ("*=proxy",)


HELD = [
    *(f"pending.{name}" for name in (
        "connected_again", "asked_for_its_error", "not_ready_before", "used_too_early", "shut_down", "closed",
        "disconnected", "made_blocking", "timed_out", "another_address", "asked_for_options", "hundreds",
    )),
    *(f"readiness.{name}" for name in ("level_triggered", "edge_triggered", "one_shot", "of_a_dup", "nested")),
    *(f"interrupted.{name}" for name in (
        "by_a_handler", "joined_afterwards", "restarted", "stopped", "killed", "closed_meanwhile",
    )),
    *(f"shared.{name}" for name in (
        "a_dup", "a_reused_number", "a_fork", "a_fork_alone", "an_exec", "threads", "one_socket_of_two_threads",
        "processes",
    )),
]  # fmt: skip
HELD_REFUSED = [
    *(f"refused.{name}" for name in (
        "by_so_error", "by_second_connect", "then_disconnected", "the_sets",
    )),
    *(f"interrupted.{name}" for name in ("refused_afterwards", "refused_restarted")),
    "shared.a_dup_refused",
]  # fmt: skip
ECHOED = [
    *(f"stream.{name}" for name in ("half_closed", "with_addresses", "bulk")),
    *(f"addresses.{name}" for name in (
        "names", "names_in_memory", "names_of_others", "options", "so_error_in_memory", "bound", "bound_to_one_port",
        "disconnected", "connected_twice", "wrong_arguments", "mapped", "other_kinds",
    )),
]  # fmt: skip
CASES = [
    *(Case(name, Answer.HELD) for name in HELD),
    *(Case(name, Answer.HELD_REFUSED, code=REFUSED) for name in HELD_REFUSED),
    *(Case(name) for name in ECHOED),
    *(Case(f"addresses.{name}", host="::1") for name in ("names", "ipv6_only", "wrong_arguments6", "disconnected")),
    *(
        Case(f"refused.{name}", Answer.REFUSED, code=REFUSED)
        for name in ("by_connect", "by_connect_again", "after_a_bind")
    ),
    *(Case(f"refused.{name}", Answer.NEVER, code=TIMED_OUT) for name in ("in_time", "in_time_meanwhile")),
    Case("stream.closed_by_the_peer", step=SAYS_BYE),
    Case("stream.aborted_by_the_peer", step=ABORTS),
    Case("refused.by_connect", Answer.REFUSED, routes=()),
    Case("refused.by_so_error", Answer.REFUSED, routes=()),
    Case("addresses.own_listener", routes=()),
]


def _refused(*names: str) -> list[Case]:
    return [Case(name, Answer.HELD_REFUSED, code=REFUSED) for name in names]


# A blocking socket cannot be connected to a proxy that has a Unix socket: it waits in SYN_SENT, like others.
THROUGH_UNIX_SOCKET = [
    *(Case(name, Answer.HELD) for name in HELD if name.startswith("interrupted.")),
    *(
        Case(f"pending.{name}", Answer.HELD)
        for name in ("timed_out", "timed_out_and_polled", "made_blocking", "disconnected")
    ),
    *(Case(f"shared.{name}", Answer.HELD) for name in ("threads", "one_socket_of_two_threads", "processes")),
    Case("interrupted.polled_afterwards", Answer.HELD),
    *_refused("interrupted.refused_afterwards", "interrupted.refused_restarted"),
    *(
        Case(f"refused.{name}", Answer.REFUSED, code=REFUSED)
        for name in ("by_connect", "by_connect_again", "after_a_bind")
    ),
    *(Case(f"addresses.{name}", host="::1") for name in ("names", "own_name")),
    *(Case(f"addresses.{name}") for name in ("names", "bound", "connected_twice", "disconnected", "options")),
]
# What differs, and why.
LIMITS = {
    "A relay passes urgent data on as other data.": [
        Case("stream.urgent_sent", step=TAKES_URGENT_DATA),
        Case("stream.urgent_received", step=SENDS_URGENT_DATA),
        Case("stream.urgent_inline", step=SENDS_URGENT_DATA),
    ],
    "Only SO_ERROR and connect(2) are notified; the kernel's own error is ECONNRESET.": _refused(
        "refused.by_recv", "refused.by_send"
    ),
    "A socket that was shut down in SYN_SENT has no POLLIN and no POLLRDHUP.": _refused(
        "readiness.refused", "refused.the_events"
    ),
    "After SO_ERROR, the kernel refuses one connect(2) more with ECONNABORTED.": _refused(
        "refused.then_connected_again"
    ),
    "The socket of a blocking connect(2) is writable when the proxy is reached.": [
        Case("interrupted.polled_afterwards", Answer.HELD),
        Case("pending.timed_out_and_polled", Answer.HELD),
    ],
    "A blocking socket of IPv6 is itself connected to the proxy, by IPv4.": [Case("addresses.own_name", host="::1")],
}
Go = Callable[[], object]


def _id(case: Case) -> str:
    return f"{case.name} {case.host}{'' if case.routes else ' direct'}"


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_calls_return_the_same(case: Case) -> None:
    _compare(case)


@pytest.mark.parametrize("name", ["ended", "aborted", "closed_unread"])
def test_the_peer_sees_the_same_end(name: str) -> None:
    """The bytes that arrived, and a reset if there was one, on each of the two connections."""
    ends: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    seen: list[list[tuple[int, str]]] = []

    def witness(session: Session) -> None:
        count, end = 0, "end of file"
        try:
            while data := session.stream.recv(65536):
                count += len(data)
                if name != "ended":
                    session.stream.sendall(data)
        except ConnectionResetError:
            end = "reset"
        ends.put((count, end))

    _compare(
        Case(f"stream.{name}", step=witness),
        over=lambda: seen.append(sorted(ends.get(timeout=SECONDS) for _ in range(2))),
    )
    native, sealed = seen
    assert sealed == native


@pytest.mark.parametrize(
    "name", ["pending.connected_again", "interrupted.restarted", "shared.a_fork", "shared.an_exec"]
)
def test_calls_return_the_same_for_nobody(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_root()
    command, python = as_user("nobody")
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", "/nonexistent")
    _compare(Case(name, Answer.HELD), prefix=command)


@pytest.mark.parametrize("case", THROUGH_UNIX_SOCKET, ids=_id)
def test_calls_return_the_same_through_a_unix_socket(case: Case, tmp_path: Path) -> None:
    _compare(case, path=tmp_path / "proxy")


@pytest.mark.parametrize("case", [*itertools.chain(*LIMITS.values())], ids=_id)
def test_a_limit_is_still_one(case: Case) -> None:
    """If a limit has fallen, its case belongs in the table of what is the same."""
    with pytest.raises(AssertionError, match="differs"):
        _compare(case)


def _compare(
    case: Case, *, path: Path | None = None, prefix: Sequence[str] = (), over: Callable[[], object] = lambda: None
) -> None:
    """Run a case both ways. `over` is called after each, while the peer is still there."""
    with _native_peer(case) as (address, go):
        native = _transcript(_program(case, address), go)
        over()
        with _proxy(case, path) as (url, release):
            sealed = _transcript([*prefix, *_sealed(url, case, address)], release)
            over()
    assert sealed == native, "the sealed program differs"


def _program(case: Case, address: tuple[str, int]) -> list[str]:
    words = [case.name, address[0], str(address[1])]
    return [sys.executable, "-S", "-E", "-m", "tests.support.socket_calls", *words]


def _sealed(url: str, case: Case, address: tuple[str, int]) -> list[str]:
    routes = [word for route in case.routes for word in ("--route", route)]
    return [sys.executable, "-m", "socksify", "--seal=on", "--proxy", url, *routes, *_program(case, address)]


@contextlib.contextmanager
def _native_peer(case: Case) -> Iterator[tuple[tuple[str, int], Go]]:
    if case.answer is Answer.REFUSED:
        yield (case.host, free_port(case.host)), lambda: None
        return
    with held_listener(case.host, case.step) as listener:
        if case.answer is Answer.AT_ONCE:
            listener.open()
        go = {Answer.HELD: listener.open, Answer.HELD_REFUSED: listener.refuse}.get(case.answer, lambda: None)
        yield listener.address, go


@contextlib.contextmanager
def _proxy(case: Case, path: Path | None) -> Iterator[tuple[str, Go]]:
    released = threading.Event()
    if case.answer in (Answer.AT_ONCE, Answer.REFUSED, Answer.NEVER):
        released.set()

    def hold(_: Session) -> None:
        released.wait(SECONDS)

    end = CLOSE if case.code else case.step
    with BadProxy(
        [READ_GREETING, Send(b"\5\0"), READ_REQUEST, hold, Send(socks5_reply(case.code)), end], path=path
    ) as proxy:
        try:
            yield proxy.url(), released.set
        finally:
            released.set()


def _transcript(argv: list[str], go: Go) -> str:
    """What the program prints, and its exit status. Its line GO is an order to the peer."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "GO\n":
                go()
        status = process.wait()
        timer.cancel()
        errors.seek(0)
        assert "Traceback" not in (said := errors.read()), said
        return "".join([*lines, f"status {status}\n"])
