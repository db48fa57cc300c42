"""A temporary certificate authority for tests."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from tests.support.processes import require

# A name that the certificate is for, beside localhost and 127.0.0.1. Some proxies of the tests know the name, too.
NAME = "target.example"


class Certificates:
    """An authority and a certificate for `target.example`, localhost and 127.0.0.1, made in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._authority, self._key, self._certificate = (directory / name for name in ("ca.pem", "key.pem", "cert.pem"))
        names = "subjectAltName=DNS:target.example,DNS:localhost,IP:127.0.0.1"
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"]
        ca_key = directory / "ca_key.pem"
        ca = ["-subj", "/CN=throwaway", "-addext", "basicConstraints=critical,CA:TRUE"]
        ca += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        _openssl(*new, *ca, "-keyout", str(ca_key), "-out", str(self._authority))
        leaf = ["-subj", "/CN=target.example", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"]
        leaf += ["-CA", str(self._authority), "-CAkey", str(ca_key)]
        _openssl(*new, *leaf, "-keyout", str(self._key), "-out", str(self._certificate))

    @property
    def authority(self) -> Path:
        """The file of the authority's certificate."""
        return self._authority

    @property
    def files(self) -> tuple[Path, Path]:
        """The files of the certificate and of its key."""
        return self._certificate, self._key

    def server(self) -> ssl.SSLContext:
        """Return a context for a server with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        return context

    def client(self) -> ssl.SSLContext:
        """Return a context for a client that checks the chain and the host name."""
        return ssl.create_default_context(cafile=str(self._authority))


def _openssl(*arguments: str) -> None:
    subprocess.run([require("openssl"), *arguments], check=True, capture_output=True, timeout=30)
