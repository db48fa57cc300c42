"""References to the originals that are older than the patches: `from select import select`, class attributes, closures.

The names of all modules and the classes of `selectors` are searched one by one. The garbage collector finds the other
objects that refer to an original, except objects after gc.freeze(). Other threads run at the same time, so each search
reads a copy. A message names each reference that cannot be changed (in a tuple of defaults, in a partial).

The last part is about copies and pickles of our functions. pickle calls a method of the object, which returns the
module and the name. copy.deepcopy(), cloudpickle and dill use tables of types instead, and split a method into its
parts. One part of our methods is a Python function, which they would send by value, together with its globals.
Therefore their tables are changed.
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
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal, Rebinding


def rebind(replacements: Sequence[Rebinding], journal: Journal, say: Callable[[str], None]) -> None:
    """Make every reference to an original function of a module a reference to its replacement.

    Call this before the replacements are in place. `say` is called with a sentence for each reference that cannot be
    changed.
    """
    moves = [(vars(item.owner)[item.name], item) for item in replacements if not isinstance(item.owner, type)]
    ours = {id(vars(item.owner)) for _, item in moves} | {id(vars(module)) for module in _own_modules()}
    every = [names for module in list(sys.modules.values()) if (names := _names_of(module)) is not None]
    modules = {id(names): names for names in every if id(names) not in ours}
    _rebind_names(modules.values(), moves, journal)
    for original, item in moves:
        for cls in _selector_classes():
            _rebind_class(cls, original, item, journal)
    # Classes are left out of the search, because too many objects refer to one.
    moves = [(original, item) for original, item in moves if not isinstance(original, type)]
    originals = tuple(original for original, _ in moves)
    ours |= {id(originals), *map(id, moves)}
    # One search through all objects finds the references to all originals.
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


def _rebind_names(modules: Iterable[dict[str, Any]], moves: list[tuple[Any, Rebinding]], journal: Journal) -> None:
    # One pass over all names finds all originals.
    by_identity = {id(original): item for original, item in moves}
    for names in modules:
        # Other threads change the dict. Copying the dict is one step. Making a list of its items is not one step: the
        # new tuples may start the garbage collector, which may let another thread run.
        for key, value in names.copy().items():
            if id(value) in by_identity:
                journal.set_item(names, key, by_identity[id(value)].new)


def _names_of(module: object) -> dict[str, Any] | None:
    """Return the names of a module; None for an object in sys.modules that is no module."""
    names = getattr(module, "__dict__", None)
    return names if type(names) is dict else None


def _selector_classes() -> list[type]:
    selectors = sys.modules.get("selectors")
    return _with_subclasses(selectors.BaseSelector) if selectors is not None else []


def _rebind_class(cls: type, original: Any, item: Rebinding, journal: Journal) -> None:
    for key in [key for key, value in vars(cls).copy().items() if value is original]:
        journal.set_attribute(cls, key, item.new)


def replace_polls_of_selectors(journal: Journal, new_poll: Callable[[], Any], old_poll: Callable[[], Any]) -> None:
    """Give each existing PollSelector a poll object from `new_poll()`, with the same registrations."""
    selectors = sys.modules.get("selectors")
    # eventlet removes the class from its module.
    poll_selector = getattr(selectors, "PollSelector", None)
    if poll_selector is None:
        return
    for selector in [item for cls in _with_subclasses(poll_selector) for item in gc.get_referrers(cls)]:
        if isinstance(selector, poll_selector):
            _replace_poll(selector, new_poll)
            journal.on_undo(partial(_replace_poll, selector, old_poll))


def _with_subclasses(cls: type) -> list[type]:
    subclasses: list[type] = type.__subclasses__(cls)
    return [cls, *(each for subclass in subclasses for each in _with_subclasses(subclass))]


def _replace_poll(selector: Any, make_poll: Callable[[], Any]) -> None:
    from select import POLLIN, POLLOUT
    from selectors import EVENT_READ, EVENT_WRITE

    if selector.get_map() is None:  # closed
        return
    poll = make_poll()
    for key in list(selector.get_map().values()):
        poll.register(key.fd, (key.events & EVENT_READ and POLLIN) | (key.events & EVENT_WRITE and POLLOUT))
    selector._selector = poll


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
    """Rebind in an instance that has no dict for its attributes: they are in slots, or the dict was never asked for."""
    # The slots are found through the class, because the __getattr__ of an instance may have side effects.
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
    except AttributeError:  # the slot is empty
        return None


def _key_of(mapping: dict[Any, Any], wanted: Any) -> Any:
    return next((key for key, value in mapping.copy().items() if value is wanted), None)


def _rebind_key(mapping: dict[Any, Any], key: Any, original: Any, new: Any, journal: Journal) -> None:
    """Set an item of a dict. The dict of a class must be changed through the class."""
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
# By module: the attribute path of its table, and the function that we put into the table for methods.
TABLES: dict[str, tuple[str, Callable[..., Any]]] = {
    "copy": ("_deepcopy_dispatch", _copied),
    "cloudpickle.cloudpickle": _CLOUDPICKLE,
    # Copies of cloudpickle.
    "joblib.externals.cloudpickle.cloudpickle": _CLOUDPICKLE,
    "pyspark.cloudpickle.cloudpickle": _CLOUDPICKLE,
    "ray.cloudpickle.cloudpickle": _CLOUDPICKLE,
    "dill._dill": ("Pickler.dispatch", _saved),
}


def change_tables(journal: Journal) -> None:
    """Change these tables, at once or when their modules are imported, until the journal is undone."""
    for name, (place, instead) in TABLES.items():
        journal.on_undo(when_imported(name, partial(_adapt, journal, place, instead)))


def _adapt(journal: Journal, place: str, instead: Callable[..., Any], module: ModuleType) -> None:
    table: Any = module
    for name in place.split("."):
        table = getattr(table, name, {})
    # Another version of the library may not have the table.
    if MethodType in table:
        journal.set_item(table, MethodType, partial(instead, table[MethodType]))
