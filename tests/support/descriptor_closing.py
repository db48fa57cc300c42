"""Programs that close all descriptors, as daemons do, with loopback routed through the proxy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PRELUDE = """if True:
    import errno, gc, os, select, socket, sys
    PORT, SILENT = {port}, {silent}
    def close(lowest=3):
        os.closerange(lowest, 256)
    def data(lowest=3):
        close(lowest)
        # As many files as descriptors were closed: each number that socksify kept now belongs to the program.
        return [open("data.db", "a+b", buffering=0) for _ in range(32)]
    def connect():
        sock = socket.create_connection(("127.0.0.1", PORT), timeout=20)
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"
        return sock
    def begin():
        sock = socket.socket()
        sock.setblocking(False)
        assert sock.connect_ex(("127.0.0.1", SILENT)) == errno.EINPROGRESS
        return sock
    def still(files):
        for file in files:
            os.fstat(file.fileno())
            file.seek(0)
            assert file.read() == b"", file.read()
"""


def program(
    directory: Path, proxy: int, code: str, *options: str, port: int = 0, silent: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs a program as a user would; its PORT echoes, and through its SILENT nobody answers.

    Without a proxy it has an embedded one.
    """
    script = directory / "program.py"
    script.write_text(PRELUDE.format(port=port, silent=silent) + "".join(f"    {line}\n" for line in code.splitlines()))
    way = ["--proxy", f"socks5h://127.0.0.1:{proxy}"] if proxy else ["--embedded"]
    routes = ["--route", "127.0.0.0/8=proxy"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SOCKSIFY_")}
    return subprocess.run(
        [sys.executable, "-m", "socksify", *way, *routes, *options, str(script)],
        check=False,
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
