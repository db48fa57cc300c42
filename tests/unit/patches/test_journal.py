"""What a journal did is undone in the reverse order, and what others did meanwhile is theirs."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from socksify.patches.journal import Journal, Replacement


class Base:
    def inherited(self) -> str:
        return "base"


class Derived(Base):
    def own(self) -> str:
        """The original's words."""
        return "own"

    @staticmethod
    def plain() -> str:
        return "plain"


class Slotted:
    __slots__ = ("place",)
    place: int


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_what_was_inherited_is_deleted_and_what_was_own_is_put_back(journal: Journal) -> None:
    before = list(vars(Derived).items())
    for name in ("inherited", "own", "plain"):
        journal.apply(Replacement(Derived, name, lambda *_: "new"))
        assert getattr(Derived(), name)() == "new"
    journal.undo()
    assert list(vars(Derived).items()) == before
    assert [Derived().inherited(), Derived().own(), Derived.plain()] == ["base", "own", "plain"]


def test_the_same_place_twice_ends_where_it_began(journal: Journal) -> None:
    space = SimpleNamespace(value=0)
    journal.set_attribute(space, "value", 1)
    journal.set_attribute(space, "value", 2)
    journal.undo()
    assert space.value == 0


def test_a_slot_is_put_back(journal: Journal) -> None:
    slotted = Slotted()
    slotted.place = 0
    journal.set_attribute(slotted, "place", 1)
    assert slotted.place == 1
    journal.undo()
    assert slotted.place == 0


def test_items_are_put_back_in_their_places(journal: Journal) -> None:
    mapping, items = {"a": 1, "b": 2}, [1, 2]
    journal.set_item(mapping, "a", 9)
    journal.set_item(items, 1, 9)
    assert (mapping, items) == ({"a": 9, "b": 2}, [1, 9])
    journal.undo()
    assert (list(mapping.items()), items) == ([("a", 1), ("b", 2)], [1, 2])


def test_what_others_changed_meanwhile_is_theirs(journal: Journal) -> None:
    mapping, items, environment = {"a": 1, "b": 2}, [1, 2], {"P": "old"}
    journal.set_item(mapping, "a", 9)
    journal.set_item(mapping, "b", 9)
    journal.set_item(items, 1, 9)
    journal.remove_item(environment, "P")
    mapping["a"] = 5
    del mapping["b"]
    items.clear()
    environment["P"] = "theirs"
    journal.undo()
    assert (mapping, items, environment) == ({"a": 5}, [], {"P": "theirs"})


def test_calls_are_made_once_in_the_reverse_order(journal: Journal) -> None:
    order: list[int] = []
    for number in range(3):
        journal.on_undo(lambda number=number: order.append(number))  # type: ignore[misc]
    journal.undo()
    journal.undo()
    assert order == [2, 1, 0]


def test_a_replacement_goes_by_the_originals_name() -> None:
    def new(_: Derived) -> str:
        """Ours."""
        return ""

    Replacement(Derived, "own", new)
    assert (new.__name__, new.__qualname__, new.__module__) == ("own", "Derived.own", __name__)
    assert new.__doc__ == "The original's words."
    assert new.__annotations__ == {}


def test_a_type_that_python_code_cannot_change_is_changed(journal: Journal) -> None:
    """The types of `select` and `_socket` are such from Python 3.15 on, re.Pattern on every version."""
    pattern: Any = re.compile("x")
    with pytest.raises(TypeError):
        re.Pattern.search = None  # type: ignore[assignment,method-assign]
    before, flags = list(vars(re.Pattern).items()), re.Pattern.__flags__

    def called() -> list[object]:
        # One place in the code, which the interpreter specializes for what it has found there.
        return [pattern.search("x") for _ in range(1000)]

    assert "new" not in called()
    journal.apply(Replacement(re.Pattern, "search", lambda *_: "new"))
    assert called() == ["new"] * 1000
    journal.set_attribute(re.Pattern, "another", lambda _: "another")
    assert pattern.another() == "another"
    journal.undo()
    assert "new" not in called()
    assert not hasattr(pattern, "another")
    assert list(vars(re.Pattern).items()) == before
    assert re.Pattern.__flags__ == flags
    assert "__abstractmethods__" not in vars(re.Pattern)


def test_a_special_method_of_such_a_type_is_refused(journal: Journal) -> None:
    before = list(vars(re.Pattern).items())
    with pytest.raises(TypeError, match="__eq__"):
        journal.set_attribute(re.Pattern, "__eq__", lambda *_: True)
    journal.undo()
    assert list(vars(re.Pattern).items()) == before


class WithDict(Slotted):
    """Its instances have a slot and a dict."""


def test_a_slot_beside_a_dict_is_put_back(journal: Journal) -> None:
    both = WithDict()
    both.place = 0
    journal.set_attribute(both, "place", 1)
    assert both.place == 1
    journal.undo()
    assert both.place == 0


def test_what_others_put_into_a_slot_is_theirs(journal: Journal) -> None:
    slotted = Slotted()
    slotted.place = 0
    journal.set_attribute(slotted, "place", 1)
    slotted.place = 2
    journal.undo()
    assert slotted.place == 2
