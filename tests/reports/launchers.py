"""The ways to start an unmodified client: by Python alone, under socksify, under each of socksify's peers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.network.addresses import PROXY, TOR
from tests.support.processes import require

HERE = Path(__file__).parent
# The tests' own environment may name a proxy, so nothing else of it is passed on.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Launcher:
    """`words` precede the client's command. `late_words` do so for a client that is imported before the patch."""

    name: str
    words: Sequence[str]
    late_words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)

    def command(self, client: str, arguments: Sequence[str], imported_early: bool) -> list[str]:
        return [*(self.late_words if imported_early else self.words), client, *arguments]


def python() -> Launcher:
    """Start clients natively."""
    return Launcher("natively", [sys.executable], [sys.executable])


def socksify(strict: bool, proxy: tuple[str, int] = PROXY) -> Launcher:
    """Start clients with the patches alone, without a seal."""
    url = "socks5h://{}:{}".format(*proxy)
    environment = {**ENVIRONMENT, "SOCKSIFY_PROXY": url, "SOCKSIFY_SEAL": "off", "SOCKSIFY_STRICT": str(int(strict))}
    name = "socksify --strict" if strict else "socksify"
    late_words = [sys.executable, str(HERE / "late_install.py")]
    return Launcher(name, [sys.executable, "-m", "socksify"], late_words, environment)


def proxychains(directory: Path, program: Sequence[str] = (sys.executable,)) -> Launcher:
    """Use the settings of proxychains' example file: names are resolved by the proxy, the chain is strict.

    `program` has the first words of the command that is started, before the client.
    """
    config = directory / "proxychains.conf"
    config.write_text("strict_chain\nproxy_dns\n[ProxyList]\nsocks5 {} {}\n".format(*PROXY))
    words = [require("proxychains4"), "-q", "-f", str(config), *program]
    return Launcher("proxychains4", words, words)


def torsocks(directory: Path, program: Sequence[str] = (sys.executable,)) -> Launcher:
    config = directory / "torsocks.conf"
    config.write_text("TorAddress {}\nTorPort {}\nOnionAddrRange 127.42.42.0/24\n".format(*TOR))
    words = [require("torsocks"), *program]
    return Launcher("torsocks", words, words, {**ENVIRONMENT, "TORSOCKS_CONF_FILE": str(config)})


def pysocks() -> Launcher:
    words = [sys.executable, str(HERE / "pysocks_patch.py"), PROXY[0], str(PROXY[1])]
    return Launcher("PySocks", words, [*words, "--late"])


def peers(directory: Path) -> list[Launcher]:
    """Return the launchers of socksify's peers. They write their configuration files into `directory`."""
    return [proxychains(directory), torsocks(directory), pysocks()]


def own() -> list[Launcher]:
    return [socksify(strict=False), socksify(strict=True)]
