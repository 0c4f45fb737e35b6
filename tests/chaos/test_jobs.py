"""A job runs once for each slot, whatever is killed: behaviour of Celery, Redis and the kernel beyond unit tests."""

import dataclasses
import datetime
import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from support.waiting import wait_until

from .conftest import TASKS, JobSystem, Process

# Yesterday: in the past, and recent enough that their runs are kept.
HOUR = datetime.datetime.now(tz=datetime.UTC).replace(minute=0, second=0, microsecond=0)
A, B, C = ((HOUR + datetime.timedelta(days=-1, minutes=minute)).isoformat() for minute in range(3))

# By settings.py, the message of a killed worker becomes visible again after 15 s, and is found within another second.
REDELIVERY_SECONDS = 16
# How often Celery checks its pool's processes.
POOL_SECONDS = 5
# For a worker to start on it, on a busy machine.
SLACK_SECONDS = 4
START_SECONDS = 15


def seconds_until(condition: Callable[[], bool], *, timeout: float, what: str) -> float:
    """Wait until the condition holds, and return how long that took."""
    started = time.monotonic()
    wait_until(condition, timeout=timeout, what=what)
    return time.monotonic() - started


@dataclasses.dataclass
class TwoBeats:
    """Two beats and a worker on one broker."""

    system: JobSystem
    worker: Process
    beats: tuple[Process, Process]


@pytest.fixture(scope="module", autouse=True)
def two_beats(make_system: Callable[[], JobSystem]) -> TwoBeats:
    """Start them first: the other tests fill the time until the next minute begins."""
    system = make_system()
    killed = system.start_beat("one")
    wait_until(lambda: killed.output.count("beat: Starting...") == 1, timeout=START_SECONDS, what="beat starts")
    wait_until(lambda: any(system.folder.glob("one*")), timeout=5, what="beat keeps its schedule")
    killed.kill()
    # Beat starts on the files that a killed one has left.
    return TwoBeats(system, system.start_worker(), (system.start_beat("one"), system.start_beat("two")))


@pytest.fixture
def stalled(system: JobSystem) -> Process:
    """A worker in the middle of the report for slot A, which cannot finish until its output is read."""
    worker = system.start_worker()
    worker.output.hold_at("task")
    system.publish(A)
    assert worker.output.held.wait(START_SECONDS)
    assert system.runs() == [(A, "running", 1)]
    return worker


def succeeded(system: JobSystem, *, attempts: int) -> Callable[[], bool]:
    return lambda: system.runs() == [(A, "succeeded", attempts)]


def test_killed_worker(system: JobSystem, stalled: Process) -> None:
    children = stalled.children()
    stalled.kill()
    wait_until(
        lambda: not any(child.is_running() for child in children), timeout=2, what="no child outlives the worker"
    )

    worker = system.start_worker()
    took = seconds_until(
        succeeded(system, attempts=2), timeout=REDELIVERY_SECONDS + SLACK_SECONDS, what="the slot ran again"
    )
    wait_until(system.broker_is_empty, timeout=5, what="the message is acknowledged")

    print(f"ran again {took:.1f} s after kill -9 of the worker")
    assert (worker.output.count("task"), worker.output.count("report")) == (TASKS, 1)


def test_only_pool_processes_open_the_database(system: JobSystem, stalled: Process) -> None:
    """Several processes would write to a connection that was opened before the fork."""
    processes = [psutil.Process(stalled.popen.pid), *stalled.children()]
    worker, *pool = [str(system.database) in {file.path for file in process.open_files()} for process in processes]
    assert (worker, sorted(pool)) == (False, [False, True])


def test_killed_pool_process(system: JobSystem, stalled: Process) -> None:
    for child in stalled.children():
        child.kill()
    stalled.output.release()

    took = seconds_until(succeeded(system, attempts=2), timeout=POOL_SECONDS + SLACK_SECONDS, what="the slot ran again")
    wait_until(system.broker_is_empty, timeout=5, what="the message is acknowledged")

    print(f"ran again {took:.1f} s after kill -9 of the pool's process")
    assert stalled.output.count("report") == 1


def test_terminated_worker_finishes(system: JobSystem, stalled: Process) -> None:
    os.killpg(stalled.popen.pid, signal.SIGTERM)
    stalled.output.release()

    assert stalled.popen.wait(timeout=10) == 0
    assert system.runs() == [(A, "succeeded", 1)]
    assert system.broker_is_empty()
    assert stalled.output.count("report") == 1


