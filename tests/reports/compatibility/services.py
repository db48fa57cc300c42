"""Mail, directories, shells, object stores: Dovecot, aiosmtpd, slapd, sshd, moto."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from tests.reports.compatibility.server_host import Port, ServerHost
from tests.support.network.addresses import TARGET4, TARGET6
from tests.support.processes import require
from tests.support.servers import with_account

SLAPD = """\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix dc=example
rootdn cn=admin,dc=example
rootpw secret
directory {directory}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
"""
ROOT_ENTRY = "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n"
DOVECOT = """\
base_dir = {home}/run
log_path = /dev/stderr
protocols = imap pop3
listen = {hosts}
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = maildir:{home}/mail
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
first_valid_uid = 1
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={home}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = 0
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
service anvil {{
  chroot =
}}
"""


@contextlib.contextmanager
def slapd(host: ServerHost) -> Iterator[None]:
    certificate, key = host.certificate()
    directory = host.subdirectory("slapd")
    config = host.directory / "slapd.conf"
    config.write_text(SLAPD.format(directory=directory, certificate=certificate, key=key))
    subprocess.run([require("slapadd"), "-f", config], input=ROOT_ENTRY, text=True, capture_output=True, check=True)
    urls = f"ldap://{TARGET4}:{Port.LDAP} ldap://[{TARGET6}]:{Port.LDAP}"
    with host.running([require("slapd"), "-d", "0", "-f", str(config), "-h", urls], Port.LDAP):
        yield


@contextlib.contextmanager
def dovecot(host: ServerHost) -> Iterator[None]:
    """IMAP with STARTTLS, POP3 under TLS."""
    certificate, key = host.certificate()
    home = host.subdirectory("dovecot", "nobody")
    config = host.directory / "dovecot.conf"
    values = {"certificate": certificate, "key": key, "imap": Port.IMAP, "pop3s": Port.POP3S}
    config.write_text(DOVECOT.format(home=home, hosts=f"{TARGET4}, {TARGET6}", **values))
    with host.running([require("dovecot"), "-F", "-c", str(config)], Port.IMAP):
        yield


@contextlib.contextmanager
def smtpd(host: ServerHost) -> Iterator[None]:
    """aiosmtpd: STARTTLS, then a login."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import AuthResult

    wanted = {"authenticator": lambda *_: AuthResult(success=True), "auth_require_tls": True, "require_starttls": True}
    with contextlib.ExitStack() as stack, host.network.namespace.inside():
        for address in (TARGET4, TARGET6):
            tls = host.network.certificates.server()
            controller = Controller(Sink(), address, Port.SUBMISSION, tls_context=tls, **wanted)
            controller.start()
            stack.callback(controller.stop)
        yield


@contextlib.contextmanager
def sshd(host: ServerHost) -> Iterator[None]:
    """Lets one user in, by password."""
    home = host.subdirectory("ssh")
    # Whom with_account() makes.
    home.chmod(0o777)
    key = host.directory / "ssh_host_key"
    subprocess.run([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    options = {
        "Port": Port.SSH, "HostKey": key, "PidFile": "none", "PasswordAuthentication": "yes", "UsePAM": "no",
        "UseDNS": "no", "Subsystem": "sftp internal-sftp",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    argv = [require("sshd"), "-D", "-e", "-f", "/dev/null", *words]
    with host.running(with_account(argv, host.directory, "user", "secret", str(home), "/bin/sh"), Port.SSH):
        yield


@contextlib.contextmanager
def moto(host: ServerHost) -> Iterator[None]:
    """Amazon's S3, in memory."""
    # Else it takes the target's own name for a bucket's.
    words = ["env", "S3_IGNORE_SUBDOMAIN_BUCKETNAME=true", sys.executable, "-m", "moto.server"]
    with host.running([*words, "--host", "::", "--port", str(Port.S3)], Port.S3):
        yield
