"""The sitecustomize for PYTHONPATH: each Python with this directory on its path starts the hook.

Python runs only the first file of this name. So this file runs the next sitecustomize on the path (Debian's, that of a
tracing tool, the user's own), as Python would without the hook. Afterwards `sys.modules` holds that module.
"""

import os
import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _start() -> None:
    try:
        import socksify_hook

        socksify_hook.start()
    except Exception as error:
        _shut(error)


def _shut(error: Exception) -> None:
    """Close the network, because socksify_hook/ is missing or damaged: no connection must bypass the proxy."""
    text = f"socksify: {__file__} needs socksify_hook/ beside it ({error}); until then, SOCKSIFY_DISABLE=1"

    def refuse(event: str, args: "tuple[Any, ...]") -> None:
        if os.environ.get("SOCKSIFY_DISABLE") == "1":
            return
        if event.startswith("socket."):
            raise OSError(100, text)  # ENETDOWN
        # These modules have sockets in C.
        if event == "import" and args[0].startswith(("gevent.resolver.cares", "pycares", "uvloop", "zmq")):
            raise ImportError(text, name=args[0])

    if hasattr(sys, "addaudithook"):
        sys.addaudithook(refuse)
    elif os.environ.get("SOCKSIFY_DISABLE") != "1":
        # Before Python 3.8 there are no audit events, so `socket` is replaced by a module without attributes.
        sys.modules["socket"] = sys.modules["_socket"] = _Closed("socket", text)


class _Closed(type(sys)):  # type: ignore[misc]
    """A module that raises an OSError for each of its attributes."""

    def __getattr__(self, name: str) -> None:
        raise OSError(100, self.__doc__)


def _run_next() -> None:
    """Run the next sitecustomize on sys.path that has not run yet.

    Tools that run the next one as well may come back to this file, which must not run anything twice. An exception goes
    to the importer of this file, as if the importer had imported the next one itself.
    """
    ran: set[str] = getattr(sys.modules.get("socksify_hook"), "chained", set())
    here = os.path.dirname(__file__)
    # The files before this one have run, or the caller has skipped them.
    for entry in sys.path[sys.path.index(here) + 1 if here in sys.path else 0 :]:
        spec = PathFinder.find_spec("sitecustomize", [entry])
        if spec is None or spec.loader is None or spec.origin is None:
            continue
        ran.add(os.path.realpath(__file__))
        file = os.path.realpath(spec.origin)
        if file not in ran:
            ran.add(file)
            sys.modules["sitecustomize"] = module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return


def _hide() -> None:
    """Hide this directory from the program."""
    hook: Any = sys.modules.get("socksify_hook")
    if hasattr(hook, "hide"):
        hook.hide(os.path.dirname(__file__))


try:
    _start()
finally:
    try:
        _run_next()
    finally:
        _hide()
