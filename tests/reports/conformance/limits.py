"""What a SOCKS relay cannot carry, and which of CPython's tests ask for it: the only ones that may fail through it.

Each limit is shown by a client that speaks SOCKS5 by hand through danted: by the test in test_limits.py of that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Limit:
    """`what` it is, in the README's words; `tests` are patterns of ids."""

    what: str
    shown_by: str
    tests: tuple[str, ...]


LIMITS = (
    Limit(
        "urgent data: a relay passes on bytes, not the mark among them",
        "test_urgent_data_is_not_urgent_behind_a_relay",
        ("test.test_asyncore.TestAPI_*.test_handle_expt",),
    ),
    Limit(
        "that both ends are connected at once: the server has accepted before the proxy's answer is with the client",
        "test_the_server_has_accepted_before_the_client_is_told",
        (
            "test.test_epoll.TestEPoll.test_control_and_wait",
            "test.test_epoll.TestEPoll.test_fromfd",
            # A hundred turns of its loop, which the accepted side, ready to be written to, makes two milliseconds of.
            "test.test_asyncore.TestAPI_*.test_connection_attributes",
        ),
    ),
    Limit(
        "the order of connections that are begun together: a relay makes each in its own time",
        "test_connections_overtake_one_another_behind_a_relay",
        ("test.test_socket.PurePythonSocketPairTest.test_injected_authentication_failure",),
    ),
    Limit(
        "a reset that is there at once: the peer hears of it from the relay, in the relay's own time",
        "test_a_reset_is_not_there_at_once_behind_a_relay",
        (
            "test.test_ssl.TestPreHandshakeClose.test_preauth_data_to_tls_client",
            "test.test_ssl.TestPreHandshakeClose.test_preauth_data_to_tls_server",
        ),
    ),
)


def limit_of(test: str) -> Limit | None:
    """The limit that a test meets, if it is one of those."""
    return next((limit for limit in LIMITS if any(fnmatchcase(test, pattern) for pattern in limit.tests)), None)
