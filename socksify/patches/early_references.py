"""Names that were bound before the patch: `from select import select`, class attributes, instances, closures.

Names of modules and the classes of `selectors` are gone through one by one; whoever else refers to an original is
found through the garbage collector (which does not see what gc.freeze() has put away). Other threads go on meanwhile,
so what is gone through is a copy. What cannot be rebound (a tuple of defaults, a partial) is named.
"""

from __future__ import annotations

import gc
import sys
from functools import partial
from types import CellType, FunctionType, MemberDescriptorType, MethodType

from socksify.patches.journal import stands_for_function
from socksify.patches.post_import import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal, Rebinding


def rebind(replacements: Sequence[Rebinding], journal: Journal, say: Callable[[str], None]) -> None:
    """Make everybody who refers to an original function of a module refer to its replacement.

    To be called before the replacements are in place. `say` is called with a sentence for each reference that
    stays as it was.
    """
    moves = [(vars(item.owner)[item.name], item) for item in replacements if not isinstance(item.owner, type)]
    ours = {id(vars(item.owner)) for _, item in moves} | {id(vars(module)) for module in _own_modules()}
    every = [names for module in list(sys.modules.values()) if (names := _names_of(module)) is not None]
    modules = {id(names): names for names in every if id(names) not in ours}
    # Each pass goes through every name there is: one is made for all originals.
    by_identity = {id(original): item for original, item in moves}
    for names in modules.values():
        # Other threads change dicts. A copy is made in one step. For a list of items tuples are made, at which the
        # garbage collector may run, and so another thread.
        for key, value in names.copy().items():
            if id(value) in by_identity:
                journal.set_item(names, key, by_identity[id(value)].new)
    for original, item in moves:
        for cls in _selector_classes():
            _rebind_class(cls, original, item, journal)
    # Each search goes through every object there is: one is made for all originals. A class is known to too many.
    moves = [(original, item) for original, item in moves if not isinstance(original, type)]
    originals = tuple(original for original, _ in moves)
    ours |= {id(originals), *map(id, moves)}
    for referrer in gc.get_referrers(*originals):
        if id(referrer) in ours:
            continue
        held = {id(each) for each in gc.get_referents(referrer)}
        for original, item in moves:
            if id(original) not in held:
                continue
            if id(referrer) in modules:
                _rebind_items(referrer, original, item, journal)
            else:
                _rebind_in(referrer, original, item, journal, say)


def _names_of(module: object) -> dict[str, Any] | None:
    """A module's names; None for what is no module, though it stands in sys.modules."""
    names = getattr(module, "__dict__", None)
    return names if type(names) is dict else None


def _selector_classes() -> list[type]:
    selectors = sys.modules.get("selectors")
    return _with_subclasses(selectors.BaseSelector) if selectors is not None else []


def _rebind_class(cls: type, original: Any, item: Rebinding, journal: Journal) -> None:
    for key in [key for key, value in vars(cls).copy().items() if value is original]:
        journal.set_attribute(cls, key, item.new)


def rehouse_poll_selectors(journal: Journal, new_poll: Callable[[], Any], old_poll: Callable[[], Any]) -> None:
    """Selectors made before have a poll object that nobody can look into; they themselves know what is in it."""
    selectors = sys.modules.get("selectors")
    # eventlet takes the class out of its module.
    poll_selector = getattr(selectors, "PollSelector", None)
    if poll_selector is None:
        return
    for selector in [item for cls in _with_subclasses(poll_selector) for item in gc.get_referrers(cls)]:
        if isinstance(selector, poll_selector):
            _rehouse(selector, new_poll)
            journal.on_undo(partial(_rehouse, selector, old_poll))


def _with_subclasses(cls: type) -> list[type]:
    subclasses: list[type] = type.__subclasses__(cls)
    return [cls, *(each for subclass in subclasses for each in _with_subclasses(subclass))]


def _rehouse(selector: Any, make_poll: Callable[[], Any]) -> None:
    from select import POLLIN, POLLOUT
    from selectors import EVENT_READ, EVENT_WRITE

    if selector.get_map() is None:  # closed
        return
    house = make_poll()
    for key in list(selector.get_map().values()):
        house.register(key.fd, (key.events & EVENT_READ and POLLIN) | (key.events & EVENT_WRITE and POLLOUT))
    selector._selector = house


def _own_modules() -> list[Any]:
    return [module for name, module in sys.modules.copy().items() if name.partition(".")[0] == "socksify"]


