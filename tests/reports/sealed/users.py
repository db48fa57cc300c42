"""The users that programs run as: root, and nobody, who may read neither root's home nor the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path

import socksify
from socksify._hook_location import template

# setpriv looks for the program with root's capabilities still. env, which comes next, has none.
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env")
SECONDS = 30
# A Python that is not root's own.
EVERYBODYS = "/usr/bin/python3"


@dataclass(frozen=True)
class User:
    """`words` precede a command of this user's; they end with `env`. `python` is the user's interpreter.

    `has_libraries` tells whether that Python is of the running one's version, so that it can use its libraries. They
    are looked for in `libraries`, over which `site_packages` is mounted where the program runs; without a
    `libraries` the Python has them of itself.
    """

    name: str
    words: tuple[str, ...]
    python: str
    has_libraries: bool = True
    libraries: Path | None = None

    @property
    def mount(self) -> list[str]:
        """Return the command that mounts the libraries; it is empty if there is nothing to mount."""
        return [] if self.libraries is None else ["mount", "--bind", site_packages(), str(self.libraries)]


ROOT = User("root", ("env",), sys.executable)


def without_network_namespaces(user: User) -> User:
    """Return this user in a user namespace whose limit on network namespaces is none (namespaces(7))."""
    script = 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$0" "$@"'
    limited = ("unshare", "--user", "--map-root-user", "sh", "-c", script)
    return replace(user, words=(*user.words, *limited, "env"))


def site_packages() -> str:
    return sysconfig.get_path("platlib")


def nobody(directory: Path) -> User:
    """Return the user nobody, with a virtual environment in `directory`, a copy of socksify in it.

    The checkout and root's Pythons may be where nobody can read nothing.
    """
    python, version = _readable_python()
    environment, libraries = directory / "python", directory / "libraries"
    subprocess.run([python, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=SECONDS)
    (site,) = environment.glob("lib/python3.*/site-packages")
    copy_readable(Path(socksify.__file__).parent, site / "socksify")
    # As a wheel has it.
    copy_readable(Path(template()), site / "socksify" / "sitecustomize_template")
    libraries.mkdir()
    (site / "libraries.pth").write_text(f"{libraries}\n")
    has_libraries = version == sys.version_info[:2]
    found = User("nobody", AS_NOBODY, str(environment / "bin" / "python3"), has_libraries)
    return replace(found, libraries=libraries) if has_libraries else found


def copy_readable(source: Path, target: Path) -> None:
    """Copy a directory, and let everybody read the copy."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _readable_python() -> tuple[str, tuple[int, ...]]:
    """Return a Python that nobody can run and socksify supports, and its version."""
    for python in (str(Path(sys.executable).resolve()), EVERYBODYS):
        command = [*AS_NOBODY, python, "-c", "import sys, venv; print(*sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd="/")
        version = tuple(map(int, done.stdout.split()))
        if version >= (3, 11):
            return python, version
    raise RuntimeError(f"nobody can run neither {sys.executable} nor a Python 3.11 or later at {EVERYBODYS}")
