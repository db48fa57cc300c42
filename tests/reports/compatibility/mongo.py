"""A stand-in for MongoDB, which Debian does not have: documents are put in and found, by one server or a set of two.

Messages are those of the MongoDB wire protocol, documents are pymongo's own BSON. A client is first asked for its
hello in OP_QUERY, as ever, and speaks OP_MSG then.
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
from typing import Any, ClassVar

import bson

from tests.reports.compatibility.server_host import Port
from tests.support.network.addresses import TARGET

HEADER = struct.Struct("<4i")
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
# A section of a body, one of a sequence of documents; flags are in the first four bytes of an OP_MSG.
BODY, SEQUENCE = 0, 1
LIMITS = {"maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 1000}
VERSIONS = {"minWireVersion": 0, "maxWireVersion": 21}
SET = [f"{TARGET}:{port}" for port in (Port.MONGODB_PRIMARY, Port.MONGODB_SECONDARY)]

Document = dict[str, Any]


class Mongo(socketserver.StreamRequestHandler):
    """A server by itself."""

    documents: ClassVar[dict[Any, Document]] = {}

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while head := self.rfile.read(HEADER.size):
                length, number, _, kind = HEADER.unpack(head)
                body = self.rfile.read(length - HEADER.size)
                self.wfile.write(self._query(number, body) if kind == OP_QUERY else self._message(number, body))

    def _query(self, number: int, body: bytes) -> bytes:
        # Flags, the collection's name, how many to skip and to return; the command.
        command = bson.decode(body[body.index(b"\0", 4) + 9 :])
        reply = struct.pack("<iqii", 8, 0, 0, 1) + _encode(self._answer(command))
        return HEADER.pack(HEADER.size + len(reply), 0, number, OP_REPLY) + reply

    def _message(self, number: int, body: bytes) -> bytes:
        reply = bytes(4) + bytes([BODY]) + _encode(self._answer(_command(body[4:])))
        return HEADER.pack(HEADER.size + len(reply), 0, number, OP_MSG) + reply

    def _answer(self, command: Document) -> Document:
        name = next(iter(command))
        return {**getattr(self, f"_{name.lower()}", dict)(command), "ok": 1}

    def _hello(self, _: Document) -> Document:
        return {"ismaster": True, "isWritablePrimary": True, **self.role, **LIMITS, **VERSIONS}

    _ismaster = _hello
    role: ClassVar[Document] = {}

    def _insert(self, command: Document) -> Document:
        self.documents.update((document["_id"], document) for document in command["documents"])
        return {"n": len(command["documents"])}

    def _find(self, command: Document) -> Document:
        found = [self.documents[command["filter"]["_id"]]]
        return {"cursor": {"id": 0, "ns": f"{command['$db']}.{command['find']}", "firstBatch": found}}


class Primary(Mongo):
    role: ClassVar = {"setName": "rs0", "hosts": SET, "primary": SET[0], "me": SET[0], "setVersion": 1}


class Secondary(Mongo):
    role: ClassVar = {**Primary.role, "me": SET[1], "ismaster": False, "isWritablePrimary": False, "secondary": True}


def _command(sections: bytes) -> Document:
    """The command whose sections these are; a sequence of documents is one of its fields."""
    command: Document = {}
    while sections:
        (length,) = struct.unpack_from("<i", sections, 1)
        kind, content, sections = sections[0], sections[1 : 1 + length], sections[1 + length :]
        command.update(_sequence(content) if kind == SEQUENCE else bson.decode(content))
    return command


def _sequence(content: bytes) -> Document:
    end = content.index(b"\0", 4)
    return {content[4:end].decode(): bson.decode_all(content[end + 1 :])}


def _encode(document: Document) -> bytes:
    return bytes(bson.encode(document))
