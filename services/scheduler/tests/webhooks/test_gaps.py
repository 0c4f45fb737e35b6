"""Ranges of missing ids."""

from hypothesis import given
from hypothesis import strategies as st

from webhooks.gaps import missing_ranges, remaining_ranges

IDS = st.sets(st.integers(1, 60), max_size=40).map(sorted)


def test_ids_that_follow_each_other_leave_no_gap():
    assert missing_ranges(after=4, present=[5, 6, 7]) == []
    assert missing_ranges(after=4, present=[]) == []


def test_missing_ids_are_ranges_however_many_they_are():
    assert missing_ranges(after=4, present=[6, 7, 10_007]) == [(5, 5), (8, 10_006)]


def test_what_appears_splits_a_gap():
    assert remaining_ranges((5, 9), present=[]) == [(5, 9)]
    assert remaining_ranges((5, 9), present=[5]) == [(6, 9)]
    assert remaining_ranges((5, 9), present=[9]) == [(5, 8)]
    assert remaining_ranges((5, 9), present=[6, 8]) == [(5, 5), (7, 7), (9, 9)]
    assert remaining_ranges((5, 9), present=[5, 6, 7, 8, 9]) == []


@given(after=st.integers(0, 30), present=IDS)
def test_each_id_is_present_or_missing(after: int, present: list[int]):
    present = [number for number in present if number > after]
    missing = [
        number for first, last in missing_ranges(after=after, present=present) for number in range(first, last + 1)
    ]
    assert sorted([*present, *missing]) == list(range(after + 1, (present or [after])[-1] + 1))
