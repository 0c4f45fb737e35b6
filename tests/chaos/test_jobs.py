"""A job runs once for each slot, whatever dies: what no unit test can say of Celery, Redis and the kernel."""

import dataclasses
import datetime
import os
import signal
from collections.abc import Callable

import psutil
import pytest

from .conftest import TASKS, Process, Stack, wait_for

# Yesterday: past, and not so long that their runs would be deleted.
HOUR = datetime.datetime.now(tz=datetime.UTC).replace(minute=0, second=0, microsecond=0)
A, B, C = ((HOUR + datetime.timedelta(days=-1, minutes=minute)).isoformat() for minute in range(3))

# What settings.py promises: a message of a worker that was killed is visible again after 15 s, and found in another 1.
REDELIVERY_SECONDS = 16
# How often Celery looks whether its pool's processes live.
POOL_SECONDS = 5
# For a worker to take it up, on a machine that is busy.
SLACK_SECONDS = 4
START_SECONDS = 15


@dataclasses.dataclass
class TwoBeats:
    """Two beats and a worker on one broker."""

    stack: Stack
    worker: Process
    beats: tuple[Process, Process]


@pytest.fixture(scope="module", autouse=True)
def two_beats(make_stack: Callable[[], Stack]) -> TwoBeats:
    """Started before the other tests, which fill the time until a minute begins."""
    stack = make_stack()
    killed = stack.start_beat("one")
    wait_for(lambda: killed.output.count("beat: Starting...") == 1, within=START_SECONDS, what="beat starts")
    wait_for(lambda: any(stack.folder.glob("one*")), within=5, what="beat keeps its schedule")
    killed.kill()
    # Beat starts again on what a killed one has left.
    return TwoBeats(stack, stack.start_worker(), (stack.start_beat("one"), stack.start_beat("two")))


@pytest.fixture
def stalled(stack: Stack) -> Process:
    """A worker that is in the middle of the report for slot A, and cannot end it before its output is read."""
    worker = stack.start_worker()
    worker.output.hold_at("task")
    stack.publish(A)
    assert worker.output.held.wait(START_SECONDS)
    assert stack.runs() == [(A, "running", 1)]
    return worker


def succeeded(stack: Stack, *, attempts: int) -> Callable[[], bool]:
    return lambda: stack.runs() == [(A, "succeeded", attempts)]


def test_killed_worker(stack: Stack, stalled: Process) -> None:
    children = stalled.children()
    stalled.kill()
    wait_for(lambda: not any(child.is_running() for child in children), within=2, what="no child outlives the worker")

    worker = stack.start_worker()
    took = wait_for(succeeded(stack, attempts=2), within=REDELIVERY_SECONDS + SLACK_SECONDS, what="the slot ran again")
    wait_for(stack.broker_is_empty, within=5, what="the message is acknowledged")

    print(f"ran again {took:.1f} s after kill -9 of the worker")
    assert (worker.output.count("task"), worker.output.count("report")) == (TASKS, 1)


def test_only_pool_processes_open_the_database(stack: Stack, stalled: Process) -> None:
    """A connection from before the fork would be one that several processes write to."""
    processes = [psutil.Process(stalled.popen.pid), *stalled.children()]
    worker, *pool = [str(stack.database) in {file.path for file in process.open_files()} for process in processes]
    assert (worker, sorted(pool)) == (False, [False, True])


def test_killed_pool_process(stack: Stack, stalled: Process) -> None:
    for child in stalled.children():
        child.kill()
    stalled.output.release()

    took = wait_for(succeeded(stack, attempts=2), within=POOL_SECONDS + SLACK_SECONDS, what="the slot ran again")
    wait_for(stack.broker_is_empty, within=5, what="the message is acknowledged")

    print(f"ran again {took:.1f} s after kill -9 of the pool's process")
    assert stalled.output.count("report") == 1


def test_terminated_worker_finishes(stack: Stack, stalled: Process) -> None:
    os.killpg(stalled.popen.pid, signal.SIGTERM)
    stalled.output.release()

    assert stalled.popen.wait(timeout=10) == 0
    assert stack.runs() == [(A, "succeeded", 1)]
    assert stack.broker_is_empty()
    assert stalled.output.count("report") == 1


