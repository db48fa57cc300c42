"""Network namespaces for tests; they end with the process that made them.

A namespace lives as long as its holder process, a `cat` that reads from this process. When this process ends in any
way, the holder ends too, and with it every interface, address and mount inside. The namespace has no name that other
processes could see.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.processes import end, require, unavailable

CLONE_NEWNET = 0x40000000
# The kernel sends nothing by itself: no duplicate address detection, no router solicitations, no autoconfiguration.
# So every packet on the wire was sent by a program. Every group may use ping sockets.
SYSCTLS = {
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/autoconf": "0",
    "ipv6/conf/default/router_solicitations": "0",
    # 1: no link-local address.
    "ipv6/conf/default/addr_gen_mode": "1",
    "ipv4/ping_group_range": "0 2147483647",
}
SETUP = """
set -e
for file in "$0"/*; do mount --bind "$file" "/etc/${file##*/}"; done
echo "$1" >/proc/sys/kernel/hostname
shift
for setting in "$@"; do echo "${setting#*=}" >"/proc/sys/net/${setting%%=*}"; done
ip link set lo up
echo ready
exec cat
"""


class Namespace:
    """A namespace with its own network, files in /etc and host name.

    `etc` is a directory. Each file in it is mounted over the file of the same name in /etc.
    """

    def __init__(self, etc: Path, hostname: str) -> None:
        settings = [f"{name}={value}" for name, value in SYSCTLS.items()]
        unshare = [require("unshare"), "--net", "--mount", "--uts"]
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", SETUP, str(etc), hostname, *settings],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=PROGRAMS,
        )  # fmt: skip
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            _, why = self._holder.communicate(timeout=10)
            unavailable(f"no network namespace can be made here: {why.strip()}")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def close(self) -> None:
        end(self._holder)
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, *argv: str) -> list[str]:
        """Return the command that runs `argv` inside the namespace."""
        return [require("nsenter"), "--target", str(self.pid), "--net", "--mount", "--uts", "--", *argv]

    def ip(self, *lines: str) -> None:
        """Run these commands of `ip` inside the namespace."""
        done = subprocess.run(
            self.command(require("ip"), "-batch", "-"),
            input="\n".join(lines), capture_output=True, text=True, timeout=30, env=PROGRAMS,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"ip: {done.stderr}")

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Put this thread inside for the length of the block. Sockets and threads made meanwhile stay inside."""
        own, other = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            _enter(other)
            try:
                yield
            finally:
                _enter(own)
        finally:
            os.close(own)
            os.close(other)


def needs_root() -> None:
    """Skip the test, or fail in CI, if this process may not make namespaces."""
    if os.geteuid() != 0:
        unavailable("this test makes network namespaces, for which it must be root")


def etc(directory: Path, files: Mapping[str, str]) -> Path:
    """Make `directory` with these files in it, for `Namespace`."""
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def _enter(fd: int) -> None:
    # os.setns() came with Python 3.12.
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


_libc = ctypes.CDLL(None, use_errno=True)
# The programs that configure networks are not on every user's PATH.
PROGRAMS: Mapping[str, str] = {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
