"""The program that tells its world: printed as JSON, what a program can see of how it was started."""

import builtins
import gc
import json
import os
import signal
import sys
import threading
import warnings

main = sys.modules["__main__"]


def plain(value: object) -> object:
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, type):
        return f"class {value.__module__}.{value.__qualname__}"
    described: dict[str, object] = {"type": type(value).__qualname__}
    for name in ("name", "path", "archive", "prefix", "origin", "cached", "parent", "loader", "has_location"):
        if hasattr(value, name):
            described[name] = plain(getattr(value, name))
    return described


def ours(thing: object) -> bool:
    return str(getattr(thing, "__module__", type(thing).__module__)).startswith("socksify")


# Names that begin with an underscore only: what precedes this file's own.
specials = {name: value for name, value in vars(main).items() if name.startswith("__")}
world = {
    "argv": sys.argv,
    "path": sys.path,
    "main": {name: plain(value) for name, value in specials.items()},
    "main keys in order": list(specials),
    "main repr": repr(main),
    "main is mine": vars(main) is globals(),
    "code": main.__dict__["plain"].__code__.co_filename,
    "future flags": main.__dict__["plain"].__code__.co_flags,
    "flags": repr(sys.flags),
    "warnoptions": sys.warnoptions,
    "xoptions": sys._xoptions,
    "filters": repr(warnings.filters),
    "meta_path": [plain(finder) for finder in sys.meta_path if not ours(finder)],
    "path_hooks": [hook.__qualname__ for hook in sys.path_hooks],
    "importer of the program": plain(sys.path_importer_cache.get(os.path.abspath(sys.argv[0]), "none")),
    "main thread": threading.main_thread() is threading.current_thread(),
    "threads": [thread.name for thread in threading.enumerate()],
    "handlers": {int(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "stdin left": sys.stdin.read(),
    "streams": [(s.encoding, s.errors, s.line_buffering) for s in (sys.stdin, sys.stdout, sys.stderr)],
    "hooks": [
        sys.excepthook is sys.__excepthook__,
        sys.displayhook is sys.__displayhook__,
        sys.unraisablehook is sys.__unraisablehook__,
        threading.excepthook is threading.__excepthook__,
    ],
    "tracing": [sys.gettrace() is None, sys.getprofile() is None],
    "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold()],
    "builtins": sorted(vars(builtins)),
    "environment": dict(os.environ),
    "directory": os.getcwd(),
    "exception in flight": repr(sys.exc_info()),
    "bytecode": [sys.dont_write_bytecode, sys.pycache_prefix],
    "interpreter": [sys.executable, sys.prefix, sys.exec_prefix],
    "descriptors": sorted(os.listdir("/proc/self/fd"), key=int),
}
json.dump(world, sys.stdout)
