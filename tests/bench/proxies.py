"""The servers that are measured side by side, and what their processes have used."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import servers
from tests.support.processes import free_port

SOCKD = "import sys; from socksify.server.cli import main; sys.exit(main())"
# With uvloop there, it takes that for granted, and asks it for a loop that today's makes no more.
PPROXY = "import sys; sys.modules['uvloop'] = None; from pproxy.server import main; main()"
LISTENING = "0A"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Proxy:
    """A running server: the port, and the process that began to listen on it, with its children."""

    name: str
    port: int
    pid: int

    def processor(self) -> float:
        """Seconds of processor time that it has used, with the children that have ended."""
        # proc(5): utime, stime, cutime and cstime are fields 14 to 17; the second, the name, may hold blanks.
        used = (_read(pid, "stat").rpartition(")")[2].split()[11:15] for pid in _tree(self.pid))
        return sum(int(ticks) for fields in used for ticks in fields) / TICKS

    def memory(self) -> int:
        """KiB that are resident in all its processes."""
        lines = (line for pid in _tree(self.pid) for line in _read(pid, "status").splitlines())
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def ours() -> contextlib.AbstractContextManager[servers.Server]:
    return _started("sockd", ["-c", SOCKD, "--listen"], "127.0.0.1:{}")


def pproxy() -> contextlib.AbstractContextManager[servers.Server]:
    return _started("pproxy", ["-c", PPROXY, "-l"], "socks5://127.0.0.1:{}")


def bare_relay() -> contextlib.AbstractContextManager[servers.Server]:
    return _started("bare-relay", ["-m", "tests.bench.bare_relay"], "{}")


STARTS: dict[str, Callable[[], contextlib.AbstractContextManager[servers.Server]]] = {
    "ours": ours,
    "a bare loop": bare_relay,
    "microsocks": servers.microsocks,
    "danted": servers.danted,
    "ssh -D": servers.ssh_dynamic,
    "pproxy": pproxy,
}


@contextlib.contextmanager
def running(*names: str) -> Iterator[dict[str, Proxy]]:
    """Runs all of them for the length of the block; a name with `again` behind it is one more of the same."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name in names:
            server = stack.enter_context(STARTS[name.removesuffix(" again")]())
            found[name] = Proxy(name, server.port, _listener(server.port))
        yield found


@contextlib.contextmanager
def _started(name: str, words: list[str], listen: str) -> Iterator[servers.Server]:
    with tempfile.TemporaryDirectory(prefix=f"socksify-{name}-") as directory:
        server = servers.Server(name, "127.0.0.1", free_port(), Path(directory, "log"))
        with server.running([sys.executable, *words, listen.format(server.port)]):
            yield server


def _listener(port: int) -> int:
    """The oldest process that has the socket which listens on a port."""
    table = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    inodes = {row[9] for row in table if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port}
    return min(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if inodes & _sockets(pid))


def _sockets(pid: int) -> set[str]:
    found = set()
    # It may have ended, or not be ours to look at.
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}").removeprefix("socket:[").removesuffix("]"))
    return found


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in _tasks(pid):
        for child in _read(pid, f"task/{task}/children").split():
            yield from _tree(int(child))


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _read(pid: int, name: str) -> str:
    """A file of a process; nothing of one that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
