"""The process behind a notification: its memory, its sockets and its environment.

A thread is named by its number in the supervisor's namespace. The thread may end at any moment, and its number may then
belong to another process. So after such a read, `Listener.is_valid` has to confirm that the thread still waits.
"""

from __future__ import annotations

import ctypes
import os
import struct
from errno import EBADF, EFAULT, ENOTSOCK, ESRCH

from socksify import _originals
from socksify.seal.kernel.libc import system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Linux 6.9: pidfd_open(2) takes the number of a thread.
_PIDFD_THREAD = os.O_EXCL
# In bytes: no argument that is read or written is longer.
_LONGEST = 1 << 17
# In bytes: an environment has at most this size (execve(2), a quarter of the usual stack).
_LONGEST_ENVIRONMENT = 1 << 21
# In bytes: the usual environment is shorter.
_PART = 1 << 14
_SOCKET = "socket:["
# struct iovec: an address, and a length in bytes.
_IOVEC = struct.Struct("@PN")


class Target:
    """Reads and writes the memory of processes, and takes their sockets. There is one for each supervisor."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """`numbers` are those of the system calls of this machine."""
        self._readv, self._writev = numbers["process_vm_readv"], numbers["process_vm_writev"]
        self._pidfd_getfd = numbers["pidfd_getfd"]
        self._buffer = ctypes.create_string_buffer(_LONGEST)
        self._view = memoryview(self._buffer).cast("B")
        self._iovecs = ctypes.create_string_buffer(2 * _IOVEC.size)
        local = ctypes.addressof(self._iovecs)
        self._arguments = local, 1, local + _IOVEC.size, 1, 0

    def read(self, thread: int, address: int, size: int) -> bytes:
        """Return up to `size` bytes at an address. Raises OSError: EFAULT, ESRCH, or EPERM."""
        self._set_iovecs(address, min(size, _LONGEST))
        count = system_call("process_vm_readv", self._readv, thread, *self._arguments)
        return bytes(self._view[:count])

    def read_all(self, thread: int, address: int, size: int) -> bytes:
        """Return `size` bytes at an address. Raises OSError: EFAULT if a part is missing, ESRCH, or EPERM."""
        data = self.read(thread, address, size) if size else b""
        if len(data) < size:
            raise OSError(EFAULT, os.strerror(EFAULT))
        return data

    def write(self, thread: int, address: int, data: bytes) -> None:
        """Write bytes at an address. Raises OSError: EFAULT, ESRCH, or EPERM."""
        self._view[: len(data)] = data
        self._set_iovecs(address, len(data))
        if system_call("process_vm_writev", self._writev, thread, *self._arguments) != len(data):
            raise OSError(EFAULT, os.strerror(EFAULT))

    def take_socket(self, thread: int, fd: int) -> _originals.Socket:
        """Return the target's own socket, with a descriptor of ours. Raises OSError: EBADF, ENOTSOCK or EPERM."""
        pidfd = _open_pidfd(thread)
        try:
            taken = system_call("pidfd_getfd", self._pidfd_getfd, pidfd, fd, 0)
        finally:
            os.close(pidfd)
        try:
            return _originals.Socket(fileno=taken)
        except OSError:
            os.close(taken)
            raise

    def find_socket(self, wanted: int, thread: int, fd: int) -> _originals.Socket | None:
        """Return the socket with the inode `wanted`, which was the descriptor `fd` of a thread; None if it is closed.

        The program may have duplicated the descriptor, or passed it on to another process.
        """
        for number, descriptor in ((thread, fd), *_descriptors_of(wanted)):
            try:
                sock = self.take_socket(number, descriptor)
            except OSError:
                continue
            if os.fstat(sock.fileno()).st_ino == wanted:
                return sock
            sock.close()
        return None

    def _set_iovecs(self, address: int, length: int) -> None:
        _IOVEC.pack_into(self._iovecs, 0, ctypes.addressof(self._buffer), length)
        _IOVEC.pack_into(self._iovecs, _IOVEC.size, address, length)


def inode(thread: int, fd: int) -> int:
    """Return the inode of a socket, which no other socket has while this one is open.

    Raises OSError: EBADF or ENOTSOCK.
    """
    try:
        link = os.readlink(f"/proc/{thread}/fd/{fd}")
    except FileNotFoundError:
        raise OSError(EBADF, os.strerror(EBADF)) from None
    if not link.startswith(_SOCKET):
        raise OSError(ENOTSOCK, os.strerror(ENOTSOCK))
    return int(link[len(_SOCKET) : -1])


def environment(thread: int, name: bytes) -> bytes | None:
    """Return a variable of the environment with which a process's program was started; None if there is none."""
    try:
        fd = os.open(f"/proc/{thread}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = _content(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    start = data.find(b"\0" + name + b"=") + 1 if not data.startswith(name + b"=") else 0
    if not start and not data.startswith(name + b"="):
        return None
    return data[start + len(name) + 1 :].partition(b"\0")[0]


def process_of(thread: int) -> int:
    """Return the number of the process of a thread. Raises OSError if the thread has ended."""
    with open(f"/proc/{thread}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    raise OSError(ESRCH, os.strerror(ESRCH))


def _content(fd: int) -> bytes:
    """Return the content of an `environ`. A buffer of its greatest size would cost more than the read."""
    data = part = os.read(fd, _PART)
    while len(part) == _PART and len(data) < _LONGEST_ENVIRONMENT:
        part = os.read(fd, _PART)
        data += part
    return data


def _descriptors_of(wanted: int) -> Iterator[tuple[int, int]]:
    """Yield the process and the number of each descriptor of a socket, among the processes that can be read."""
    link = f"{_SOCKET}{wanted}]"
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            numbers = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                is_wanted = os.readlink(f"/proc/{process}/fd/{number}") == link
            except OSError:
                continue
            if is_wanted and int(process) != os.getpid():
                yield int(process), int(number)


def _open_pidfd(thread: int) -> int:
    """Return a pidfd of a thread, or of its process where the kernel has pidfds of processes alone."""
    try:
        return os.pidfd_open(thread, _PIDFD_THREAD)
    except OSError:
        return os.pidfd_open(process_of(thread))
