"""Format times."""

import datetime


def iso_utc(value: datetime.datetime) -> str:
    """Return an aware time as ISO 8601 in UTC with microseconds and a Z: 2026-01-31T09:30:00.000000Z."""
    return f"{value.astimezone(datetime.UTC).isoformat(timespec='microseconds')[:-6]}Z"
