"""The proxy gets a name, and nobody else does, whichever library looks the name up."""

from __future__ import annotations

from errno import EHOSTUNREACH

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.certificates import NAME
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import good
from tests.support.targets import PAGE, Target
from tests.unit.patches.adapters.channels import IS_OLD
from tests.unit.patches.adapters.fetching import ERRORS, FETCH, causes

if not IS_OLD:
    # tornado's resolver calls what pycares 5 has no more.
    del FETCH["tornado, c-ares"]


@pytest.mark.parametrize("client", FETCH)
def test_a_name_that_only_the_proxy_knows(client: str, knowing: Server, http_server: Target) -> None:
    with routed(knowing.url(), routes=()):
        assert FETCH[client](f"http://{NAME}:{http_server.port}/") == PAGE


@pytest.mark.parametrize("client", FETCH)
def test_a_name_that_nobody_knows(client: str) -> None:
    """The proxy is told the name and says that there is no such host; the client says it in its own way."""
    with BadProxy(good("socks5", reply=4)) as proxy, routed(proxy.url(), routes=()):
        with pytest.raises(ERRORS[client.partition(",")[0]]) as caught:
            FETCH[client]("http://name.invalid:8080/")
        assert {session.target for session in proxy.sessions} == {("name.invalid", 8080)}
    numbers = {error.errno for error in causes(caught.value) if isinstance(error, OSError)}
    assert EHOSTUNREACH in numbers
