"""Which addresses are this machine's own does not depend on the seal.

The UDP sockets of a sealed process may come from a network namespace in which every address is its own. So the patches
must not ask a UDP socket.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.paths import ROOT
from tests.support.sealed import SEAL

SECONDS = 30.0
OWN = ("127.0.0.1", "127.0.0.9", "203.0.113.7", "2001:db8::7")
OTHERS = ("198.51.100.77", "127.255.255.255", "224.0.0.1", "255.255.255.255", "2001:db8:7::7")
PROGRAM = "import sys; from socksify.routing import local_host; print(*filter(local_host.is_own, sys.argv[1:]))"
ROUTES = ("route add default via 203.0.113.1", "route add default via 2001:db8::1")


@pytest.mark.usefixtures("sealed_system")
@pytest.mark.parametrize("routes", [ROUTES, ()], ids=["with default routes", "without"])
def test_own_addresses_are_the_same_in_a_seal(tmp_path: Path, routes: Sequence[str]) -> None:
    needs_root()
    with Namespace(etc(tmp_path / "etc", {"hosts": "127.0.0.1 localhost\n"}), "desk") as namespace:
        namespace.ip(
            "link add wire type veth peer name other",
            "addr add 203.0.113.7/24 dev wire",
            "addr add 2001:db8::7/64 dev wire nodad",
            "link set wire up",
            "link set other up",
            *routes,
        )
        for options in ((), ("-m", "socksify", *SEAL)):
            command = namespace.command(
                "env", f"--chdir={ROOT}", sys.executable, *options, "-c", PROGRAM, *OWN, *OTHERS
            )
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            assert (done.stdout.split(), done.stderr) == (list(OWN), "")
