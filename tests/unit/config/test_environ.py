import pytest

from socksify.config import environ, proxy_url
from socksify.config.environ import conflicting
from socksify.config.errors import ConfigError
from socksify.config.ip import parse_ip
from socksify.config.settings import Settings


def test_our_own_variables() -> None:
    variables = {"SOCKSIFY_PROXY": "gw", "SOCKSIFY_LOG": "", "SOCKSIFY_C_WATCHER_TIMEOUT": "1", "PATH": "/bin"}
    variables |= {"SOCKSIFY_DISABLE": "0", "SOCKSIFY_ON_ERROR": "exit"}
    assert environ.own(variables, {}) == {"proxy": "gw", "c_watcher_timeout": "1"}


@pytest.mark.parametrize("name", ["SOCKSIFY_PROXI", "SOCKSIFY_DISABLED", "SOCKSIFY_", "SOCKSIFY_proxy"])
def test_a_variable_that_nothing_implements(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: no such setting; there are SOCKSIFY_PROXY, "):
        environ.own({name: ""}, {})


@pytest.mark.parametrize(
    ("variables", "source", "url"),
    [
        ({"ALL_PROXY": "socks5h://a"}, "ALL_PROXY", "socks5h://a:1080"),
        ({"ALL_PROXY": "socks5h://a", "all_proxy": "socks4://b"}, "all_proxy", "socks4://b:1080"),
        ({"ALL_PROXY": "SOCKS5://a", "all_proxy": ""}, "ALL_PROXY", "socks5://a:1080"),
        ({"SOCKS5_SERVER": "a:1"}, "SOCKS5_SERVER", "socks5h://a:1"),
        ({"SOCKS4_SERVER": "a"}, "SOCKS4_SERVER", "socks4://a:1080"),
        ({"SOCKS_SERVER": "a"}, "SOCKS_SERVER", "socks5h://a:1080"),
        ({"SOCKS_SERVER": "socks4a://a"}, "SOCKS_SERVER", "socks4a://a:1080"),
        ({"SOCKS_SERVER": "a", "SOCKS4_SERVER": "b", "SOCKS5_SERVER": "c"}, "SOCKS5_SERVER", "socks5h://c:1080"),
        ({"SOCKS_SERVER": "a", "SOCKS4_SERVER": "b", "SOCKS5_SERVER": ""}, "SOCKS4_SERVER", "socks4://b:1080"),
        ({"SOCKS_SERVER": "a", "ALL_PROXY": "socks5://b"}, "ALL_PROXY", "socks5://b:1080"),
        ({"SOCKS_SERVER": "a", "ALL_PROXY": "http://b"}, "SOCKS_SERVER", "socks5h://a:1080"),
        ({"SOCKS_SERVER": "a", "ALL_PROXY": "b:3128"}, "SOCKS_SERVER", "socks5h://a:1080"),
        ({"ALL_PROXY": "socks5h://a,socks5h://b"}, "ALL_PROXY", "socks5h://a:1080,socks5h://b:1080"),
    ],
)
def test_the_conventional_variables(variables: dict[str, str], source: str, url: str) -> None:
    found = environ.conventional(variables)
    assert found is not None
    assert found.source == source
    assert ",".join(hop.url for hop in found.proxy) == url


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"ALL_PROXY": "https://a"},
        {"ALL_PROXY": "a"},
        {"HTTPS_PROXY": "socks5h://a"},
        {"ALL_PROXY": "", "SOCKS_SERVER": ""},
    ],
)
def test_what_names_no_proxy_for_us(variables: dict[str, str]) -> None:
    assert environ.conventional(variables) is None


