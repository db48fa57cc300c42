"""A real FTP server: vsftpd on loopback, for anonymous and for one user, without and with TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Certificates
from tests.support.processes import free_port, require, running
from tests.support.servers import with_account

USER, PASSWORD = "alice", "open sesame"
# servers.with_account() gives its user this uid.
_UID, _GID = 65533, 65534


@dataclass(frozen=True)
class Ftpd:
    """A running server. The user starts in `home`, anonymous in `public`."""

    host: str
    port: int
    home: Path
    public: Path
    certificates: Certificates
    log: Path

    def clear(self) -> None:
        """Empty the user's home directory."""
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def give(self, name: str, data: bytes) -> Path:
        """Return the path of a file in the user's home directory."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        for made in (path, *path.parents[: len(path.relative_to(self.home).parts) - 1]):
            os.chown(made, _UID, _GID)
        return path


@contextlib.contextmanager
def vsftpd(options: str = "", host: str = "127.0.0.1", port: int | None = None) -> Iterator[Ftpd]:
    """vsftpd with `options`, more lines of its configuration; on any free port unless told."""
    binary = require("vsftpd")
    with tempfile.TemporaryDirectory(prefix="socksify-vsftpd-") as name:
        directory = Path(name)
        home, public = directory / "home", directory / "public"
        # Anonymous users of vsftpd must not be able to write to their root. All users must be able to enter it.
        for path in (directory, home, public):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        os.chown(home, _UID, _GID)
        certificates = Certificates(directory)
        server = Ftpd(host, port or free_port(host), home, public, certificates, directory / "log")
        Path("/run/vsftpd/empty").mkdir(parents=True, exist_ok=True)
        config = directory / "vsftpd.conf"
        config.write_text(_config(server, directory) + options)
        argv = with_account([binary, str(config)], directory, USER, PASSWORD, str(home), "/bin/sh")
        with running(argv, "vsftpd", (host, server.port), server.log):
            yield server


def _config(server: Ftpd, directory: Path) -> str:
    return f"""\
listen={"NO" if ":" in server.host else "YES"}
listen_ipv6={"YES" if ":" in server.host else "NO"}
listen_address{"6" if ":" in server.host else ""}={server.host}
listen_port={server.port}
background=NO
anonymous_enable=YES
anon_root={server.public}
local_enable=YES
write_enable=YES
local_umask=022
ascii_upload_enable=YES
ascii_download_enable=YES
seccomp_sandbox=NO
ssl_enable=YES
allow_anon_ssl=YES
force_local_logins_ssl=NO
force_local_data_ssl=NO
rsa_cert_file={directory}/cert.pem
rsa_private_key_file={directory}/key.pem
"""
