import pytest

from socksify.config.errors import ConfigError, masked


def test_config_errors_are_one_line() -> None:
    assert str(ConfigError("/a\nb/socksify.toml: no")) == "/a b/socksify.toml: no"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gw:1080", "gw:1080"),
        ("socks5h://gw", "socks5h://gw"),
        ("socks5h://u:p@gw", "socks5h://***@gw"),
        ("u:p@gw", "***@gw"),
        ("socks5h://u:p@w/o,r#d@gw", "socks5h://***@gw"),
        ("u:p://w@gw", "***@gw"),
        ("socks5h://u:p@a,socks5h://u:q@b", "socks5h://***@b"),
        ("*.x=socks5h://u:p@gw", "***@gw"),
        ("@", "***@"),
    ],
)
def test_credentials_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
