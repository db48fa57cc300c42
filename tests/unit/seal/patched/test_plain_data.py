"""Data of another process: what marshal writes is read, and nothing else."""

from __future__ import annotations

import marshal
import random
from typing import Any

import pytest

from socksify.seal.patched import plain_data


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**31 - 1,
        -(2**31),
        2**31,
        -(2**64),
        2**128 - 1,
        1.5,
        -120.0,
        b"",
        b"\0\xff",
        "",
        "name",
        "bücher",
        "\udcff",
        (),
        [],
        {},
        (1, (2, [3, {"four": (5,)}]), "six", b"seven"),
        {"a": 1, "b": {"c": None}},
        "x" * 100_000,
    ],
)
def test_what_marshal_writes_is_read(value: Any) -> None:
    read = plain_data.read(marshal.dumps(value, 2))
    assert read == value
    assert type(read) is type(value)


def nested(depth: int) -> Any:
    value: Any = ()
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NN",
        b"x",
        b"(\x01\0\0\0",
        b"(\xff\xff\xff\xffN",
        b"(\xff\xff\xff\x7f",
        b"s\xff\xff\xff\xff",
        b"s\xff\xff\xff\x7f",
        b"u\x01\0\0\0\xff",
        b"i\0\0",
        b"{",
        b"{N",
        b"{NN0",
        b"l\xff\xff\xff\x7f",
        b"l\x11\0\0\0" + b"\1\0" * 17,
        b"l\0\0\0\x80",
        marshal.dumps(nested(17), 2),
        b"(\x01\0\0\0" * 100_000,
        marshal.dumps(frozenset(), 2),
        marshal.dumps(compile("1", "", "eval"), 2),
        marshal.dumps(1 + 2j, 2),
        marshal.dumps("name", 4),
        marshal.dumps({1: 2}, 2),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_nothing_else_is_read(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        plain_data.read(data)


def test_the_deepest_data() -> None:
    assert plain_data.read(marshal.dumps(nested(15), 2)) == nested(15)


def test_chance_raises_nothing_else() -> None:
    chance = random.Random(15)
    for _ in range(20_000):
        data = bytes(chance.choice(b"()[]{0usiglNTF\0\0\0\1\2\xff") for _ in range(chance.randint(1, 30)))
        try:
            plain_data.read(data)
        except ValueError:
            pass
