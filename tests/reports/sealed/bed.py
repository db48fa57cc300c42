"""What the programs need on both sides: servers beside the recorded network's, and files that every user can read."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.reports.compatibility.server_host import ServerHost, server_host
from tests.reports.compatibility.servers import SERVERS
from tests.reports.sealed import servers, users
from tests.reports.sealed.builds import BUILDS, build
from tests.reports.sealed.matrix import Case
from tests.reports.sealed.users import User
from tests.support.network.addresses import TARGET
from tests.support.network.recorded import RecordedNetwork
from tests.support.paths import PROGRAMS

SSH_OPTIONS = ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
KEY = "key"


class Bed:
    """Servers and files for the programs. A server that was started runs until the bed is left."""

    def __init__(self, host: ServerHost, stack: contextlib.ExitStack) -> None:
        self.network = host.network
        self.directory = host.directory
        self._host, self._stack = host, stack
        self._started: set[str] = set()
        self._built = host.subdirectory("built")
        self._programs = host.directory / "programs"
        users.copy_readable(PROGRAMS, self._programs)
        self._authority = host.directory / "authority.pem"
        shutil.copy(host.authority, self._authority)
        self.users = (users.ROOT, users.nobody(host.directory))

    def prepare(self, case: Case) -> None:
        """Start the server of the case, and compile its program."""
        if case.server is not None and case.server not in self._started:
            start = servers.OWN[case.server] if case.server in servers.OWN else SERVERS[case.server].start
            self._stack.enter_context(start(self._host))
            self._started.add(case.server)
        for name in BUILDS:
            if name in case.command:
                build(name, self._built)

    def words(self, case: Case, user: User) -> list[str]:
        """Return the command of the case with the values for this user."""
        return case.words(
            target=TARGET,
            python=user.python,
            programs=str(self._programs),
            built=str(self._built),
            authority=str(self._authority),
            ssh=" ".join(["ssh", "-q", "-F", "none", "-p", str(servers.SSH_PORT), "-i", KEY, *_options()]),
            repository=str(self.directory / servers.REPOSITORY),
            apt_config=str(self.directory / servers.APT_CONFIG),
        )

    @contextlib.contextmanager
    def working_directory(self, user: User) -> Iterator[Path]:
        """An empty directory of this user's, but for the user's ssh key."""
        with tempfile.TemporaryDirectory(dir=self.directory, ignore_cleanup_errors=True) as name:
            path = Path(name)
            path.chmod(0o755)
            key = self.directory / servers.USER_KEY
            if key.exists():
                shutil.copy(key, path / KEY)
                shutil.chown(path / KEY, user.name)
            shutil.chown(path, user.name)
            yield path


def _options() -> Iterator[str]:
    for option in SSH_OPTIONS:
        yield from ("-o", option)


@contextlib.contextmanager
def bed(network: RecordedNetwork) -> Iterator[Bed]:
    with server_host(network) as host, contextlib.ExitStack() as stack:
        yield Bed(host, stack)
