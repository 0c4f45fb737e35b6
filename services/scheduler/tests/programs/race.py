"""Have eight threads compete for a run, 25 times, in the way that the argument names.

Prints the distinct numbers of threads per round that got it.
"""

import datetime
import sys
import threading

import django

django.setup()

from django.db import connection
from django.db.models import F

from jobs.models import Run
from jobs.schedule import REPORT_USER_TASKS as JOB
from jobs.services import RunActive, claim_run, claim_slot, request_run

THREADS, ROUNDS = 8, 25
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

barrier = threading.Barrier(THREADS)
targets: list[Run] = []
won = [0] * ROUNDS


def claim(number: int) -> Run | None:
    return claim_slot(job=JOB, slot=START + number * datetime.timedelta(minutes=1), request_id="")


def take_over(number: int) -> Run | None:
    return claim_run(run_id=targets[-1].id, holder=targets[-1].holder)


def request(number: int) -> Run | None:
    try:
        return request_run(job=JOB, user_id=1, request_id="")
    except RunActive:
        return None


CONTESTS = {"claim": claim, "take_over": take_over, "request": request}
contest = CONTESTS[sys.argv[1]]


def prepare(number: int) -> None:
    """Finish the run of the previous round, and start one to be taken over."""
    Run.objects.update(state="succeeded", turn=F("id") + 10)
    if contest is take_over:
        run = claim(number)
        assert run is not None
        targets.append(run)


def race() -> None:
    for number in range(ROUNDS):
        if barrier.wait() == 0:
            prepare(number)
        barrier.wait()
        if contest(number) is not None:
            won[number] += 1
        barrier.wait()
    connection.close()


threads = [threading.Thread(target=race) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(set(won)))
