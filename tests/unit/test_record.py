"""Frozen records: they behave as those of `dataclasses`."""

from __future__ import annotations

import copy
import pickle

import pytest

from socksify._record import Record


class Point(Record):
    x: int
    y: int = 2


class Secret(Point, hidden=("word",)):
    word: str | None = None


def test_fields_are_given_by_place_and_by_name() -> None:
    assert Point(1) == Point(x=1, y=2) == Point(1, 2)
    assert Secret(1, word="w") == Secret(1, 2, "w")
    assert Point(1).replace(x=5) == Point(5)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})])
def test_fields_that_do_not_fit_are_refused(args: tuple[int, ...], kwargs: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="argument"):
        Point(*args, **kwargs)


def test_nothing_can_be_changed() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    assert point == Point(1)


def test_equality_is_of_the_same_class_and_values() -> None:
    assert Point(1) != Secret(1)
    assert hash(Point(1)) == hash(Point(1, 2))
    assert len({Point(1), Point(1, 2), Point(2)}) == 2


def test_a_secret_is_not_shown() -> None:
    assert repr(Secret(1, word="open sesame")) == "Secret(x=1, y=2, word=***)"
    assert repr(Secret(1)) == "Secret(x=1, y=2, word=None)"


def test_it_is_copied_and_pickled() -> None:
    secret = Secret(1, 3, "w")
    assert copy.copy(secret) == copy.deepcopy(secret) == pickle.loads(pickle.dumps(secret)) == secret
