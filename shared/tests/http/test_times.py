import datetime

import pytest

from servicekit.http.times import iso_utc

PLUS_2 = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC), "2026-01-31T09:30:00.000000Z"),
        (datetime.datetime(2026, 1, 31, 9, 30, 0, 1, tzinfo=datetime.UTC), "2026-01-31T09:30:00.000001Z"),
        (datetime.datetime(2026, 1, 1, 1, 30, tzinfo=PLUS_2), "2025-12-31T23:30:00.000000Z"),
    ],
)
def test_time_is_in_utc_with_microseconds_and_a_z(value, text):
    assert iso_utc(value) == text
