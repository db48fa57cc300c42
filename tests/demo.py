"""What `make demo` shows: an unmodified HTTP client, a local HTTP server, and a SOCKS server in between.

The SOCKS server is the embedded one, so that nothing has to be set up. Loopback is direct unless a rule says
otherwise: the rule here sends 127.0.0.1 through the proxy, and 127.0.0.2 shows what the built-in rules do.
"""

from __future__ import annotations

import contextlib
import http.server
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLIENT = "tests/programs/fetch.py"


class Page(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the address it was asked from: the SOCKS server's, or the client's own."""

    def do_GET(self) -> None:
        body = f"hello, you come from port {self.client_address[1]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the demo's output is the client's."""


def main() -> int:
    with serving("127.0.0.1") as proxied, serving("127.0.0.2") as direct:
        options = ["--embedded", "-v", "--route", "127.0.0.1=proxy"]
        words = ["-m", "socksify", *options, CLIENT, f"{proxied}/proxied", f"{direct}/direct"]
        print("$", shlex.join(["python", *words]), flush=True)
        return subprocess.run([sys.executable, *words], cwd=ROOT).returncode


@contextlib.contextmanager
def serving(host: str) -> Iterator[str]:
    """The URL of an HTTP server on a loopback address."""
    with http.server.ThreadingHTTPServer((host, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
