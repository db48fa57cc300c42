"""Third-party modules that go past the stdlib's methods: one file each, imported when such a module is.

Each has a function `patch(module, journal)`, which wraps what must be wrapped and lets the journal undo it.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# Where wrapt is looked for last. A Python that another one has lent us to need not have it: it stands beside us, or
# where that one has it.
_places = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))]

# The module that is waited for, and whose business it is here.
ADAPTERS = {
    "OpenSSL.SSL": "socksify.patches.adapters.pyopenssl",
    "anyio._backends._asyncio": "socksify.patches.adapters.anyio",
    "dns.asyncquery": "socksify.patches.adapters.dnspython",
    "dns.query": "socksify.patches.adapters.dnspython",
    "eventlet.green.select": "socksify.patches.adapters.eventlet",
    "eventlet.green.ssl": "socksify.patches.adapters.eventlet",
    "eventlet.greenio.base": "socksify.patches.adapters.eventlet",
    "eventlet.hubs": "socksify.patches.adapters.eventlet",
    "eventlet.support.greendns": "socksify.patches.adapters.eventlet",
    "eventlet.tpool": "socksify.patches.adapters.eventlet",
    "gevent.resolver.ares": "socksify.patches.adapters.gevent.resolvers",
    "gevent.resolver.dnspython": "socksify.patches.adapters.gevent.resolvers",
    "gevent.select": "socksify.patches.adapters.gevent.select",
    "gevent.selectors": "socksify.patches.adapters.gevent.select",
    "gevent.socket": "socksify.patches.adapters.gevent",
    "gevent.ssl": "socksify.patches.adapters.gevent.ssl",
    "gevent.threadpool": "socksify.patches.adapters.gevent.threads",
    "pycares": "socksify.patches.adapters.pycares",
    "trio._socket": "socksify.patches.adapters.trio",
    "twisted.internet.base": "socksify.patches.adapters.twisted",
    "twisted.internet.pollreactor": "socksify.patches.adapters.twisted.poll",
    "twisted.python.threadpool": "socksify.patches.adapters.twisted",
    "uvloop": "socksify.patches.adapters.uvloop",
    "zmq.sugar.socket": "socksify.patches.adapters.zmq",
}


def adapt(journal: Journal) -> None:
    """Adapt each of these modules: those that are imported already, the others as soon as they are."""
    from socksify.patches.post_import import when_imported

    for name, adapter in ADAPTERS.items():
        journal.on_undo(when_imported(name, _patching(adapter, journal)))


def wrap(journal: Journal, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Put wrapt's `wrapper(wrapped, instance, args, kwargs)` round owner.name, until the journal is undone."""
    journal.set_attribute(owner, name, _wrapt().FunctionWrapper(_defined(owner, name), wrapper))


def wrap_everywhere(journal: Journal, module: ModuleType, wrappers: Mapping[str, Callable[..., Any]]) -> None:
    """As wrap(), of functions of a module that others have imported by name; `wrappers` is by their names."""
    from socksify.patches import early_references
    from socksify.patches.journal import Rebinding
    from socksify.routing import log

    names = vars(module)
    wrapt = _wrapt()
    rebindings = [
        Rebinding(module, name, wrapt.FunctionWrapper(names[name], wrapper))
        for name, wrapper in wrappers.items()
        if name in names
    ]
    early_references.rebind(rebindings, journal, log.notice)
    for rebinding in rebindings:
        journal.apply(rebinding)


def library() -> str:
    """The directory in which this Python finds wrapt; empty where there is none."""
    spec = PathFinder.find_spec("wrapt", [*sys.path, *_places])
    return os.path.dirname(os.path.dirname(spec.origin)) if spec is not None and spec.origin else ""


def borrow(library: str) -> None:
    """Another Python's library(), for want of one of our own."""
    if library and library not in _places:
        _places.append(library)


def _wrapt() -> Any:
    try:
        import wrapt
    except ImportError:
        spec = PathFinder.find_spec("wrapt", _places)
        if spec is None or spec.loader is None:
            raise
        wrapt = sys.modules["wrapt"] = module_from_spec(spec)
        spec.loader.exec_module(wrapt)
    return wrapt


def _defined(owner: Any, name: str) -> Any:
    """An attribute as it stands in a module, in a class, or in one that this one inherits it from."""
    places = owner.__mro__ if isinstance(owner, type) else (owner,)
    return next(vars(place)[name] for place in places if name in vars(place))


def _patching(adapter: str, journal: Journal) -> Callable[[ModuleType], None]:
    def patch(module: ModuleType) -> None:
        __import__(adapter)
        sys.modules[adapter].patch(module, journal)

    return patch
