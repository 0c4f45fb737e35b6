"""The times of a delivery's retries."""

import datetime

import pytest

from webhooks.retry import DELAYS_SECONDS, next_attempt

NOW = datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC)


def delay(attempts: int, *, retry_after: str = "", jitter: float = 0) -> float:
    at = next_attempt(attempts=attempts, retry_after=retry_after, now=NOW, jitter=jitter)
    assert at is not None
    return (at - NOW).total_seconds()


def test_delays_grow_to_eight_hours_and_span_a_day():
    minute, hour = 60, 3600
    expected = [5, 30, 2 * minute, 10 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 8 * hour, 8 * hour]
    assert [delay(attempts) for attempts in range(1, 11)] == expected
    assert 20 * hour < sum(DELAYS_SECONDS) < 30 * hour


def test_last_attempt_is_the_eleventh():
    assert next_attempt(attempts=11, retry_after="", now=NOW, jitter=0) is None
    assert next_attempt(attempts=11, retry_after="60", now=NOW, jitter=0) is None


def test_jitter_is_a_tenth_each_way():
    assert delay(4, jitter=-1) == pytest.approx(540)
    assert delay(4, jitter=1) == pytest.approx(660)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("60", 60),
        ("1", 5),
        ("0", 5),
        ("999999999", 28800),
        ("Sat, 31 Jan 2026 09:31:00 GMT", 60),
        ("Sat, 31 Jan 2026 09:31:00 -0000", 60),
        ("Sat, 31 Jan 2026 08:31:00 GMT", 5),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 28800),
    ],
)
def test_retry_after_makes_it_later_within_bounds(retry_after: str, seconds: float):
    assert delay(1, retry_after=retry_after) == seconds


@pytest.mark.parametrize(
    "retry_after", ["", "soon", "-5", "1.5", "1e9", "٥", "9" * 400, "Sat, 99 Jan 2026", "\x00", "60, 60"]
)
def test_retry_after_that_cannot_be_read_asks_for_nothing(retry_after: str):
    assert delay(1, retry_after=retry_after) == 5
