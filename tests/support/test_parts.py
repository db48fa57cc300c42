"""Each test is in one part of the suite, and no part is much larger than others."""

from __future__ import annotations

from pathlib import Path

from tests.support.parts import EVERY_VERSION, PARTS, Part

TESTS = [
    (Path(f"tests/test_{file}.py"), f"tests/test_{file}.py::test_{number}")
    for file in range(100)
    for number in range(20)
]


def test_each_test_is_in_one_part() -> None:
    parts = [{test for test in TESTS if Part(number).has_test(*test)} for number in range(PARTS)]
    assert sum(map(len, parts)) == len(TESTS)
    assert set().union(*parts) == set(TESTS)
    assert all(len(TESTS) / PARTS / 3 < len(part) < len(TESTS) / PARTS * 3 for part in parts)


def test_the_next_number_after_all_parts_is_the_first_part() -> None:
    assert all(Part(3).has_test(*test) == Part(3 + PARTS).has_test(*test) for test in TESTS)


def test_a_file_with_tests_for_every_version_is_in_each_part(tmp_path: Path) -> None:
    file = tmp_path / "test_versions.py"
    file.write_text(f"pytestmark = pytest.mark.{EVERY_VERSION}")
    assert all(Part(number).has_file(file) for number in range(PARTS))
    file.write_text("")
    assert [Part(number).has_file(file) for number in range(4)].count(True) == 1
