"""Runs a client under PySocks, patched as PySocks' README says: PROXYHOST PROXYPORT [--late] CLIENT arguments.

With --late, the client is imported before the patch, and its main() is called after the patch.
"""

import importlib
import runpy
import socket
import sys
from pathlib import Path

import socks


def patch(host: str, port: str) -> None:
    socks.set_default_proxy(socks.SOCKS5, host, int(port))
    # PySocks' README assigns the class in this way.
    socket.socket = socks.socksocket  # type: ignore[misc]


proxy, late, words = sys.argv[1:3], sys.argv[3] == "--late", [word for word in sys.argv[3:] if word != "--late"]
sys.argv, sys.path[0] = words, str(Path(words[0]).parent)
if late:
    module = importlib.import_module(Path(words[0]).stem)
    patch(*proxy)
    module.main(words[1], int(words[2]))
else:
    patch(*proxy)
    runpy.run_path(words[0], run_name="__main__")
