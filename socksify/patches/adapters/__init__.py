"""Third-party modules that go past the stdlib's methods: one file each, imported when such a module is.

Each has a function `patch(module, journal)`, which wraps what must be wrapped and lets the journal undo it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# The module that is waited for, and whose business it is here.
ADAPTERS = {
    "anyio._backends._asyncio": "socksify.patches.adapters.anyio",
    "dns.asyncquery": "socksify.patches.adapters.dnspython",
    "dns.query": "socksify.patches.adapters.dnspython",
    "pycares": "socksify.patches.adapters.pycares",
    "trio._socket": "socksify.patches.adapters.trio",
    "twisted.internet.base": "socksify.patches.adapters.twisted",
    "twisted.python.threadpool": "socksify.patches.adapters.twisted",
}


def adapt(journal: Journal) -> None:
    """Adapt each of these modules: those that are imported already, the others as soon as they are."""
    from socksify.patches.arriving import when_imported

    for name, adapter in ADAPTERS.items():
        journal.on_undo(when_imported(name, _patching(adapter, journal)))


def wrap(journal: Journal, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Put wrapt's `wrapper(wrapped, instance, args, kwargs)` round owner.name, until the journal is undone."""
    from wrapt import FunctionWrapper

    journal.set_attribute(owner, name, FunctionWrapper(vars(owner)[name], wrapper))


def _patching(adapter: str, journal: Journal) -> Callable[[ModuleType], None]:
    def patch(module: ModuleType) -> None:
        __import__(adapter)
        sys.modules[adapter].patch(module, journal)

    return patch
