"""The addresses of name servers. test_forwarding.py and test_connection.py exchange messages with servers."""

from __future__ import annotations

from pathlib import Path
from socket import if_nametoindex

import pytest

from socksify.routing.hosts_file import SystemFile
from socksify.seal.dns import native_exchange

CONTENT = b"""
# nameserver fe80::9%lo
nameserver 192.0.2.53
nameserver\tfe80::0:53%lo trusted
nameserver fe80::53%eth1
nameserver fe80::54
nameserver fe80::56%7
nameserver fe80::57%none
nameserver name%lo
nameserver
sortlist fe80::55%lo
"""


def test_interfaces_are_read() -> None:
    assert native_exchange.interfaces(CONTENT) == {"fe80::53": "lo", "fe80::56": "7", "fe80::57": "none"}


def test_an_address_has_the_number_of_its_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resolv.conf").write_bytes(CONTENT)
    servers = SystemFile(str(tmp_path / "resolv.conf"), native_exchange.interfaces)
    monkeypatch.setattr(native_exchange, "INTERFACES", servers)
    assert native_exchange.sockaddr("192.0.2.53", 53) == ("192.0.2.53", 53)
    assert native_exchange.sockaddr("fe80::54", 53) == ("fe80::54", 53)
    assert native_exchange.sockaddr("fe80::53", 53) == ("fe80::53", 53, 0, if_nametoindex("lo"))
    assert native_exchange.sockaddr("fe80::56", 53) == ("fe80::56", 53, 0, 7)
    with pytest.raises(OSError, match=r"interface|device"):
        native_exchange.sockaddr("fe80::57", 53)
