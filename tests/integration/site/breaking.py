"""Ways of breaking an environment that has the hook, and the reasons that its user is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import socksify
from tests.support.environments import Environment
from tests.support.paths import ROOT


def corrupt(environment: Environment) -> None:
    (environment.hook / "settings.toml").write_text("proxy = [")


def unknown(environment: Environment) -> None:
    (environment.hook / "settings.toml").write_text('proxi = "socks5h://alice:secret@gw"\n')


def unusable(environment: Environment) -> None:
    (environment.hook / "settings.toml").write_text('proxy = "gopher://alice:secret@gw"\n')


def unreadable(environment: Environment) -> None:
    """Make the settings unreadable for root, too, by a directory in their place. File modes do not stop root."""
    (environment.hook / "settings.toml").unlink()
    (environment.hook / "settings.toml").mkdir()


def dangling(environment: Environment) -> None:
    (environment.hook / "settings.toml").unlink()
    (environment.hook / "settings.toml").symlink_to("settings.toml")


def removed(environment: Environment) -> None:
    (environment.packages / "_socksify.pth").unlink()


def another_format(environment: Environment) -> None:
    other = shutil.copytree(ROOT / "socksify", environment.packages / "socksify")
    (other / "_hook_location.py").write_text(
        (other / "_hook_location.py").read_text().replace("FORMATS = (1,)", "FORMATS = (7, 8)")
    )


def a_package_without_formats(environment: Environment) -> None:
    other = shutil.copytree(ROOT / "socksify", environment.packages / "socksify")
    (other / "_hook_location.py").write_text(
        (other / "_hook_location.py").read_text().replace("FORMATS", "_NO_FORMATS")
    )


def damaged(environment: Environment) -> None:
    other = shutil.copytree(ROOT / "socksify", environment.packages / "socksify")
    (other / "routing" / "router.py").write_text("1 / 0\n")


NOT_SERVED = f"the hook has format 1, which socksify {socksify.__version__} does not serve"


BROKEN: dict[str, tuple[Callable[[Environment], None], str]] = {
    "corrupt settings": (corrupt, "settings.toml: Invalid value"),
    "an unknown key": (unknown, "settings.toml: 'proxi': no such key"),
    "a proxy that cannot be": (unusable, "settings.toml: proxy: 'gopher://***@gw'"),
    "unreadable settings": (unreadable, "settings.toml: Is a directory"),
    "settings behind a link to nowhere": (dangling, "settings.toml: Too many levels of symbolic links"),
    "a package that was removed": (removed, "the package socksify is not there"),
    "another format": (another_format, NOT_SERVED),
    "an older package": (
        a_package_without_formats,
        NOT_SERVED,
    ),
    "a damaged package": (damaged, "ZeroDivisionError: division by zero"),
}


# The content that remains of a file, None for no file.
DAMAGES = {"deleted": None, "emptied": "", "no Python": "def ("}


# The program catches an exception of the first import, and imports a second time.
PERSISTENT = """
try:
    import socket
except Exception:
    import socket
try:
    socket.create_connection(("127.0.0.2", 9), 5)
except OSError as error:
    print(error)
import subprocess
subprocess.run(["true"], check=True)
"""


def damage(file: Path, left: str | None) -> None:
    shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)
    file.unlink()
    if left is not None:
        file.write_text(left)
