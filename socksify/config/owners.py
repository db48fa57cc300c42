"""Who may have written a file that nobody has named: the checks of ssh's StrictModes and git's safe.directory.

What is in such a file decides where connections go, so it counts only where nobody else can have written it: it belongs
to us or to root, and neither its group (but for a user's private one) nor others may write it.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def objection(status: os.stat_result, environ: Mapping[str, str]) -> str:
    """Why what has this status may be somebody else's; empty if it is ours or root's alone."""
    if status.st_uid not in _trusted(environ):
        return f"it belongs to another user (uid {status.st_uid})"
    if status.st_mode & stat.S_IWOTH:
        return "anybody may write it"
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
        return f"its group (gid {status.st_gid}) may write it"
    return ""


def _trusted(environ: Mapping[str, str]) -> set[int]:
    """The uids whose files we read: as git(1) does, sudo's root reads those of who called it, too."""
    own = os.geteuid()
    caller = environ.get("SUDO_UID", "") if own == 0 else ""
    return {own, 0} | ({int(caller)} if caller.isascii() and caller.isdecimal() else set())


def _is_private(gid: int, uid: int) -> bool:
    """Whether a group is the private one of its user: it is called as the user is, and has no other member.

    Where each user has one, the umask lets the group write.
    """
    if gid == 0:
        return True
    try:
        import grp
        import pwd

        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except (ImportError, KeyError):
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
