"""Names under the real seal, with UDP sockets of an empty namespace, and bound to loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

import pytest

from tests.integration.seal.resolving import NAME_SERVER, SECONDS, ZoneServer, machine
from tests.support.network.namespaces import PROGRAMS, Namespace
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.sealed import require_seal

NAME = "www.target.example"
# A user namespace whose limit on network namespaces is none (namespaces(7)).
LIMITED = ("unshare", "--user", "--map-root-user", "sh", "-c")
SCRIPT = 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$0" "$@"'
PREFIXES: dict[str, tuple[str, ...]] = {"empty namespace": (), "loopback": (*LIMITED, SCRIPT)}
SEARCH = "search svc.cluster.local cluster.local\noptions ndots:5\n"

# Runs a program under the seal, with options of socksify before it, and returns its output.
Run = Callable[..., str]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Namespace, ZoneServer]]:
    require_seal()
    with machine(tmp_path_factory.mktemp("sealed"), SEARCH) as made:
        yield made


@pytest.fixture
def server(host: tuple[Namespace, ZoneServer]) -> ZoneServer:
    """The name server of the machine, which has been asked nothing yet."""
    host[1].asked.clear()
    return host[1]


@pytest.fixture(params=list(PREFIXES.values()), ids=list(PREFIXES))
def run(request: pytest.FixtureRequest, host: tuple[Namespace, ZoneServer]) -> Run:
    def sealed(*words: str) -> str:
        argv = [
            *request.param,
            sys.executable,
            "-m",
            "socksify",
            "--seal=on",
            "--proxy=socks5h://127.0.0.1:1080",
            *words,
        ]
        command = host[0].command(*argv)
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT, env=PROGRAMS)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return sealed


def is_fake(address: str) -> bool:
    return ip_address(address) in ip_network("198.18.0.0/15")


@pytest.mark.parametrize("option", ["+notcp", "+tcp", f"@{NAME_SERVER}", "@198.51.100.9", "@2001:db8::53"])
def test_a_name_for_the_proxy_gets_a_fake_address(run: Run, server: ZoneServer, option: str) -> None:
    (address,) = run(require("dig"), "+tries=1", "+short", option, NAME).split()
    assert is_fake(address)
    assert server.asked == []


def test_glibc_resolves_in_spite_of_a_search_list(run: Run, server: ZoneServer) -> None:
    for rule in ("", "*.cluster.local=direct"):
        assert is_fake(run(*([f"--route={rule}"] if rule else []), require("getent"), "ahostsv4", NAME).split()[0])
    assert server.asked == []


@pytest.mark.parametrize(("option", "transport"), [("+notcp", "udp"), ("+tcp", "tcp")])
def test_a_direct_name_is_asked_for(run: Run, server: ZoneServer, option: str, transport: str) -> None:
    words = require("dig"), "+tries=1", "+short", option, "host.lan"
    # A name server that is direct, or for the proxy, is asked alike, because it is the machine's own.
    for rule in ("203.0.113.0/24=direct", "203.0.113.0/24=proxy"):
        assert run("--route=*.lan=direct", f"--route={rule}", *words).split() == ["192.0.2.7"]
    assert server.asked == 2 * [(transport, "host.lan.", "A")]


def test_a_direct_name_server_does_not_hear_of_other_names(run: Run, server: ZoneServer) -> None:
    for option in ("+notcp", "+tcp"):
        words = require("dig"), "+tries=1", "+short", option, NAME
        assert is_fake(run("--route=203.0.113.0/24=direct", *words).strip())
    assert server.asked == []


def test_other_records_come_through_the_proxy(run: Run, server: ZoneServer) -> None:
    # The name server is on the same machine here, where it would be direct.
    options = f"--dns-server={NAME_SERVER}", f"--route={NAME_SERVER}=proxy"
    dig = require("dig"), "+tries=1", "+short"
    assert run(*options, *dig, "target.example", "MX").split() == ["10", "mail.target.example."]
    assert len(run(*options, *dig, "large.example", "TXT").splitlines()) == 30
    assert run(*options, *dig, "target.example", "HTTPS") == ""
    assert {transport for transport, *_ in server.asked} == {"tcp"}
    server.asked.clear()
    assert run(*dig, "target.example", "MX") == ""
    assert server.asked == []
