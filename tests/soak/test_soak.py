"""A hundred thousand connections, ended in every way there is: `make soak`, for it takes minutes.

In a process of its own: whose descriptors and entries are left, is then beyond doubt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.servers import Server
from tests.support.targets import Target

CONNECTIONS = int(os.environ.get("SOAK", "1000"))

CLIENT = """
import json, sys
from tests.support import leaks
from tests.support.routing import routed

url, host, port, count = json.loads(sys.argv[1])
with routed(url):
    for ending in leaks.ENDINGS:
        leaks.quietly(lambda: leaks.cycle((host, port), ending, count // len(leaks.ENDINGS)))
"""


@pytest.mark.timeout(60 + CONNECTIONS // 20)
def test_nothing_is_left(microsocks: Server, echo_server: Target) -> None:
    settings = json.dumps([microsocks.url(), *echo_server.address, CONNECTIONS])
    # Not danted, which binds its outgoing sockets and so runs out of ports that are in TIME_WAIT.
    argv = [sys.executable, "-c", CLIENT, settings]
    client = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert (client.returncode, client.stdout, client.stderr) == (0, "", "")