def test_impatiently_stopped_worker_hands_back(system: JobSystem, stalled: Process) -> None:
    # The worker logs too, so its output has to be read, but so slowly that the report takes 15 s.
    stalled.output.release(pause=0.1)
    stalled.popen.send_signal(signal.SIGQUIT)
    wait_until(lambda: system.broker.llen("celery") == 1, timeout=8, what="the message is back with the broker")
    stalled.output.release()
    stalled.popen.wait(timeout=10)

    system.start_worker()
    wait_until(succeeded(system, attempts=2), timeout=START_SECONDS, what="the slot ran again")


def test_redis_restarted(system: JobSystem) -> None:
    worker = system.start_worker()
    system.publish(A)
    wait_until(succeeded(system, attempts=1), timeout=START_SECONDS, what="the worker works")
    system.redis.kill()
    system.start_redis()
    system.publish(B)

    took = seconds_until(lambda: len(system.runs()) == 2, timeout=5, what="the worker works again")

    print(f"first job {took:.1f} s after Redis came back")
    wait_until(lambda: worker.output.count("report") == 2, timeout=5, what="both were printed")


def test_redis_restarted_in_mid_job(system: JobSystem, stalled: Process) -> None:
    system.redis.kill()
    system.start_redis()
    stalled.output.release()

    wait_until(system.broker_is_empty, timeout=REDELIVERY_SECONDS + SLACK_SECONDS, what="the message is acknowledged")

    ((slot, state, _attempts),) = system.runs()
    assert (slot, state) == (A, "succeeded")
    assert stalled.output.count("report") == 1


def test_connection_lost_in_mid_job(system: JobSystem, stalled: Process) -> None:
    system.broker.client_kill_filter(_type="normal", skipme=True)
    # The report takes some 5 s; the message is redelivered at once.
    stalled.output.release(pause=0.03)

    wait_until(lambda: system.runs()[0][1] == "succeeded", timeout=REDELIVERY_SECONDS + SLACK_SECONDS, what="it ran")
    wait_until(system.broker_is_empty, timeout=REDELIVERY_SECONDS + SLACK_SECONDS, what="the message is acknowledged")

    assert system.runs() == [(A, "succeeded", 2)]
    stalled.output.release()
    wait_until(lambda: stalled.output.count("report") == 1, timeout=5, what="it was printed")


def test_database_away(system: JobSystem) -> None:
    worker = system.start_worker()
    elsewhere = system.folder / "elsewhere"
    system.database.rename(elsewhere)
    # A folder in place of the file: it is no database, and none can be created there.
    system.database.mkdir()
    system.publish(A)
    wait_until(
        lambda: worker.output.count("database unavailable") > 1, timeout=START_SECONDS, what="it was tried again"
    )
    system.database.rmdir()
    elsewhere.rename(system.database)

    wait_until(succeeded(system, attempts=1), timeout=5, what="the slot ran")
    wait_until(system.broker_is_empty, timeout=5, what="the message is acknowledged")


def test_burst_after_an_outage(system: JobSystem) -> None:
    system.publish(*[A, B] * 5)
    system.publish(C, expires=0.001)

    worker = system.start_worker()
    wait_until(system.broker_is_empty, timeout=START_SECONDS, what="every message is taken")

    assert system.runs() == [(A, "succeeded", 1), (B, "succeeded", 1)]
    wait_until(lambda: worker.output.count("report") == 2, timeout=5, what="both were printed")


def test_two_beats(two_beats: TwoBeats) -> None:
    """Run last, so that it waits the least."""
    for beat in two_beats.beats:
        wait_until(lambda: ticks(beat) > 0, timeout=65, what="beat ticks")  # noqa: B023 (it is called at once)
    wait_until(two_beats.system.broker_is_empty, timeout=5, what="the ticks are taken")

    runs = two_beats.system.runs()
    assert runs == [(slot, "succeeded", 1) for slot, *_ in runs]
    assert {slot[16:] for slot, *_ in runs} == {":00+00:00"}
    assert len(runs) == max(map(ticks, two_beats.beats))
    wait_until(lambda: two_beats.worker.output.count("report") >= len(runs), timeout=5, what="each was printed")
    assert two_beats.worker.output.count("report") == len(runs)


def ticks(beat: Process) -> int:
    """Return how many ticks this beat has sent."""
    return sum(line["message"].startswith("Scheduler: Sending due task") for line in beat.output.lines)