def _rebind_in(referrer: Any, original: Any, item: Rebinding, journal: Journal, say: Callable[[str], None]) -> None:
    if type(referrer) is dict:
        for key in [key for key, value in referrer.copy().items() if value is original]:
            _rebind_key(referrer, key, original, item.new, journal)
    elif type(referrer) is list:
        for index in [index for index, value in enumerate(referrer) if value is original]:
            journal.set_item(referrer, index, item.new)
    elif type(referrer) is CellType:
        journal.set_attribute(referrer, "cell_contents", item.new)
    elif type(referrer) is staticmethod:
        for holder in gc.get_referrers(referrer):
            if type(holder) is dict:
                _rebind_key(holder, _key_of(holder, referrer), referrer, staticmethod(item.new), journal)
    elif type(referrer) is set:
        journal.replace_member(referrer, original, item.new)
    elif isinstance(referrer, (partial, tuple, set, frozenset)):
        _name(referrer, item, say)
    elif not isinstance(referrer, (type, FunctionType)):
        _rebind_in_instance(referrer, original, item, journal)


def _rebind_in_instance(instance: Any, original: Any, item: Rebinding, journal: Journal) -> None:
    """An instance whose attributes have no dict of their own: in slots, or not yet asked for."""
    # Slots are looked for through the class: an instance may have a __getattr__ that does anything.
    slots = [
        name
        for cls in type(instance).__mro__
        for name, member in vars(cls).copy().items()
        if type(member) is MemberDescriptorType and _slot(member, instance) is original
    ]
    for name in slots:
        journal.set_attribute(instance, name, item.new)
    attributes = getattr(instance, "__dict__", None)
    if type(attributes) is dict:
        _rebind_items(attributes, original, item, journal)


def _rebind_items(mapping: dict[Any, Any], original: Any, item: Rebinding, journal: Journal) -> None:
    for key in [key for key, value in mapping.copy().items() if value is original]:
        journal.set_item(mapping, key, item.new)


def _slot(member: MemberDescriptorType, instance: Any) -> Any:
    try:
        return member.__get__(instance)
    except AttributeError:  # nothing is in it
        return None


def _key_of(mapping: dict[Any, Any], wanted: Any) -> Any:
    return next((key for key, value in mapping.copy().items() if value is wanted), None)


def _rebind_key(mapping: dict[Any, Any], key: Any, original: Any, new: Any, journal: Journal) -> None:
    """A dict may be a class's, which must not be changed but through the class."""
    for owner in gc.get_referrers(mapping):
        if isinstance(owner, type) and vars(owner).get(key) is original:
            journal.set_attribute(owner, key, new)
            return
    journal.set_item(mapping, key, new)


def _name(referrer: Any, item: Rebinding, say: Callable[[str], None]) -> None:
    what = f"{item.owner.__name__}.{item.name}"
    for holder in gc.get_referrers(referrer):
        if isinstance(holder, FunctionType) and holder.__defaults__ is referrer:
            place = f"{holder.__module__}.{holder.__qualname__}"
            say(f"the defaults of {place}() still hold {what}; import {holder.__module__} after install()")
            return
    kind = "functools.partial" if isinstance(referrer, partial) else type(referrer).__name__
    say(f"a {kind} made before install() still holds {what}; make it afterwards")


# Copies and pickles of our functions by who does not ask the object itself.
#
# pickle does, and gets a reference to the module and the name there. copy.deepcopy(), cloudpickle and dill have
# tables by type instead: of a method they take the parts, here a Python function that they would send by value,
# globals included.


def _copied(original: Callable[..., Any], function: Any, memo: Any) -> Any:
    return function if stands_for_function(function) else original(function, memo)


def _reduced(original: Callable[..., Any], function: Any) -> Any:
    return function.__reduce__() if stands_for_function(function) else original(function)


def _saved(original: Callable[..., Any], pickler: Any, function: Any) -> None:
    if stands_for_function(function):
        pickler.save_reduce(*function.__reduce__(), obj=function)
    else:
        original(pickler, function)


_CLOUDPICKLE = ("Pickler._dispatch_table", _reduced)
# Where a module has its table, and what stands in it for methods.
TABLES: dict[str, tuple[str, Callable[..., Any]]] = {
    "copy": ("_deepcopy_dispatch", _copied),
    "cloudpickle.cloudpickle": _CLOUDPICKLE,
    # Copies of it.
    "joblib.externals.cloudpickle.cloudpickle": _CLOUDPICKLE,
    "pyspark.cloudpickle.cloudpickle": _CLOUDPICKLE,
    "ray.cloudpickle.cloudpickle": _CLOUDPICKLE,
    "dill._dill": ("Pickler.dispatch", _saved),
}


def refer(journal: Journal) -> None:
    """See to those that are imported, and to the others when they are, until the journal is undone."""
    for name, (place, instead) in TABLES.items():
        journal.on_undo(when_imported(name, partial(_adapt, journal, place, instead)))


def _adapt(journal: Journal, place: str, instead: Callable[..., Any], module: ModuleType) -> None:
    table: Any = module
    for name in place.split("."):
        table = getattr(table, name, {})
    # Another version of it may have another way.
    if MethodType in table:
        journal.set_item(table, MethodType, partial(instead, table[MethodType]))
