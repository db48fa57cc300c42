"""What `make demo` shows: an unmodified HTTP client, a local HTTP server, and a SOCKS server in between.

The SOCKS server is the embedded one, so that nothing has to be set up. Loopback is direct unless a rule says
otherwise; the rule here sends 127.0.0.0/8 through the proxy, and `localhost` shows what the built-in rules do.
"""

from __future__ import annotations

import http.server
import shlex
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT = "tests/clients/fetch.py"


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
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        options = ["--embedded", "-v", "--route", "127.0.0.0/8=proxy"]
        urls = [f"http://127.0.0.1:{port}/proxied", f"http://localhost:{port}/direct"]
        words = ["-m", "socksify", *options, CLIENT, *urls]
        print("$", shlex.join(["python", *words]), flush=True)
        status = subprocess.run([sys.executable, *words], cwd=ROOT).returncode
        server.shutdown()
    return status


if __name__ == "__main__":
    sys.exit(main())
