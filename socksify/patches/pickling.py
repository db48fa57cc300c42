"""Copies and pickles of our functions by who does not ask the object itself.

pickle does, and gets a reference to the module and the name there. copy.deepcopy(), cloudpickle and dill have tables by
type instead: of a method they take the parts, here a Python function that they would send by value, globals included.
"""

from __future__ import annotations

from functools import partial
from types import MethodType

from socksify.patches.arriving import when_imported
from socksify.patches.journal import stands_for_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal


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
