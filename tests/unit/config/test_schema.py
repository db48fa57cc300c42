from socksify.config.proxy_url import Proxy
from socksify.config.schema import BY_NAME, BY_OPTION, BY_VARIABLE, SETTINGS
from socksify.config.settings import Settings


def test_every_setting_is_reached_by_each_of_its_names() -> None:
    assert len(BY_NAME) == len(BY_OPTION) == len(BY_VARIABLE) == len(SETTINGS)
    assert list(BY_VARIABLE)[:3] == ["SOCKSIFY_PROXY", "SOCKSIFY_ROUTES", "SOCKSIFY_DIRECT"]
    assert list(BY_OPTION)[:3] == ["--proxy", "--route", "--direct"]


def test_the_defaults_are_those_of_settings() -> None:
    settings = Settings(proxy=(Proxy("socks5h", "gw", 1080),))
    for name in (
        "dns",
        "dns_server",
        "fake_networks",
        "udp",
        "bind",
        "bind_services",
        "strict",
        "allow",
        "children",
        "seal",
        "connect_timeout",
        "c_watcher_timeout",
        "log",
    ):
        assert BY_NAME[name].default == getattr(settings, name)


def test_every_default_can_be_read_back() -> None:
    for setting in SETTINGS:
        assert setting.read(setting.default, setting.name) == setting.default
