"""Names under the real seal, with UDP sockets of an empty namespace, and bound to loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.reversename
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
def prefix(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def argv(host: tuple[Namespace, ZoneServer], prefix: tuple[str, ...], *words: str) -> list[str]:
    options = "--seal=on", "--proxy=socks5h://127.0.0.1:1080"
    return host[0].command(*prefix, sys.executable, "-m", "socksify", *options, *words)


@pytest.fixture
def run(prefix: tuple[str, ...], host: tuple[Namespace, ZoneServer]) -> Run:
    def sealed(*words: str) -> str:
        command = argv(host, prefix, *words)
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


# Looks up a name twice, prints what was found, and waits.
LOOKING_UP = f"dig +short +tries=1 {NAME}; dig +short +tries=1 +tcp {NAME}; read line"


def test_nobody_else_is_told_what_the_tree_has_looked_up(
    host: tuple[Namespace, ZoneServer], prefix: tuple[str, ...]
) -> None:
    require("dig")
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    command = argv(host, prefix, "/bin/sh", "-c", LOOKING_UP)
    with subprocess.Popen(command, cwd=ROOT, env=PROGRAMS, text=True, **pipes) as program:  # type: ignore[call-overload]
        fake, again = program.stdout.readline().strip(), program.stdout.readline().strip()
        assert is_fake(fake)
        assert again == fake
        with host[0].inside():
            responders = list(local_sockets())
            answers = [ask(*each, fake) for each in responders]
        program.communicate("end\n", timeout=SECONDS)
    assert "tcp" in {transport for transport, _ in responders}
    assert answers == [None] * len(responders)


def local_sockets() -> Iterator[tuple[str, int]]:
    """Yield the transport and the port of each socket of the namespace that serves 127.0.0.1."""
    # proc_net(5): a connected socket has a remote address that is not zero.
    for transport in ("tcp", "udp"):
        for row in Path(f"/proc/thread-self/net/{transport}").read_text().splitlines()[1:]:
            _, local, remote, *_ = row.split()
            if local.startswith("0100007F:") and remote == "00000000:0000":
                yield transport, int(local[-4:], 16)


def ask(transport: str, port: int, address: str) -> str | None:
    """Ask a port of 127.0.0.1 for the name of an address."""
    query = dns.message.make_query(dns.reversename.from_address(address), "PTR")
    try:
        return str(getattr(dns.query, transport)(query, "127.0.0.1", timeout=1, port=port))
    except (dns.exception.DNSException, EOFError, OSError):
        return None
