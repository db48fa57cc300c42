"""The responders on real sockets."""

from __future__ import annotations

from collections.abc import Callable

import dns.message
import dns.query
import pytest

from socksify.routing.fake_addresses import TABLE
from socksify.seal.dns.answers import Answers

HOST = "127.0.0.1"
SECONDS = 20


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_name_gets_its_fake_address(
    answers: Callable[..., Answers], name_server: Callable[[Answers], int], transport: str
) -> None:
    port = name_server(answers())
    for kind in ("A", "AAAA"):
        query = dns.message.make_query("www.target.example", kind)
        response = getattr(dns.query, transport)(query, HOST, SECONDS, port)
        (rrset,) = response.answer
        assert TABLE.name_of(rrset[0].address) == "www.target.example"
