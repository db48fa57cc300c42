import pytest

from socksify.config.ip import fold, looks_numeric, parse_ip, unmapped


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("Bücher.Example", "xn--bcher-kva.example"),
        ("*.Bücher.example.", "*.xn--bcher-kva.example"),
        ("", ""),
        (".", ""),
        ("a..", "a."),
        ("é" * 100 + ".example", "é" * 100 + ".example"),  # no A-label has that many: kept, not raised
    ],
)
def test_names_are_compared_folded(name: str, folded: str) -> None:
    assert fold(name) == folded


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("0.0.0.0", (32, 0)),
        ("255.255.255.255", (32, 0xFFFFFFFF)),
        ("10.1.2.3", (32, 0x0A010203)),
        ("::1", (128, 1)),
        ("FE80::1%eth0", (128, 0xFE80 << 112 | 1)),
        ("::ffff:10.1.2.3", (32, 0x0A010203)),
        ("::FFFF:0a01:0203", (32, 0x0A010203)),
        ("::10.1.2.3", (128, 0x0A010203)),
    ],
)
def test_addresses(text: str, parsed: tuple[int, int]) -> None:
    assert parse_ip(text) == parsed


NO_IPV4 = [
    "",
    " 1.2.3.4",
    "1",
    "10.1",
    "10.1.2",
    "10.1.2.3.4",
    "10.1.2.256",
    "010.1.2.3",
    "10.1.2.٣",
    "10..2.3",
    "+1.1.1.1",
]
NO_IPV6 = [":", ":::", "1::2::3", "::12345", "%eth0", "::ffff:10.1.2.256"]


@pytest.mark.parametrize("text", [*NO_IPV4, *NO_IPV6, "a", "0x7f.0.0.1", "1.2.3.1000", "10.1.2.3%eth0"])
def test_what_is_no_address(text: str) -> None:
    assert parse_ip(text) is None


def test_mapped_addresses_are_written_as_ipv4() -> None:
    assert unmapped("::ffff:10.1.2.3") == unmapped("::ffff:a01:203") == "10.1.2.3"
    assert unmapped("::1") == "::1"
    assert unmapped("fe80::1%eth0") == "fe80::1%eth0"
    assert unmapped("10.1.2.3") == "10.1.2.3"


def test_numeric_names_are_addresses_or_slips() -> None:
    assert all(map(looks_numeric, ["1", "10.0.0.256", "1.2"]))
    assert not any(map(looks_numeric, ["", ".", "a.1", "1a", "-1"]))
