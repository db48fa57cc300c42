"""What the kernel tells of processes in /proc."""

from __future__ import annotations

# In processes: no tree is deeper. The walk up a tree ends although processes end meanwhile.
_DEEPEST = 1000
_SECCOMP_MODE_FILTER = "2"


def is_stopped(process: int) -> bool:
    """Return True if a process is stopped, by job control or by a tracer."""
    return _status(process)[:1] in ([b"T"], [b"t"])


def descends_from(process: int, ancestors: tuple[int, ...]) -> bool:
    """Return True if a process is one of `ancestors`, or was started below one. A process that has ended is not."""
    for _ in range(_DEEPEST):
        if process in ancestors:
            return True
        status = _status(process)
        process = int(status[1]) if status else 0
        if process <= 1:
            return False
    return False


def _status(process: int) -> list[bytes]:
    """Return the state, the parent and more of a process (proc_pid_stat(5)); nothing if it has ended."""
    try:
        with open(f"/proc/{process}/stat", "rb", buffering=0) as file:
            # The name of the program, in parentheses, may contain anything.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def is_filtered() -> bool:
    """Return True if this process is under a seccomp filter, whoever has installed it."""
    return own_field("Seccomp") == _SECCOMP_MODE_FILTER


def own_field(name: str) -> str:
    """Return a field of proc_pid_status(5) for this process; "" if there is none."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return ""
    return fields.get(name, "").strip()
