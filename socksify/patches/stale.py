"""Names that were bound before the patch: `from select import select`, class attributes, instances, closures.

Whoever still refers to an original is found through the garbage collector and rebound, and the journal knows.
What cannot be rebound (a tuple of defaults, a partial) is named.
"""

from __future__ import annotations

import gc
import sys
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.patches.journal import Journal, Replacement


def rebind(replacements: list[Replacement], journal: Journal, say: Callable[[str], None]) -> None:
    """Make everybody who refers to an original function of a module refer to its replacement.

    To be called before the replacements are in place. `say` is called with a sentence for each reference that
    stays as it was.
    """
    moves = [(vars(item.owner)[item.name], item) for item in replacements if not isinstance(item.owner, type)]
    ours = {id(vars(item.owner)) for _, item in moves} | {id(vars(module)) for module in _own_modules()}
    for original, item in moves:
        for referrer in gc.get_referrers(original):
            if id(referrer) not in ours and referrer is not moves:
                _rebind_in(referrer, original, item, journal, say)


def rehouse_poll_selectors(journal: Journal, new_poll: Callable[[], Any], old_poll: Callable[[], Any]) -> None:
    """Selectors made before have a poll object that nobody can look into; they themselves know what is in it."""
    selectors = sys.modules.get("selectors")
    if selectors is None:
        return
    for selector in gc.get_referrers(selectors.PollSelector):
        if type(selector) is selectors.PollSelector:
            _rehouse(selector, new_poll)
            journal.on_undo(partial(_rehouse, selector, old_poll))


def _rehouse(selector: Any, make_poll: Callable[[], Any]) -> None:
    from select import POLLIN, POLLOUT
    from selectors import EVENT_READ, EVENT_WRITE

    if selector.get_map() is None:  # closed
        return
    house = make_poll()
    for key in selector.get_map().values():
        house.register(key.fd, (key.events & EVENT_READ and POLLIN) | (key.events & EVENT_WRITE and POLLOUT))
    selector._selector = house


def _own_modules() -> list[Any]:
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "socksify"]


def _rebind_in(referrer: Any, original: Any, item: Replacement, journal: Journal, say: Callable[[str], None]) -> None:
    if type(referrer) is dict:
        for key in [key for key, value in referrer.items() if value is original]:
            _rebind_key(referrer, key, original, item, journal)
    elif type(referrer) is CellType:
        referrer.cell_contents = item.new
        journal.on_undo(lambda: setattr(referrer, "cell_contents", original))
    elif isinstance(referrer, partial) or type(referrer) is tuple:
        _name(referrer, item, say)
    elif hasattr(referrer, "__dict__") and not isinstance(referrer, (type, FunctionType)):
        # An instance whose attributes have no dict of their own yet.
        for key in [key for key, value in vars(referrer).items() if value is original]:
            journal.set_item(vars(referrer), key, item.new)


def _rebind_key(mapping: dict[Any, Any], key: Any, original: Any, item: Replacement, journal: Journal) -> None:
    """A dict may be a class's, which must not be changed but through the class."""
    for owner in gc.get_referrers(mapping):
        if isinstance(owner, type) and vars(owner).get(key) is original:
            journal.set_attribute(owner, key, _as_class_attribute(original, item.new))
            return
    journal.set_item(mapping, key, item.new)


def _as_class_attribute(original: Any, new: Any) -> Any:
    """A builtin function in a class is no method, a Python function would be."""
    is_plain = isinstance(original, BuiltinFunctionType) and isinstance(new, FunctionType)
    return staticmethod(new) if is_plain else new


def _name(referrer: Any, item: Replacement, say: Callable[[str], None]) -> None:
    what = f"{item.owner.__name__}.{item.name}"
    if isinstance(referrer, partial):
        say(f"a functools.partial made before install() still holds {what}; make it afterwards")
        return
    for holder in gc.get_referrers(referrer):
        if isinstance(holder, FunctionType) and holder.__defaults__ is referrer:
            place = f"{holder.__module__}.{holder.__qualname__}"
            say(f"the defaults of {place}() still hold {what}; import {holder.__module__} after install()")
