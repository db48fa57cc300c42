"""The recorded network sees every packet that leaves a client, knows the client, and leaves nothing behind."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.network.recorded import RecordedNetwork

# Nobody has these addresses (RFC 2544, RFC 3849), so that nothing comes back which the kernel would want to answer.
SILENT4, SILENT6 = "198.18.0.1", "2001:db8::1"


def send(namespace: Namespace, host: str, count: int = 1) -> None:
    with (
        namespace.inside(),
        socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        for _ in range(count):
            out.sendto(b"hello", (host, 7))


def test_a_client_that_is_quiet_is_found_quiet(network: RecordedNetwork) -> None:
    with network.client() as client:
        assert client.packets() == []


@pytest.mark.parametrize("host", [SILENT4, SILENT6])
def test_every_packet_is_seen_at_once(network: RecordedNetwork, host: str) -> None:
    with network.client() as client:
        send(client.namespace, host, 100)
        assert [str(packet) for packet in client.packets()] == [f"udp to {host} port 7"] * 100


def test_packets_are_told_once(network: RecordedNetwork) -> None:
    with network.client() as client:
        send(client.namespace, SILENT4)
        assert len(client.packets()) == 1
        assert client.packets() == []


def test_each_packet_is_its_own_clients(network: RecordedNetwork) -> None:
    with network.client() as one, network.client() as other:
        send(one.namespace, SILENT4)
        send(other.namespace, SILENT6)
        assert [packet.target for packet in one.packets()] == [SILENT4]
        assert [packet.target for packet in other.packets()] == [SILENT6]


@pytest.mark.usefixtures("root")
def test_a_namespace_has_files_and_a_name_of_its_own(tmp_path: Path) -> None:
    files = etc(tmp_path / "etc", {"hosts": "127.0.0.1 nowhere.example\n"})
    before = Path("/etc/hosts").read_bytes()
    with Namespace(files, "elsewhere") as namespace:
        root = Path(f"/proc/{namespace.pid}/root")
        assert (root / "etc/hosts").read_text() == "127.0.0.1 nowhere.example\n"
    assert Path("/etc/hosts").read_bytes() == before
    assert socket.gethostname() != "elsewhere"


@pytest.mark.usefixtures("root")
def test_a_namespace_ends_with_its_holder(tmp_path: Path) -> None:
    with Namespace(etc(tmp_path / "etc", {"hosts": ""}), "short") as namespace:
        holder = Path(f"/proc/{namespace.pid}")
        assert holder.exists()
    assert not holder.exists()


def test_this_thread_comes_back(network: RecordedNetwork) -> None:
    here = Path("/proc/thread-self/ns/net").readlink()
    with network.client() as client, pytest.raises(ZeroDivisionError), client.namespace.inside():
        assert Path("/proc/thread-self/ns/net").readlink() != here
        raise ZeroDivisionError
    assert Path("/proc/thread-self/ns/net").readlink() == here


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="must be root"):
        needs_root()
