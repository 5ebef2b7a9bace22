"""What `make matrix` goes by: nothing that is otherwise than expected is passed over, and the page says what it saw."""

from __future__ import annotations

from typing import Any

import pytest

from tests.matrix import class_jobs, page, program_jobs
from tests.matrix.distributions import DISTRIBUTIONS
from tests.matrix.rows import Row, amiss


def test_each_row_and_cell_that_is_otherwise_than_expected_is_told() -> None:
    expected = [Row(("one", "english"), {"miss": "equal", "guard": "warns"}), Row(("two", "english"), {})]
    seen = [Row(("one", "english"), {"miss": "equal", "guard": "silent", "more": ""}), Row(("three", "turbo"), {})]
    assert list(amiss(expected, seen)) == [
        "one, english: guard: 'silent' instead of 'warns'",
        "two, english: is not there",
        "three, turbo: was not expected",
    ]
    assert list(amiss(expected, expected)) == []


@pytest.mark.parametrize(
    ("seen", "cell"),
    [
        ({"counted": {"memory_hits": 2}, "whole": 2}, "equal"),
        ({"counted": {"memory_hits": 2}, "whole": 1}, "equal, by the encoders' calls"),
        ({"counted": {"misses": 2}, "whole": 0, "why": ["other weights"]}, "equal, by upstream: other weights"),
    ],
)
def test_a_hit_says_whether_it_was_of_the_voice_as_a_whole(seen: dict[str, Any], cell: str) -> None:
    assert class_jobs._cell({"made": ["a", "b"], **seen}, {"a", "b"}, {"memory_hits": 2}) == cell


def test_entries_are_those_of_the_first_that_has_the_same_for_that_class() -> None:
    seen = [
        Row(("one", "english"), {}, ("a",)),
        Row(("two", "english"), {}, ("b",)),
        Row(("three", "english"), {}, ("a",)),
        Row(("three", "turbo"), {}, ("a",)),
        Row(("four", "english"), {}),
    ]
    now, _ = class_jobs.with_entries(seen, [])
    assert [row.cells["entries"] for row in now] == ["its own", "its own", "one", "its own", "none kept"]


def test_the_tables_of_the_page_are_what_is_expected() -> None:
    versions = [row for each in DISTRIBUTIONS for row in class_jobs.expected(each.title, each)]
    programs = [row for job in program_jobs.of_programs() for row in job.expected]
    text = page.PAGE.read_text(encoding="utf-8")
    now = page.put(text, "versions", page.table("versions", class_jobs.with_entries([], versions)[1]))
    now = page.put(now, "programs", page.table("programs", programs))
    assert now == text, "run `make matrix`"


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for versions"):
        page.put("# A page\n", "versions", "")
