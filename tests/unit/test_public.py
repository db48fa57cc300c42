"""The public face: the names in `socksify`, the cost of the import, and the effect of the calls."""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import socksify
from socksify.config.schema import SETTINGS
from tests.support.bad_proxy import BadProxy
from tests.support.paths import ROOT
from tests.support.routing import routed
from tests.support.stepping import ANYWHERE, TARGET, begin, stepping
from tests.support.steps import good

KEYWORDS = [setting.name for setting in SETTINGS if setting.name != "proxy"]


@pytest.mark.parametrize("name", socksify.__all__)
def test_everything_offered_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(socksify, name))


def test_nothing_else_is_there() -> None:
    with pytest.raises(AttributeError, match="module 'socksify' has no attribute 'instal'"):
        socksify.instal  # noqa: B018


def test_install_takes_a_proxy_and_keywords() -> None:
    parameters = inspect.signature(socksify.install).parameters
    assert list(parameters) == ["proxy", *KEYWORDS]
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in KEYWORDS)
    assert all(parameter.default is None for parameter in parameters.values())


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ProxyConnectionAbortedError", ConnectionAbortedError),
        ("ProxyConnectionRefusedError", ConnectionRefusedError),
        ("ProxyConnectionResetError", ConnectionResetError),
        ("ProxyPermissionError", PermissionError),
        ("ProxyTimeoutError", TimeoutError),
        ("ProxyError", OSError),
        ("ConfigError", ValueError),
    ],
)
def test_the_errors_are_what_a_client_catches_already(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(socksify, name), builtin)


@pytest.mark.parametrize("proxy", ["", "gopher://x", "socks5h://x:99999", "socks5h://", []])
def test_a_proxy_that_is_none_is_refused(proxy: str | list[str]) -> None:
    with pytest.raises(socksify.ConfigError):
        socksify.install(proxy)


def test_a_chain_is_gone_through_first_hop_first() -> None:
    with BadProxy(good("socks5")) as second, BadProxy(good("socks5")) as first:
        with routed(first.url(), second.url(), routes=ANYWHERE), socket.socket() as sock:
            sock.settimeout(5)
            # Nobody is where the second one would connect to.
            sock.connect_ex(("127.0.0.1", 9))
        assert first.sessions[0].target == (second.host, second.port)
        assert second.finished().target == ("127.0.0.1", 9)


def test_init_names_the_client_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with stepping(log=str(log)) as steps:
        steps.run()
        for name in ("first", "second"):
            socksify.init(name)
            with socket.create_connection(TARGET, timeout=5):
                pass
    first, second = log.read_text().splitlines()
    for line, name in ((first, "first"), (second, "second")):
        assert line.startswith(f"socksify: {name}: connect 203.0.113.5:80 via {steps.url} (rule *=proxy) ")
        assert line.endswith(" ok")
    socksify.init("SOCKSclient")


def test_the_name_outlives_install(tmp_path: Path) -> None:
    """C programs call SOCKSinit() near the top of main(), before all other functions of the library."""
    log = tmp_path / "log"
    socksify.init("early bird")
    try:
        with stepping(log=str(log)) as steps, socket.socket() as sock:
            steps.run()
            sock.settimeout(5)
            sock.connect(TARGET)
        assert log.read_text().startswith("socksify: early bird: ")
    finally:
        socksify.init("SOCKSclient")


def test_last_error_is_the_story_of_the_last_connect() -> None:
    with stepping(reply=5) as steps, socket.socket() as sock:
        assert socksify.last_error(sock) is None
        begin(sock)
        assert socksify.last_error(sock) is None
        steps.run()
        sock.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            sock.send(b"x")
        story = socksify.last_error(sock)
        assert isinstance(story, socksify.ProxyConnectionRefusedError)
        assert (story.proxy, story.target, story.hop, story.reply) == (steps.url, "203.0.113.5:80", 1, 5)
        assert story.__traceback__ is None
        sock.close()
        assert socksify.last_error(sock) is story


def test_a_password_is_in_no_message(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with BadProxy(good("socks5", reply=5, password=True)) as proxy:
        url = f"socks5h://alice:open%20sesame@{proxy.host}:{proxy.port}"
        with routed(url, routes=ANYWHERE, log=str(log)), socket.socket() as sock:
            sock.settimeout(5)
            with pytest.raises(ConnectionRefusedError) as caught:
                sock.connect(TARGET)
            said = [str(caught.value), repr(caught.value), str(caught.value.proxy), log.read_text()]  # type: ignore[attr-defined]
    assert all("sesame" not in text for text in said)
    assert all("alice:***@" in text for text in said)


def test_installing_does_not_import_what_the_client_does_not_use() -> None:
    """Only the modules of sockets are imported, and no expensive ones."""
    program = (
        "import sys, socksify\n"
        "socksify.install('socks5h://192.0.2.1:1080')\n"
        "print(*({'asyncio', 'ssl', 'logging', 'typing', 'argparse', 'inspect', 'urllib.parse'} & set(sys.modules)))\n"
    )
    argv = [
        sys.executable,
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}",
    ]
    child = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert child.stdout.split() == []