def test_impatiently_stopped_worker_hands_back(stack: Stack, stalled: Process) -> None:
    # The worker writes as well, so its output is read, but no faster than it takes to write the report in 15 s.
    stalled.output.release(pause=0.1)
    stalled.popen.send_signal(signal.SIGQUIT)
    wait_for(lambda: stack.broker.llen("celery") == 1, within=8, what="the message is back with the broker")
    stalled.output.release()
    stalled.popen.wait(timeout=10)

    stack.start_worker()
    wait_for(succeeded(stack, attempts=2), within=START_SECONDS, what="the slot ran again")


def test_redis_restarted(stack: Stack) -> None:
    worker = stack.start_worker()
    stack.publish(A)
    wait_for(succeeded(stack, attempts=1), within=START_SECONDS, what="the worker works")
    stack.redis.kill()
    stack.start_redis()
    stack.publish(B)

    took = wait_for(lambda: len(stack.runs()) == 2, within=5, what="the worker works again")

    print(f"first job {took:.1f} s after Redis came back")
    wait_for(lambda: worker.output.count("report") == 2, within=5, what="both were printed")


def test_redis_restarted_in_mid_job(stack: Stack, stalled: Process) -> None:
    stack.redis.kill()
    stack.start_redis()
    stalled.output.release()

    wait_for(stack.broker_is_empty, within=REDELIVERY_SECONDS + SLACK_SECONDS, what="the message is acknowledged")

    ((slot, state, _attempts),) = stack.runs()
    assert (slot, state) == (A, "succeeded")
    assert stalled.output.count("report") == 1


def test_connection_lost_in_mid_job(stack: Stack, stalled: Process) -> None:
    stack.broker.client_kill_filter(_type="normal", skipme=True)
    # The report takes some 5 s, in which the message comes back at once.
    stalled.output.release(pause=0.03)

    wait_for(lambda: stack.runs()[0][1] == "succeeded", within=REDELIVERY_SECONDS + SLACK_SECONDS, what="it ran")
    wait_for(stack.broker_is_empty, within=REDELIVERY_SECONDS + SLACK_SECONDS, what="the message is acknowledged")

    assert stack.runs() == [(A, "succeeded", 2)]
    stalled.output.release()
    wait_for(lambda: stalled.output.count("report") == 1, within=5, what="it was printed")


def test_database_away(stack: Stack) -> None:
    worker = stack.start_worker()
    elsewhere = stack.folder / "elsewhere"
    stack.database.rename(elsewhere)
    # What is in the file's place is no database, and no new one can be made there.
    stack.database.mkdir()
    stack.publish(A)
    wait_for(lambda: worker.output.count("database unavailable") > 1, within=START_SECONDS, what="it was tried again")
    stack.database.rmdir()
    elsewhere.rename(stack.database)

    wait_for(succeeded(stack, attempts=1), within=5, what="the slot ran")
    wait_for(stack.broker_is_empty, within=5, what="the message is acknowledged")


def test_burst_after_an_outage(stack: Stack) -> None:
    stack.publish(*[A, B] * 5)
    stack.publish(C, expires=0.001)

    worker = stack.start_worker()
    wait_for(stack.broker_is_empty, within=START_SECONDS, what="every message is taken")

    assert stack.runs() == [(A, "succeeded", 1), (B, "succeeded", 1)]
    wait_for(lambda: worker.output.count("report") == 2, within=5, what="both were printed")


def test_two_beats(two_beats: TwoBeats) -> None:
    """The last one, so that it has to wait the least."""
    for beat in two_beats.beats:
        wait_for(lambda: ticks(beat) > 0, within=65, what="beat ticks")  # noqa: B023 (it is called at once)
    wait_for(two_beats.stack.broker_is_empty, within=5, what="the ticks are taken")

    runs = two_beats.stack.runs()
    assert runs == [(slot, "succeeded", 1) for slot, *_ in runs]
    assert {slot[16:] for slot, *_ in runs} == {":00+00:00"}
    assert len(runs) == max(map(ticks, two_beats.beats))
    wait_for(lambda: two_beats.worker.output.count("report") >= len(runs), within=5, what="each was printed")
    assert two_beats.worker.output.count("report") == len(runs)


def ticks(beat: Process) -> int:
    """How many ticks this beat has sent."""
    return sum(line["message"].startswith("Scheduler: Sending due task") for line in beat.output.lines)
