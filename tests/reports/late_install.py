"""Imports a client, calls socksify.install(), then calls the client's main(): CLIENT HOST PORT."""

import importlib
import sys
from pathlib import Path

import socksify

client = Path(sys.argv[1])
sys.path[0] = str(client.parent)
module = importlib.import_module(client.stem)
socksify.install()
module.main(sys.argv[2], int(sys.argv[3]))
