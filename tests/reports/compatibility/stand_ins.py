"""Stand-ins that speak in lines and in HTTP: a news server, an Elasticsearch of two nodes, Telegram's bot API."""

from __future__ import annotations

import http.server
import json
import threading
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.reports.compatibility.server_host import Port
from tests.support.network.addresses import TARGET, TARGET4
from tests.support.network.line_servers import Lines

JSON = "application/json"


class Nntp(Lines):
    """RFC 3977: one group with one article."""

    GREETING = "200 news.example ready"

    def group(self, name: str) -> None:
        self.say(f"211 1 1 1 {name}")

    def article(self, number: str) -> None:
        self.say(f"220 {number} <one@news.example>\r\nSubject: hello\r\n\r\nhello\r\n.")

    def quit(self) -> None:
        self.say("205 bye")


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers each request with the JSON that `answer()` makes of its path, its query and its form or JSON."""

    protocol_version = "HTTP/1.1"
    HEADERS: ClassVar[dict[str, str]] = {}

    def answer(self, path: str, values: dict[str, str]) -> object:
        raise NotImplementedError

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        posted = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = url.query if "json" in self.headers.get("Content-Type", "json") else f"{url.query}&{posted}"
        answer = self.answer(url.path, {name: values[0] for name, values in parse_qs(form).items()})
        body = json.dumps(answer).encode()
        self.send_response(200)
        for name, value in {**self.HEADERS, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Elasticsearch(Answers):
    """Either node knows of both, by the name and the address that they publish, and of one document."""

    HEADERS: ClassVar = {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/vnd.elasticsearch+json"}

    def answer(self, path: str, values: dict[str, str]) -> object:  # noqa: ARG002
        if path.startswith("/_nodes"):
            addresses = [f"{TARGET}/{TARGET4}:{port}" for port in (Port.ELASTICSEARCH, Port.ELASTICSEARCH_OTHER)]
            return {"nodes": {address: {"http": {"publish_address": address}} for address in addresses}}
        if path.endswith("/_search"):
            return {"hits": {"hits": [{"_source": {"word": "hello"}}]}}
        return {"result": "created"}


class Telegram(Answers):
    """Has two messages for a bot, the second of which comes when it has answered the first, or asked a second time."""

    HEADERS: ClassVar = {"Content-Type": JSON}
    USER: ClassVar = {"id": 1, "is_bot": False, "first_name": "Alice"}
    CHAT: ClassVar = {"id": 1, "type": "private"}
    SECONDS = 0.3

    def answer(self, path: str, values: dict[str, str]) -> object:
        method = path.rpartition("/")[2]
        return {"ok": True, "result": getattr(self, f"_{method.lower()}", lambda _: True)(values)}

    def _getme(self, _: dict[str, str]) -> object:
        return {"id": 2, "is_bot": True, "first_name": "Bot", "username": "bot"}

    def _getupdates(self, values: dict[str, str]) -> object:
        number = max(1, int(values.get("offset", 0)))
        if int(values.get("timeout", 0)) and number > 1:
            # Held back, as it would be until there is news.
            threading.Event().wait(self.SECONDS)
        return [{"update_id": number, "message": self._message(number, f"message {number}")}] if number < 3 else []

    def _sendmessage(self, values: dict[str, str]) -> object:
        return self._message(9, values["text"])

    def _message(self, number: int, text: str) -> object:
        return {"message_id": number, "date": 0, "chat": self.CHAT, "from": self.USER, "text": text}
