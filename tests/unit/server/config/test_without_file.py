"""A server without a configuration file: who may come in."""

from __future__ import annotations

import pytest

from socksify.config.rules import never
from socksify.protocol.socks5 import NO_AUTHENTICATION, USERNAME_PASSWORD
from socksify.server.config import without_file
from socksify.server.policy.policy import Admission, Denied, Permitted
from socksify.server.policy.users import Users
from tests.unit.server.policies import REMOTE, demand

NOBODY_YET = Users({})


@pytest.mark.parametrize(
    ("users", "open", "method"),
    [
        (None, False, None),
        (None, True, NO_AUTHENTICATION),
        (NOBODY_YET, False, USERNAME_PASSWORD),
        (NOBODY_YET, True, USERNAME_PASSWORD),
    ],
)
def test_who_may_come_in_from_elsewhere(users: Users | None, open: bool, method: int | None) -> None:
    configuration = without_file(users, open, never)
    assert configuration.guarded is (users is not None)
    admission = configuration.policy.admit(REMOTE)
    if method is None:
        assert isinstance(admission, Denied)
    else:
        assert admission == Admission((method,))
        user = b"alice" if users is not None else None
        assert configuration.policy.decide(demand("192.0.2.7", user=user)) == Permitted("built in")
        assert isinstance(configuration.policy.decide(demand("127.0.0.1", user=user)), Denied)


def test_own_addresses_are_closed_to_them() -> None:
    policy = without_file(None, True, {"203.0.113.5"}.__contains__).policy
    assert isinstance(policy.decide(demand("203.0.113.5")), Denied)
