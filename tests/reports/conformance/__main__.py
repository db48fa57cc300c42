"""`make conformance`: runs CPython's own tests natively and through a proxy, and writes the README's table.

    python -m tests.reports.conformance [--proxy danted|microsocks|sockd] [MODULE]...

If a proxy or a MODULE is named, the README is not changed. The exit status is 1 if a test fails only under socksify.
Everything runs in a network namespace that has only loopback, so no packet of a test can leave.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.reports.conformance import modules, table
from tests.reports.conformance.comparing import Comparison, compare
from tests.reports.conformance.proxies import PROXIES, connections
from tests.reports.conformance.runs import through
from tests.support.network.namespaces import Namespace, etc, needs_root
from tests.support.servers import Server

WORKERS = 2
WIDTH = 32
COLUMNS = ("tests", "native", "unsteady", "excepted", "only ours")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Run everything that the block starts in a namespace that has only loopback."""
    needs_root()
    with tempfile.TemporaryDirectory() as directory:
        files = etc(Path(directory, "etc"), {"hosts": "127.0.0.1 localhost\n::1 localhost\n"})
        with Namespace(files, "conformance") as namespace, namespace.inside():
            yield


def compared(names: Sequence[str], proxy: Server) -> list[Comparison]:
    """Compare module by module, and print a line when one is done."""
    way = through(proxy.url())
    print(f"{'':{WIDTH}}{''.join(f'{name:>10}' for name in COLUMNS)}{'seconds':>10}")
    with ThreadPoolExecutor(WORKERS) as workers:
        return list(workers.map(lambda name: _compared(name, way), names))


def _compared(name: str, way: Sequence[str]) -> Comparison:
    began = time.monotonic()
    found = compare(name, way)
    numbers = map(len, (found.ran, found.native, found.unsteady, found.excepted, found.only_ours))
    seconds = time.monotonic() - began
    print(f"{name:{WIDTH}}{''.join(f'{number:>10}' for number in numbers)}{seconds:>10.1f}", flush=True)
    return found


def tell(comparison: Comparison) -> None:
    """Print the tests that did not pass both ways."""
    for what in ("native", "unsteady", "excepted", "only_ours"):
        for test in sorted(getattr(comparison, what)):
            print(f"{what.replace('_', ' ')}: {test}")
            for each in comparison.rounds if what in ("only_ours", "unsteady") else ():
                print(f"-- natively {each.natively(test).verdict}: {each.natively(test).told}")
                print(f"-- under socksify {each.with_us(test).verdict}: {each.with_us(test).told}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reports.conformance")
    parser.add_argument("--proxy", choices=PROXIES)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="all of them if none is named")
    arguments = parser.parse_args()
    names = modules.chosen(arguments.modules)
    if not names:
        parser.error(f"{' '.join(arguments.modules)}: no such modules; there are {' '.join(modules.names())}")
    with alone(), PROXIES[arguments.proxy or "danted"]() as proxy:
        comparisons = compared(names, proxy)
        seen = connections(proxy)
    for comparison in comparisons:
        tell(comparison)
    line = table.line(comparisons, seen)
    print(*(f"{what}: {number}" for what, number in zip(table.TABLE.columns, line, strict=True)), sep=", ")
    if not arguments.modules and not arguments.proxy:
        table.write(line)
    return 1 if any(comparison.only_ours for comparison in comparisons) else 0


if __name__ == "__main__":
    sys.exit(main())
