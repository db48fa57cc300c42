"""Libraries that Python code loads by ctypes or cffi: those that connect are named once, and strict refuses them.

The calls of dlopen(3) in these two modules are watched, and the file of the library is judged (`network_code`). One
library is loaded by C code in place of Python code: that of oracledb in its thick mode. Libraries that were loaded
before install() are not known.
"""

from __future__ import annotations

import os
from functools import partial

from socksify.elf import network_code
from socksify.patches.notices import NOTICES, advice, goes_past, how_to_allow
from socksify.patches.post_import import when_imported
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

_ORACLE = "oracledb"


def watch(settings: Settings, journal: Journal) -> None:
    """Name each library that connects, or refuse it under strict, until the journal is undone."""
    for module, adapt in (("ctypes", _adapt_ctypes), ("_cffi_backend", _adapt_cffi), (_ORACLE, _adapt_oracledb)):
        journal.on_undo(when_imported(module, partial(adapt, settings, journal)))


def check(settings: Settings, name: Any = None, *_: object) -> None:
    """Name a library that connects. Raises PermissionError if strict forbids it.

    `name` is the argument of dlopen(3). If it is of a wrong type, or None for the program itself, nothing happens.
    """
    try:
        file = os.fsdecode(name)
    except TypeError:
        return
    if network_code.library_connects(file):
        _report(f"the library {file}", os.path.basename(file), settings)


def _adapt_ctypes(settings: Settings, journal: Journal, ctypes: Any) -> None:
    _call_before(journal, ctypes, "_dlopen", partial(check, settings))


def _adapt_cffi(settings: Settings, journal: Journal, backend: Any) -> None:
    _call_before(journal, backend, "load_library", partial(check, settings))
    # A method: the object comes first.
    _call_before(journal, backend.FFI, "dlopen", lambda _, *args: check(settings, *args))


def _adapt_oracledb(settings: Settings, journal: Journal, oracledb: Any) -> None:
    def report(*_: object, **__: object) -> None:
        _report(f"{_ORACLE} in its thick mode", _ORACLE, settings, f"{_ORACLE} in its thin mode")

    _call_before(journal, oracledb, "init_oracle_client", report)


def _call_before(journal: Journal, owner: Any, name: str, call: Callable[..., None]) -> None:
    """Call `call` with the arguments of owner.name() before each call, until the journal is undone."""
    original = vars(owner).get(name)
    if original is None:
        # Another version may not have this function. Of ctypes, `strict` also hears by an audit event.
        return

    def checked(*args: Any, **keywords: Any) -> Any:
        call(*args, **keywords)
        return original(*args, **keywords)

    checked.__name__, checked.__qualname__, checked.__doc__ = name, original.__qualname__, original.__doc__
    journal.set_attribute(owner, name, checked)


def _report(what: str, name: str, settings: Settings, instead: str | None = None) -> None:
    if name in settings.allow:
        return
    if settings.strict:
        raise errors.forbidden(
            f"{what}, which has network code of its own,", f"{advice(instead)}; {how_to_allow(name)}"
        )
    NOTICES.give(goes_past(what, instead), name)
