"""For PYTHONPATH: each Python that this directory is given to starts the hook, and then its next sitecustomize.

Python runs one file of this name, the first. So whoever is behind us (Debian's, that of a tracing tool, the user's own)
is run from here, as it would be without us, and is what `sys.modules` holds afterwards.
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
    """Nothing leaks where this file was copied without what belongs to it, or where that is damaged."""
    text = f"socksify: {__file__} needs socksify_hook/ beside it ({error}); until then, SOCKSIFY_DISABLE=1"

    def refuse(event: str, args: "tuple[Any, ...]") -> None:
        if os.environ.get("SOCKSIFY_DISABLE") == "1":
            return
        if event.startswith("socket."):
            raise OSError(100, text)  # ENETDOWN
        # They have sockets in C.
        if event == "import" and args[0].startswith(("gevent.resolver.cares", "pycares", "uvloop", "zmq")):
            raise ImportError(text, name=args[0])

    if hasattr(sys, "addaudithook"):
        sys.addaudithook(refuse)
    elif os.environ.get("SOCKSIFY_DISABLE") != "1":
        # Before Python 3.8 nobody hears of anything: there is nothing in `socket`.
        sys.modules["socket"] = sys.modules["_socket"] = _Closed("socket", text)


class _Closed(type(sys)):  # type: ignore[misc]
    def __getattr__(self, name: str) -> None:
        raise OSError(100, self.__doc__)


def _run_next() -> None:
    """The next one on sys.path that has not run. Tools that chain as well may come back to us; once is enough.

    What it raises goes to whoever imported us, as if it had been imported itself.
    """
    ran: set[str] = getattr(sys.modules.get("socksify_hook"), "chained", set())
    here = os.path.dirname(__file__)
    # Who is before us has run, or has been skipped by who called us.
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
    """The directory that led here is none of the program's."""
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
