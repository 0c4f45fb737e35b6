"""What /readyz asks beyond the database and Redis: whether beat's ticks arrive."""

import datetime

from django.db import Error as DatabaseLayerError
from django.db import connection
from django.utils import timezone

from jobs.selectors import last_tick
from servicekit.http.health import NotReady

# A tick each minute, and half a one for what may delay it.
LONGEST_SILENCE = datetime.timedelta(seconds=90)

# Beat and worker start with this process, so their first tick has as much time.
_started_at = timezone.now()


def check_beat() -> None:
    """Raises NotReady when the last tick that beat sent and a worker took is too long ago.

    Ask after check_database, which leaves a connection: where it could not, this does not try for another 3 s.
    """
    if connection.connection is None:
        raise NotReady("is unknown without the database")
    try:
        last = last_tick()
    except DatabaseLayerError as error:
        raise NotReady("is unknown without the database") from error
    if timezone.now() - max(last or _started_at, _started_at) > LONGEST_SILENCE:
        raise NotReady(f"has not ticked for {LONGEST_SILENCE.seconds} s")
