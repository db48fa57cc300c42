"""An object's class is changed for a while, and neither the client nor its classes can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from socksify.patches.guards.subclass_swap import SubclassSwap


class Plain:
    __slots__ = ("name",)
    name: str

    def speak(self) -> str:
        return "plain"


class Unwilling(Plain):
    """Takes no subclass, and is nobody's hash."""

    __hash__ = None  # type: ignore[assignment]

    def __init_subclass__(cls) -> None:
        raise AssertionError(f"{cls} was made")

    def __eq__(self, other: object) -> bool:
        return True


def members(cls: type) -> dict[str, Callable[..., Any]]:
    return {"speak": lambda _: f"in front of {cls.__name__}"}


@pytest.fixture
def swap() -> SubclassSwap:
    return SubclassSwap(members)


@pytest.mark.parametrize("cls", [Plain, Unwilling])
def test_it_stands_in_front_of_one_object(swap: SubclassSwap, cls: type[Plain]) -> None:
    thing, other = cls(), cls()
    thing.name = "kept"
    swap.apply(thing)
    assert thing.speak() == f"in front of {cls.__name__}"
    assert thing.name == "kept"
    assert isinstance(thing, cls)
    assert other.speak() == "plain"
    swap.restore(thing)
    assert type(thing) is cls
    assert thing.speak() == "plain"


@pytest.mark.parametrize("cls", [Plain, Unwilling])
def test_it_looks_like_the_objects_own_class(swap: SubclassSwap, cls: type[Plain]) -> None:
    thing = cls()
    swap.apply(thing)
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(type(thing), name) == getattr(cls, name)
    assert type(thing).speak.__qualname__ == f"{cls.__qualname__}.speak"
    assert type(thing).speak.__module__ == cls.__module__
    assert not hasattr(thing, "__dict__") or hasattr(cls(), "__dict__")


def test_twice_is_once_and_never_is_nothing(swap: SubclassSwap) -> None:
    thing = Plain()
    swap.restore(thing)
    assert type(thing) is Plain
    swap.apply(thing)
    cls = type(thing)
    swap.apply(thing)
    assert type(thing) is cls
    swap.restore(thing)
    assert type(thing) is Plain


def test_a_class_is_made_once(swap: SubclassSwap) -> None:
    first, second = Plain(), Plain()
    swap.apply(first)
    swap.apply(second)
    assert type(first) is type(second)
