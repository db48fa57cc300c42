"""Proxy variables with a SOCKS URL, which httpx and requests fail on for want of a SOCKS library: out of their way."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.steps import good

PROGRAM = "import os, {0}; print({0}.get({1!r}).text, sorted(n for n in os.environ if n.lower().endswith('_proxy')))"


@pytest.fixture
def page() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("library", ["httpx", "requests"])
@pytest.mark.parametrize(
    "variable",
    ["ALL_PROXY=socks://localhost:{}", "all_proxy=SOCKS5://[::1]:{}", "HTTP_PROXY=socks4a://127.0.0.1:{}/"],
)
def test_the_page_comes_through_the_proxy(variable: str, library: str, page: str) -> None:
    with BadProxy(good("socks5h")) as proxy:
        name, _, value = variable.format(proxy.port).partition("=")
        environ = {key: text for key, text in os.environ.items() if not key.lower().endswith("_proxy")}
        words = ["--proxy", proxy.url(), "--route", "127.0.0.0/8=proxy", "-v", "-c", PROGRAM.format(library, page)]
        done = subprocess.run(
            [sys.executable, "-m", "socksify", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={**environ, name: value},
        )
        assert done.stdout == "hello []\n", done.stderr
        assert len(proxy.sessions) == 1
    assert f"taken out of the environment while installed: {name}\n" in done.stderr
