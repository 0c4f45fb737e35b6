"""The times of retries, computed without side effects."""

import datetime
import email.utils
import re

# The delays after the first attempt, the second, and so on; about a day in total.
DELAYS_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800)
LONGEST = datetime.timedelta(seconds=max(DELAYS_SECONDS))
# The fraction by which a delay may vary, so that deliveries that failed together are not retried together.
JITTER = 0.1

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def next_attempt(*, attempts: int, retry_after: str, now: datetime.datetime, jitter: float) -> datetime.datetime | None:
    """Return the time of the next attempt after ``attempts`` have failed, or None after the last one.

    The value of a Retry-After header can postpone it, to at most LONGEST from ``now``. ``jitter`` is from -1 to 1.
    """
    if attempts > len(DELAYS_SECONDS):
        return None
    delay = datetime.timedelta(seconds=DELAYS_SECONDS[attempts - 1] * (1 + JITTER * jitter))
    return now + max(delay, min(_requested_delay(retry_after, now=now), LONGEST))


def _requested_delay(retry_after: str, *, now: datetime.datetime) -> datetime.timedelta:
    """Parse Retry-After, which is seconds or a date (RFC 9110, section 10.2.3); return zero for anything else."""
    if _SECONDS.fullmatch(retry_after):
        return datetime.timedelta(seconds=int(retry_after))
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return datetime.timedelta()
    # A date without a time zone is in UTC, the only one in HTTP.
    return (date if date.tzinfo else date.replace(tzinfo=datetime.UTC)) - now
