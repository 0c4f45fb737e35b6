"""Ranges of missing ids. Pure; a range is (first, last), both included."""

from collections.abc import Iterable

Range = tuple[int, int]


def missing_ranges(*, after: int, present: Iterable[int]) -> list[Range]:
    """Return the ranges between ``after`` and the last of the ``present`` ids, which ascend, that are not present."""
    ranges = []
    for number in present:
        if number > after + 1:
            ranges.append((after + 1, number - 1))
        after = number
    return ranges


def remaining_ranges(gap: Range, *, present: Iterable[int]) -> list[Range]:
    """Return what remains missing of a gap when the ``present`` ids, which ascend, have appeared in it."""
    first, last = gap
    return missing_ranges(after=first - 1, present=[*present, last + 1])
