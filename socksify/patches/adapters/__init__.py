"""Adapters for third-party modules that bypass the standard library's methods: one file for each library.

An adapter is imported when its third-party module is imported. Its function `patch(module, journal)` wraps methods of
the module; the journal undoes that.
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

# The directory that contains our package.
_SITE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# Full name of a module -> the adapter that patches it when it is imported.
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


class WraptLibrary:
    """Finds wrapt: one object in a process, because a process imports wrapt once.

    If another Python has passed our package on to this Python, this Python need not have wrapt. Then this class looks
    for wrapt in the directory that contains our package, and in the directory in which the other Python has found it.
    """

    def __init__(self) -> None:
        self._directories = [_SITE]

    def directory(self) -> str:
        """Return the directory in which this Python finds wrapt; an empty text if there is none."""
        spec = PathFinder.find_spec("wrapt", [*sys.path, *self._directories])
        return os.path.dirname(os.path.dirname(spec.origin)) if spec is not None and spec.origin else ""

    def borrow(self, directory: str) -> None:
        """Also look in `directory`, the directory() of another Python; an empty text is ignored."""
        if directory and directory not in self._directories:
            self._directories.append(directory)

    def module(self) -> Any:
        """Return the module wrapt. Raises ImportError if it is found nowhere."""
        try:
            import wrapt
        except ImportError:
            spec = PathFinder.find_spec("wrapt", self._directories)
            if spec is None or spec.loader is None:
                raise
            wrapt = sys.modules["wrapt"] = module_from_spec(spec)
            spec.loader.exec_module(wrapt)
        return wrapt


LIBRARY = WraptLibrary()


def adapt(journal: Journal) -> None:
    """Patch each module in ADAPTERS until the journal is undone.

    A module that is imported already is patched at once, another module when it is imported.
    """
    from socksify.patches.post_import import when_imported

    for name, adapter in ADAPTERS.items():
        journal.on_undo(when_imported(name, _patching(adapter, journal)))


def wrap(journal: Journal, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Wrap the function owner.name until the journal is undone.

    `wrapper` is a wrapper for wrapt's FunctionWrapper: it is called as wrapper(wrapped, instance, args, kwargs).
    """
    journal.set_attribute(owner, name, LIBRARY.module().FunctionWrapper(_defined(owner, name), wrapper))


def wrap_everywhere(journal: Journal, module: ModuleType, wrappers: Mapping[str, Callable[..., Any]]) -> None:
    """Wrap functions of a module like wrap(), and replace the references that other modules have imported by name.

    `wrappers` maps the name of each function to its wrapper. Names that the module does not have are ignored.
    """
    from socksify.patches import early_references
    from socksify.patches.journal import Rebinding
    from socksify.patches.notices import NOTICES

    names = vars(module)
    wrapt = LIBRARY.module()
    rebindings = [
        Rebinding(module, name, wrapt.FunctionWrapper(names[name], wrapper))
        for name, wrapper in wrappers.items()
        if name in names
    ]
    early_references.rebind(rebindings, journal, NOTICES.say)
    for rebinding in rebindings:
        journal.apply(rebinding)


def _defined(owner: Any, name: str) -> Any:
    """Return the value of an attribute in the dict of a module, or of a class or its base class.

    getattr() would bind a descriptor, for example a classmethod.
    """
    owners = owner.__mro__ if isinstance(owner, type) else (owner,)
    return next(vars(each)[name] for each in owners if name in vars(each))


def _patching(adapter: str, journal: Journal) -> Callable[[ModuleType], None]:
    def patch(module: ModuleType) -> None:
        __import__(adapter)
        sys.modules[adapter].patch(module, journal)

    return patch
