from __future__ import annotations

import pytest

from socksify.config import match as config_match
from socksify.config.settings import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.match import Match

ALL_128 = (1 << 128) - 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("*", {}),
        ("*:25", {"ports": (25, 25)}),
        (":25", {"ports": (25, 25)}),
        (":1024-65535", {"ports": (1024, 65535)}),
        ("host", {"glob": ("host",)}),
        ("Host.:80", {"glob": ("host",), "ports": (80, 80)}),
        ("*.Corp.example", {"glob": ("", ".corp.example")}),
        ("a*b*", {"glob": ("a", "b", "")}),
        (".corp.example", {"domain": "corp.example"}),
        (".corp:80-81", {"domain": "corp", "ports": (80, 81)}),
        ("10.0.0.0/8", {"network": (32, 0xFF000000, 0x0A000000)}),
        ("10.1.2.3:80", {"network": (32, 0xFFFFFFFF, 0x0A010203), "ports": (80, 80)}),
        ("0.0.0.0/0", {"network": (32, 0, 0)}),
        ("::1", {"network": (128, ALL_128, 1)}),
        ("[::1]", {"network": (128, ALL_128, 1)}),
        ("[::1]:80", {"network": (128, ALL_128, 1), "ports": (80, 80)}),
        ("fd00::/8", {"network": (128, 0xFF << 120, 0xFD << 120)}),
        ("[fd00::/8]:80", {"network": (128, 0xFF << 120, 0xFD << 120), "ports": (80, 80)}),
        ("::/0", {"network": (128, 0, 0)}),
        ("::ffff:10.0.0.0/104", {"network": (32, 0xFF000000, 0x0A000000)}),
        ("my_host-1", {"glob": ("my_host-1",)}),
        ("1password.example", {"glob": ("1password.example",)}),
    ],
)
def test_accepted(text: str, match: Match) -> None:
    assert config_match.parse(text, "--route") == match


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a name"),
        (".", "expected a name"),
        ("..", "expected a name"),
        ("a..b", "expected a name"),
        ("*..b", "expected a name"),
        (".*.b", "expected a name"),
        ("-", "expected a name"),
        ("a b", "expected a name"),
        ("a?", "expected a name"),
        ("[a]", "expected \\[IPv6 address\\]"),
        ("[::1", "expected \\[IPv6 address\\]"),
        ("[::1]80", "expected \\[IPv6 address\\]"),
        ("corp.example/8", "no such address"),
        ("10.0.0.256", "no such address"),
        ("10.1", "no such address"),
        ("::1::", "no such address"),
        ("[::g]", "no such address"),
        ("10.*", "matched by networks"),
        ("*.1.2", "matched by networks"),
        ("10.0.0.0/33", "has to be 0 to 32"),
        ("10.0.0.0/", "has to be 0 to 32"),
        ("10.0.0.0/-1", "has to be 0 to 32"),
        ("10.0.0.0/255.0.0.0", "has to be 0 to 32"),
        ("10.0.0.0/8/8", "has to be 0 to 32"),
        ("::/129", "has to be 0 to 128"),
        ("::ffff:10.0.0.0/95", "has to be 0 to 128"),
        ("fd00::/8:80", "has to be 0 to 128"),
        ("10.0.0.5/8", "bits behind the network"),
        ("fd00::1/8", "bits behind the network"),
        ("::ffff:10.0.0.1/104", "bits behind the network"),
        ("host:", "a port number or a range"),
        ("host:http", "a port number or a range"),
        (":80-", "a port number or a range"),
        (":-80", "a port number or a range"),
        (":80-90-100", "a port number or a range"),
        (":٣", "a port number or a range"),
        ("[::1]:", "a port number or a range"),
        (":0", "ports are 1 to 65535"),
        (":65536", "ports are 1 to 65535"),
        (":90-80", "ports are 1 to 65535"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^--route: '.*': .*{reason}"):
        config_match.parse(text, "--route")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("example.com", {"domain": "example.com"}),
        (".Example.com.", {"domain": "example.com"}),
        ("*.example.com", {"domain": "example.com"}),
        ("example.com:80", {"domain": "example.com", "ports": (80, 80)}),
        ("localhost", {"domain": "localhost"}),
        ("*", {}),
        ("10.1.2.3", {"network": (32, 0xFFFFFFFF, 0x0A010203)}),
        ("10.1.2.3/8", {"network": (32, 0xFF000000, 0x0A000000)}),
        ("10.1.2.3/8:80", {"network": (32, 0xFF000000, 0x0A000000), "ports": (80, 80)}),
        ("::1", {"network": (128, ALL_128, 1)}),
        ("[::1]:80", {"network": (128, ALL_128, 1), "ports": (80, 80)}),
    ],
)
def test_exceptions_of_no_proxy(text: str, match: Match) -> None:
    assert config_match.exception(text, "NO_PROXY") == match


@pytest.mark.parametrize("text", ["169.254/16", "10.1.2.3/33", "a..b", "10.*", "."])
def test_exceptions_that_mean_nothing(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^NO_PROXY: "):
        config_match.exception(text, "NO_PROXY")
