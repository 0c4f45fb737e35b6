"""Let two transactions deadlock, with "retry" retrying each. Print the runs of each, the errors and the rows.

Two threads change the same two rows in opposite orders. A barrier between the two changes makes the deadlock certain
in the first round.
"""

import json
import sys
import threading

import django

django.setup()

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from servicekit.database.deadlocks import is_deadlock_victim, retries_deadlocks
from servicekit.database.outages import is_unavailable
from tasks.models import Task

now = timezone.now()
rows = [Task.objects.create(owner_id=1, title="x", duration=1, created_at=now, updated_at=now).id for _ in range(2)]
connection.close()
both_changed_one = threading.Barrier(2)
runs = [0, 0]
raised: list[tuple[str, bool, bool]] = []


def add(row: int) -> int:
    return Task.objects.filter(id=row).update(duration=F("duration") + 1)


# Inside a transaction it must not retry.
add_within = retries_deadlocks(add)


def change(number: int, first: int, second: int) -> None:
    def transact() -> None:
        runs[number] += 1
        with transaction.atomic():
            add(first)
            if runs[number] == 1:
                both_changed_one.wait(10)
            add_within(second)

    try:
        (retries_deadlocks(transact) if sys.argv[1] == "retry" else transact)()
    except Exception as error:  # noqa: BLE001 - every error is printed
        raised.append((type(error).__name__, is_deadlock_victim(error), is_unavailable(error)))
    finally:
        connection.close()


threads = [threading.Thread(target=change, args=(number, *rows[:: 1 - 2 * number])) for number in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
durations = list(Task.objects.filter(id__in=rows).values_list("duration", flat=True))
print(json.dumps({"runs": sorted(runs), "raised": raised, "durations": durations}))