@pytest.mark.parametrize(
    ("variable", "value"), [("ALL_PROXY", "socks://u:S3cr3t@a"), ("all_proxy", "socks6://a"), ("SOCKS_SERVER", "a:b")]
)
def test_a_conventional_variable_that_is_wrong(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{variable}: ") as caught:
        environ.conventional({variable: value})
    assert "S3cr3t" not in str(caught.value)


DANTE = {"SOCKS_USERNAME": "joe", "SOCKS_PASSWORD": "S3cr3t"}


@pytest.mark.parametrize(
    ("variables", "user", "password"),
    [
        ({"SOCKS_SERVER": "a", **DANTE}, b"joe", b"S3cr3t"),
        ({"SOCKS5_SERVER": "a", "SOCKS5_USER": "jim", "SOCKS5_PASSWD": "p"}, b"jim", b"p"),
        ({"SOCKS5_SERVER": "a", "SOCKS5_USER": "jim", **DANTE}, b"joe", b"S3cr3t"),
        ({"SOCKS5_SERVER": "u:p@a", **DANTE}, b"u", b"p"),
        ({"SOCKS4_SERVER": "a", **DANTE}, b"joe", None),
        ({"SOCKS5_SERVER": "a", "SOCKS_PASSWORD": "p"}, None, None),
        ({"ALL_PROXY": "socks5h://a", **DANTE}, None, None),
    ],
)
def test_dantes_credentials_are_for_dantes_servers(
    variables: dict[str, str], user: bytes | None, password: bytes | None
) -> None:
    found = environ.conventional(variables)
    assert found is not None
    assert (found.proxy[0].user, found.proxy[0].password) == (user, password)


def test_dantes_user_without_a_password() -> None:
    with pytest.raises(ConfigError, match=r"^SOCKS5_USER: with a user, SOCKS5 wants a password"):
        environ.conventional({"SOCKS5_SERVER": "a", "SOCKS5_USER": "joe"})


def exceptions(**variables: str) -> list[tuple[str, str]]:
    found = environ.conventional({"ALL_PROXY": "socks5h://a", **variables})
    assert found is not None
    assert all(rule.via == "direct" for rule in found.rules)
    return [(rule.text, rule.source) for rule in found.rules]


def test_no_proxy_is_a_list_with_commas_or_blanks() -> None:
    assert exceptions(NO_PROXY="a.example, .b ,,10.0.0.0/8 ::1") == [
        ("a.example=direct", "NO_PROXY"),
        (".b=direct", "NO_PROXY"),
        ("10.0.0.0/8=direct", "NO_PROXY"),
        ("::1=direct", "NO_PROXY"),
    ]


def test_no_proxy_in_lower_case_wins() -> None:
    assert exceptions(NO_PROXY="a", no_proxy="b") == [("b=direct", "no_proxy")]
    assert exceptions(NO_PROXY="a", no_proxy=" ") == [("a=direct", "NO_PROXY")]


@pytest.mark.parametrize(
    ("entry", "name", "ip", "matches"),
    [
        ("example.com", "example.com", None, True),
        ("example.com", "www.example.com", None, True),
        (".example.com", "example.com", None, True),
        ("example.com", "notexample.com", None, False),
        ("example.com", "example.com.org", None, False),
        ("*", "anything", None, True),
        ("*", None, "10.1.2.3", True),
        ("10.1.2.3/8", None, "10.9.9.9", True),
        ("10.1.2.3", "10.1.2.3.example", None, False),
        ("example.com:80", "www.example.com", None, True),
        ("example.com:81", "www.example.com", None, False),
    ],
)
def test_no_proxy_matches_as_in_curl(entry: str, name: str | None, ip: str | None, matches: bool) -> None:
    found = environ.conventional({"ALL_PROXY": "socks5h://a", "NO_PROXY": entry})
    assert found is not None
    assert found.rules[0].match.covers(name, None if ip is None else parse_ip(ip), 80) is matches


@pytest.mark.parametrize("entries", ["*,corp", "corp *", "*, *"])
def test_no_proxy_of_every_host_stands_alone(entries: str) -> None:
    """In a list, curl and requests take it for a name, and httpx for every host."""
    with pytest.raises(ConfigError, match=r"^NO_PROXY: '\*' means every host only where it stands alone"):
        environ.conventional({"ALL_PROXY": "socks5h://a", "NO_PROXY": entries})


@pytest.mark.parametrize("entry", [":80", "*:80"])
def test_no_proxy_of_a_port_alone(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"^NO_PROXY: '\*?:80': expected a name, an address or a network"):
        environ.conventional({"ALL_PROXY": "socks5h://a", "NO_PROXY": entry})


def test_no_proxy_that_means_nothing() -> None:
    with pytest.raises(ConfigError, match=r"^no_proxy: '10.0.0.0/99': "):
        environ.conventional({"ALL_PROXY": "socks5h://a", "no_proxy": "x,10.0.0.0/99"})


@pytest.mark.parametrize(
    "value",
    [
        "socks5h://gw:1080",
        "socks5h://gw",
        "socks5h://GW:1080/",
        "SOCKS5://gw",
        "socks5://u:p@gw.",
        "socks://gw:1080/",
        "socks://localhost:1080",
        "socks5://[::1]:1080",
        "socks5://other",
        "socks4a://gw",
        "socks5h://gw,socks5h://gw",
        "socks5h://gw:x",
        " socks5://gw",
    ],
)
@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "https_proxy", "HTTP_PROXY", "Ftp_Proxy", "ws_proxy"])
def test_variables_with_a_socks_url_conflict(name: str, value: str) -> None:
    settings = Settings(proxy=proxy_url.parse_chain("socks5h://gw", ""))
    assert environ.conflicting(settings, {name: value, "PATH": value}) == (name,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "http://gw:1080"),
        ("ALL_PROXY", "gw:1080"),
        ("ALL_PROXY", "socks:gw"),
        ("ALL_PROXY", ""),
        ("NO_PROXY", "socks5h://gw"),
        ("SOCKSIFY_PROXY", "socks5h://gw"),
        ("SOCKS_SERVER", "socks5h://gw"),
    ],
)
def test_other_variables_do_not(name: str, value: str) -> None:
    settings = Settings(proxy=proxy_url.parse_chain("socks5h://gw", ""))
    assert environ.conflicting(settings, {name: value}) == ()


def test_an_http_proxy_is_left_to_the_client() -> None:
    settings = Settings(proxy=proxy_url.parse_chain("http://gw:3128", ""))
    assert environ.conflicting(settings, {"https_proxy": "http://gw:3128"}) == ()


def test_without_a_proxy_no_variable_is_in_the_way() -> None:
    assert conflicting(Settings(proxy=()), {"ALL_PROXY": "socks5://gw"}) == ()
