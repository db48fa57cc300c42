"""Tells a command from a Python program.

A command is executed by execve(2). A Python program runs in this interpreter, as under `python`. The words of the
command line decide, and the first bytes of the file that they name.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Python runs these files whatever their first line names: `python script.py` does not read that line either.
_PYTHONS_FILES = (".py", ".pyw", ".pyc", ".pyz")
_ELF = b"\x7fELF"
_CAPABILITIES = "security.capability"
# The kernel reads this many bytes of a script (BINPRM_BUF_SIZE).
_SHEBANG_SIZE = 256
# A script that begins with the line of a shell and goes on with a string of Python is both: the shell executes a Python
# with the same file. pip writes such scripts if the path of the Python is too long for the first line.
_SHELL_AND_PYTHON = (b"'''", b'"""', b"'exec'", b'"exec"')


def find_command(words: Sequence[str]) -> str:
    """Return the path of the command that `words` name, or "" if they name a Python program.

    `words` begin with a command, or with one of the words that `program.run` takes. A command is an ELF file, a script
    of another interpreter than Python, or a name without `/` that is no program in the working directory and is found
    on PATH. A Python program on PATH is a command, too: it may belong to another Python than this one.
    """
    word = words[0]
    if word.startswith("-") or "\0" in word:
        return ""
    if "/" in word:
        return word if _is_command(word) else ""
    if not _is_here(word):
        return _on_path(word)
    return os.path.join(os.curdir, word) if _is_command(word) else ""


def gives_privileges(path: str) -> bool:
    """Return True if execve(2) of a file gives its process other privileges: setuid, setgid or capabilities(7)."""
    try:
        status = os.stat(path)
        others = status.st_mode & stat.S_ISUID and status.st_uid != os.geteuid()
        return bool(others or status.st_mode & stat.S_ISGID or _CAPABILITIES in os.listxattr(path))
    except OSError:  # the file is gone, or its file system has no attributes
        return False


def _is_here(name: str) -> bool:
    """Return True if Python can run the file `name` of the working directory, or could try to."""
    if os.path.isdir(name):
        # Otherwise a directory `git` would hide the command.
        return any(os.path.exists(os.path.join(name, main)) for main in ("__main__.py", "__main__.pyc"))
    return os.path.lexists(name)


def _on_path(name: str) -> str:
    """Return the first executable file of this name on PATH, or ""."""
    candidates = (os.path.join(directory, name) for directory in os.get_exec_path())
    return next((path for path in candidates if os.path.isfile(path) and os.access(path, os.X_OK)), "")


def _is_command(path: str) -> bool:
    if path.endswith(_PYTHONS_FILES) or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb", buffering=0) as file:
            start = file.read(_SHEBANG_SIZE)
    except OSError:  # Python will report it
        return False
    return start.startswith(_ELF) or (start.startswith(b"#!") and not _is_of_python(start))


def _is_of_python(start: bytes) -> bool:
    """Return True if a script that begins with `start` is written in Python."""
    first, _, rest = start[2:].partition(b"\n")
    names = [os.path.basename(word) for word in first.split()]
    if names[:1] == [b"env"]:
        # Options of env(1), such as -S, and its assignments stand before the interpreter.
        names = [name for name in names[1:] if not name.startswith(b"-") and b"=" not in name]
    return not names or names[0].startswith((b"python", b"pypy")) or rest.startswith(_SHELL_AND_PYTHON)
