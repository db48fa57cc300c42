"""Demands, rules, users and configuration files, as the tests of the server write them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

from socksify.config import match
from socksify.config.rules import never
from socksify.protocol.socks5 import CONNECT
from socksify.server.config import Configuration, toml_file
from socksify.server.policy.policy import Demand
from socksify.server.policy.rules import AccessRule

REMOTE = "198.51.100.7"
# A hash with the lowest costs, so that the tests are quick.
CHEAP = "$scrypt$ln=1,r=1,p=1$c2FsdA$"


def demand(
    address: str | None = None,
    port: int = 80,
    name: str | None = None,
    *,
    host: str = REMOTE,
    user: bytes | None = None,
    userid: bytes = b"",
    command: int = CONNECT,
) -> Demand:
    return Demand(host, user, userid, command, name, address, port)


def rule(action: str, *to: str, **fields: object) -> AccessRule:
    """A rule about these destinations, MATCHes as in a configuration file."""
    destinations = tuple(match.parse(text, "") for text in to)
    return AccessRule(" ".join((action, *to)), "test", action == "permit", destinations=destinations, **fields)  # type: ignore[arg-type]


def cheap_hash(password: bytes) -> str:
    """The hash of a password, as a line of a file of users has it."""
    digest = hashlib.scrypt(password, salt=b"salt", n=2, r=1, p=1, dklen=32)
    return CHEAP + b64encode(digest).decode().rstrip("=")


def loaded(tmp_path: Path, text: str) -> Configuration:
    """The configuration of a TOML file; the file `users` beside it has alice (one) and bob (two)."""
    path = tmp_path / "sockd.toml"
    path.write_text(text)
    (tmp_path / "users").write_text(f"alice:{cheap_hash(b'one')}\nbob:{cheap_hash(b'two')}\n")
    return toml_file.load(str(path), never)
