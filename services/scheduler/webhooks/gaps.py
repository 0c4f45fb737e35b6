"""Functions without side effects that compute ranges of missing ids. A range is (first, last), inclusive."""

from collections.abc import Iterable

Range = tuple[int, int]


def missing_ranges(*, after: int, present: Iterable[int]) -> list[Range]:
    """Return the missing ranges between ``after`` and the last of the ``present`` ids, which must be in order."""
    ranges = []
    for number in present:
        if number > after + 1:
            ranges.append((after + 1, number - 1))
        after = number
    return ranges


def remaining_ranges(gap: Range, *, present: Iterable[int]) -> list[Range]:
    """Return the ranges still missing in a gap after the ``present`` ids, which must be in order, have appeared."""
    first, last = gap
    return missing_ranges(after=first - 1, present=[*present, last + 1])
