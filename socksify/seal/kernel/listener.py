"""The notifications of the filter: system calls that wait for an answer (seccomp_unotify(2)).

A notification is valid until it is answered, or until a signal ends the call. An answer that comes too late is not an
error: nobody waits for it any more.
"""

from __future__ import annotations

import fcntl
import os
import struct
from errno import EINTR, ENOENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    # id, thread, flags, number of the system call, architecture, instruction pointer, six arguments.
    Notification = tuple[int, int, int, int, int, int, int, int, int, int, int, int]

# struct seccomp_notif, which holds a struct seccomp_data.
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
# struct seccomp_notif_resp: id, value, error, flags.
_RESPONSE = struct.Struct("=QqiI")
# struct seccomp_notif_addfd: id, flags, our descriptor, the descriptor to replace, flags of the new descriptor.
_ADDFD = struct.Struct("=QIIII")
_ID = struct.Struct("=Q")

# <linux/seccomp.h>
_RECV, _SEND, _ID_VALID = 0xC0502100, 0xC0182101, 0x40082102
_ADD, _SET_FLAGS = 0x40182103, 0x40082104
_FLAG_CONTINUE = 1
_ADDFD_FLAG_SEND = 2
_SYNC_WAKE_UP = 1

_EMPTY = bytes(_NOTIFICATION.size)
_CLOEXEC = 0o2000000


class Listener:
    """The descriptor of the filter. `close` closes it: from then on, the calls fail with ENOSYS."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._wake_up_at_once()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def receive(self) -> Notification | None:
        """Return the next notification, or None if the call has ended meanwhile.

        Call it when the descriptor is readable, because it blocks.
        """
        buffer = bytearray(_EMPTY)
        try:
            fcntl.ioctl(self.fd, _RECV, buffer)
        except OSError as error:
            if error.errno in (ENOENT, EINTR):
                return None
            raise
        return _NOTIFICATION.unpack(buffer)

    def answer(self, id: int, value: int = 0, error: int = 0) -> bool:
        """End the call: it returns `value`, or fails with the errno `error`. Return False if the call was over."""
        return self._send(id, value, -error, 0)

    def proceed(self, id: int) -> None:
        """Let the kernel carry out the call.

        seccomp_unotify(2): the memory of the target may have changed since it was read. So this must be safe whatever
        the arguments that are pointers, and the descriptors, mean by then.
        """
        self._send(id, 0, 0, _FLAG_CONTINUE)

    def is_valid(self, id: int) -> bool:
        """Return True if the call still waits. Then what was read by its thread's number belongs to that thread."""
        try:
            fcntl.ioctl(self.fd, _ID_VALID, _ID.pack(id))
        except OSError as error:
            if error.errno == ENOENT:
                return False
            raise
        return True

    def add_descriptor(self, id: int, fd: int, close_on_exec: bool) -> None:
        """Give the target a duplicate of our descriptor `fd`. The call returns its number.

        Raises OSError, for example EMFILE. The call then still waits.
        """
        request = _ADDFD.pack(id, _ADDFD_FLAG_SEND, fd, 0, _CLOEXEC if close_on_exec else 0)
        try:
            fcntl.ioctl(self.fd, _ADD, request)
        except OSError as error:
            if error.errno != ENOENT:
                raise

    def _send(self, id: int, value: int, error: int, flags: int) -> bool:
        try:
            fcntl.ioctl(self.fd, _SEND, _RESPONSE.pack(id, value, error, flags))
        except OSError as failure:
            if failure.errno == ENOENT:
                return False
            raise
        return True

    def _wake_up_at_once(self) -> None:
        """Let the kernel run the other side on the same processor, which saves time. Before Linux 6.6 it cannot."""
        try:
            fcntl.ioctl(self.fd, _SET_FLAGS, _SYNC_WAKE_UP)
        except OSError:
            pass
