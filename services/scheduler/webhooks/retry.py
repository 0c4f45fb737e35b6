"""Decide when a delivery is tried again, without side effects."""

import datetime
import email.utils
import re

# After the first attempt, the second, and so on; about a day in all.
DELAYS_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800)
LONGEST = datetime.timedelta(seconds=max(DELAYS_SECONDS))
# How far a delay may differ from the table, so that what failed together is not tried again together.
JITTER = 0.1

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def next_attempt(*, attempts: int, retry_after: str, now: datetime.datetime, jitter: float) -> datetime.datetime | None:
    """Return the time of the next attempt after ``attempts`` have failed, or None after the last one.

    A Retry-After header's value makes it later, but not by more than LONGEST. ``jitter`` is from -1 to 1.
    """
    if attempts > len(DELAYS_SECONDS):
        return None
    delay = datetime.timedelta(seconds=DELAYS_SECONDS[attempts - 1] * (1 + JITTER * jitter))
    return now + max(delay, min(_asked_delay(retry_after, now=now), LONGEST))


def _asked_delay(retry_after: str, *, now: datetime.datetime) -> datetime.timedelta:
    """Read Retry-After, which is seconds or a date (RFC 9110, section 10.2.3); treat anything else as no delay."""
    if _SECONDS.fullmatch(retry_after):
        return datetime.timedelta(seconds=int(retry_after))
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return datetime.timedelta()
    # A date without a zone is in UTC: HTTP knows no other.
    return (date if date.tzinfo else date.replace(tzinfo=datetime.UTC)) - now
