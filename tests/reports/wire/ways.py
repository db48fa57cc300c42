"""The ways to run an unmodified client: with nothing, with socksify, with each of its peers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.network.addresses import PROXY, TOR
from tests.support.processes import require

HERE = Path(__file__).parent
# Nothing of the tests' own environment, which may name a proxy.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Way:
    """`launcher` is what stands before the client's own words; `late` stands there when it has imported before."""

    name: str
    launcher: Sequence[str]
    late: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)

    def command(self, client: str, arguments: Sequence[str], early: bool) -> list[str]:
        return [*(self.late if early else self.launcher), client, *arguments]


def natively() -> Way:
    return Way("natively", [sys.executable], [sys.executable])


def ours(strict: bool, proxy: tuple[str, int] = PROXY) -> Way:
    url = "socks5h://{}:{}".format(*proxy)
    environment = {**ENVIRONMENT, "SOCKSIFY_PROXY": url, **({"SOCKSIFY_STRICT": "1"} if strict else {})}
    name = "socksify --strict" if strict else "socksify"
    return Way(name, [sys.executable, "-m", "socksify"], [sys.executable, str(HERE / "late.py")], environment)


def proxychains(directory: Path) -> Way:
    """Its own example file's choices: names by the proxy, the chain strict."""
    config = directory / "proxychains.conf"
    config.write_text("strict_chain\nproxy_dns\n[ProxyList]\nsocks5 {} {}\n".format(*PROXY))
    launcher = [require("proxychains4"), "-q", "-f", str(config), sys.executable]
    return Way("proxychains4", launcher, launcher)


def torsocks(directory: Path) -> Way:
    config = directory / "torsocks.conf"
    config.write_text("TorAddress {}\nTorPort {}\nOnionAddrRange 127.42.42.0/24\n".format(*TOR))
    launcher = [require("torsocks"), sys.executable]
    return Way("torsocks", launcher, launcher, {**ENVIRONMENT, "TORSOCKS_CONF_FILE": str(config)})


def pysocks() -> Way:
    launcher = [sys.executable, str(HERE / "pysocks.py"), PROXY[0], str(PROXY[1])]
    return Way("PySocks", launcher, [*launcher, "--late"])


def peers(directory: Path) -> list[Way]:
    """Each with a configuration in `directory`."""
    return [proxychains(directory), torsocks(directory), pysocks()]
