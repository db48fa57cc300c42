import pytest

from socksify.config.proxy_url import Proxy
from socksify.config.settings import Settings

GATEWAY = Proxy("socks5h", "gw", 1080, None, b"joe", b"S3cr3t")
TOR = Proxy("socks5", "::1", 9050, name="tor")


@pytest.mark.parametrize(
    ("via", "chain"),
    [
        ("proxy", (GATEWAY,)),
        ("tor", (TOR,)),
        ("tor+proxy", (TOR, GATEWAY)),
        ("proxy+tor+tor", (GATEWAY, TOR, TOR)),
        ("socks5h://a+b@x", (TOR, TOR)),
        ("direct", ()),
        ("block", ()),
    ],
)
def test_chain(via: str, chain: tuple[Proxy, ...]) -> None:
    settings = Settings(proxy=(GATEWAY,), proxies={"tor": (TOR,), "socks5h://a+b@x": (TOR, TOR)})
    assert settings.chain(via) == chain


@pytest.mark.parametrize("via", ["nobody", "tor+nobody"])
def test_an_unknown_chain_is_an_error_and_not_direct(via: str) -> None:
    with pytest.raises(KeyError, match="nobody"):
        Settings(proxy=(GATEWAY,), proxies={"tor": (TOR,)}).chain(via)
