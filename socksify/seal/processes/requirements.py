"""Why a seal cannot be had: the call that has failed, the reason, and what can be done about it.

Nothing is asked beforehand. The seal is put on, and the call that fails says what is missing. The kernel's error is
seldom enough: EPERM may come from a container's filter, from Yama, or from the rights of this user.
"""

from __future__ import annotations

from errno import EACCES, EBUSY, EINVAL, ENOSYS, ENOTTY, EPERM

from socksify.seal.errors import SealUnavailableError
from socksify.seal.processes.process_status import is_filtered, own_field

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
# capabilities(7)
_CAP_SYS_PTRACE = 19
# The calls with which the supervisor looks into the processes of the tree.
_OBSERVING = ("process_vm_readv", "pidfd_getfd", "pidfd_open")
_CONTAINER = (
    "the seccomp profile of a container, or of another sandbox, refuses the call."
    " Start the container with --cap-add SYS_PTRACE, or with --security-opt seccomp=unconfined."
)
_REFUSED = (EPERM, EACCES)


def explain(error: Exception) -> SealUnavailableError:
    """Return the error that tells the user why there is no seal.

    The message of an OSError begins with the name of the call that has failed.
    """
    if isinstance(error, SealUnavailableError):
        return error
    if not isinstance(error, OSError):
        return SealUnavailableError(f"{type(error).__name__}: {error}")
    call, _, text = (error.strerror or str(error)).partition(": ")
    why = _reason(call, error.errno or 0)
    return SealUnavailableError(": ".join(filter(None, (call, text, why))))


def _reason(call: str, number: int) -> str:
    if call == "seccomp":
        return _no_listener(number)
    if call in _OBSERVING and number in _REFUSED:
        return _not_observable()
    if call in _OBSERVING and number == ENOSYS:
        return "the kernel has no such call. Linux 5.14 or later is needed."
    if call == "ioctl":
        return _no_descriptor(number)
    return _CONTAINER if number in _REFUSED and is_filtered() else ""


def _no_listener(number: int) -> str:
    """Return why seccomp(2) gives no listener."""
    if number == EBUSY:
        return (
            "another program supervises the system calls of this process already: a seal, another sandbox, or WSL 2"
            " in its mirrored networking. Start the program outside of it; for WSL 2, set networkingMode=nat."
        )
    if number == EINVAL:
        return "this kernel supervises no system calls. gVisor cannot do so, nor can Linux before 5.14."
    if number == ENOSYS:
        return "this kernel, or an emulator, has no seccomp. Linux 5.14 or later with CONFIG_SECCOMP_FILTER is needed."
    return _CONTAINER if number in _REFUSED else ""


def _no_descriptor(number: int) -> str:
    """Return why SECCOMP_IOCTL_NOTIF_ADDFD gives the program no descriptor."""
    return "the kernel is too old. Linux 5.14 or later is needed." if number in (EINVAL, ENOTTY) else ""


def _not_observable() -> str:
    """Return why a process may not look into the memory and the descriptors of its own child (ptrace(2))."""
    scope = _ptrace_scope()
    if scope >= 3:
        return f"{_YAMA} is {scope}, so nobody may look into another process. Set it to 1, which needs a reboot."
    if scope == 2 and not _has_capability(_CAP_SYS_PTRACE):
        return f"{_YAMA} is 2, so only root may look into other processes. Run as root, or set it to 1."
    return _CONTAINER if is_filtered() else "this process may not look into its children."


def _ptrace_scope() -> int:
    try:
        with open(_YAMA, "rb") as file:
            return int(file.read())
    except (OSError, ValueError):  # there is no Yama
        return 0


def _has_capability(number: int) -> bool:
    return bool(int(own_field("CapEff") or "0", 16) >> number & 1)
