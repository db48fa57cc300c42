from __future__ import annotations

import pytest

from socksify.config.errors import ConfigError
from socksify.config.values import FAKE_NETWORKS, fake_networks


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("", FAKE_NETWORKS),
        ("10.200.0.0/16", ("10.200.0.0/16", FAKE_NETWORKS[1])),
        (["fd00:1::/96"], (FAKE_NETWORKS[0], "fd00:1::/96")),
        ("fd00:1::/64, 240.0.0.0/8", ("240.0.0.0/8", "fd00:1::/64")),
    ],
)
def test_a_family_that_is_not_given_keeps_its_network(value: object, networks: tuple[str, str]) -> None:
    assert fake_networks(value, "test") == networks


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("10.0.0.0", "expected a network such as"),
        ("name/16", "expected a network such as"),
        ("10.0.0.0/x", "expected a network such as"),
        ("::ffff:10.0.0.0/104", "expected a network such as"),
        ("10.0.0.0/25", "256 addresses or more"),
        ("fd00::/121", "256 addresses or more"),
        ("0.0.0.0/0", "up to /8"),
        ("10.1.0.0/8", "bits behind the network's"),
        ("10.0.0.0/8,11.0.0.0/8", "one network of IPv4 and one of IPv6"),
        (5, "a text or a list of texts"),
    ],
)
def test_refused(value: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        fake_networks(value, "test")
