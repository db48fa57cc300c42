from pathlib import Path

import pytest

from socksify.config import toml_file
from socksify.config.errors import ConfigError


def written(directory: Path, text: str, name: str = "socksify.toml") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_values_and_named_proxies(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'proxy = ["a", "b"]\nroutes = ["*.x=tor"]\nconnect_timeout = 30\n'
        '[proxies]\ntor = "socks5h://127.0.0.1:9050"\nlong-way = ["a", "b,c"]\n',
    )
    file = toml_file.load(str(path))
    assert file.path == str(path)
    assert file.values == {"proxy": ["a", "b"], "routes": ["*.x=tor"], "connect_timeout": 30}
    assert {name: [hop.host for hop in chain] for name, chain in file.proxies.items()} == {
        "tor": ["127.0.0.1"],
        "long-way": ["a", "b", "c"],
    }
    assert {hop.name for hop in file.proxies["long-way"]} == {"long-way"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("proxi = 'a'", "'proxi': no such key; there are proxy, routes, direct, dns, dns_server"),
        ("config = 'a'", "'config': no such key"),
        ("name = 'a'", "'name': no such key"),
        ("[proxy]\nurl = 'a'\n[other]", "'other': no such key"),
        ("proxies = 'a'", "'proxies': expected a table"),
        ("[proxies]\na = 1", "proxies.a: int: expected a URL or a list of URLs"),
        ("[proxies]\na = ['b', 1]", "proxies.a: list: expected a URL or a list of URLs"),
        ("[proxies]\na = []", "proxies.a: no proxy in it"),
        ("[proxies]\na = 'ftp://u:S3cr3t@b'", r"proxies.a: 'ftp://\*\*\*@b': unknown scheme"),
        ("[proxies]\na.b = 'c'", "proxies.a: dict: expected a URL"),
        ("[proxies]\ndirect = 'a'", "proxies.'direct': expected a name other than direct, block, proxy"),
        ("[proxies]\n'a+b' = 'a'", "proxies.'a\\+b': expected a name"),
        ("[proxies]\n'' = 'a'", "proxies.'': expected a name"),
        ("[proxies]\n'a b' = 'a'", "proxies.'a b': expected a name"),
        ("[proxies]\n'x://y' = 'a'", "expected a name"),
        pytest.param("x = " + "[" * 10_000, "nested too deeply; expected a TOML file", id="deep"),
        pytest.param("x = 1" + "0" * 10_000, "4300 digits.*expected a TOML file", id="long"),
        ("proxy = 'a'\nroutes = [", "at end of document.*expected a TOML file"),
        ("proxy = 'a'\nproxy = 'b'\ndns = 1", "at line 2.*expected a TOML file"),
        ("proxy = socks5h://u:S3cr3t@gw", "at line 1.*expected a TOML file"),
    ],
)
def test_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"^{path}: .*{reason}") as caught:
        toml_file.load(str(path))
    assert len(str(caught.value).splitlines()) == 1
    assert "S3cr3t" not in str(caught.value)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "socksify.toml"
    path.write_bytes(b"proxy = '\xff'")
    with pytest.raises(ConfigError, match=rf"^{path}: not in UTF-8"):
        toml_file.load(str(path))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}: Is a directory; expected a TOML file that can be read"):
        toml_file.read(str(tmp_path))
