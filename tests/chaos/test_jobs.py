"""A job runs once per slot whichever part is killed: behaviour of Celery, Redis and the kernel beyond unit tests."""

import contextlib
import dataclasses
import datetime
import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from support.waiting import wait_until

from .conftest import TASKS, JobSystem, Process

# Yesterday: in the past, and recent enough that their runs are kept.
HOUR = datetime.datetime.now(tz=datetime.UTC).replace(minute=0, second=0, microsecond=0)
A, B, C = ((HOUR + datetime.timedelta(days=-1, minutes=minute)).isoformat() for minute in range(3))

# By settings.py, a killed worker's message becomes visible again after 15 s, and is found within another second.
REDELIVERY_SECONDS = 16
# By jobs/runner.py and jobs/relay.py, a run is lost once its lease has not been renewed for 14 s (4 s in the counting
# settings), which is checked twice a second.
LEASE_SECONDS = 14
QUICK_LEASE_SECONDS = 4
# For a worker to start the run on a busy machine.
SLACK_SECONDS = 6
START_SECONDS = 20
MINUTE_SECONDS = 65


def seconds_until(condition: Callable[[], bool], *, timeout: float, what: str) -> float:
    """Wait until the condition holds, and return how long that took."""
    started = time.monotonic()
    wait_until(condition, timeout=timeout, what=what)
    return time.monotonic() - started


@dataclasses.dataclass
class Everything:
    """Two beats, two relays and a worker on one broker, with the production intervals."""

    system: JobSystem
    worker: Process
    beats: tuple[Process, Process]


@pytest.fixture(scope="module", autouse=True)
def everything(make_system: Callable[[], JobSystem]) -> Everything:
    """Start them first: the other tests fill the time until the next minute."""
    system = make_system()
    killed = system.start_beat()
    wait_until(lambda: ticks(killed) == 1, timeout=START_SECONDS, what="beat starts")
    # Beat must be able to start on the files that a killed beat has left.
    killed.kill()
    for _ in range(2):
        system.start_relay()
    return Everything(system, system.start_worker(), (system.start_beat(), system.start_beat()))


@pytest.fixture
def stalled(system: JobSystem) -> Process:
    """A worker in the middle of the report for slot A, which cannot finish until its output is read."""
    system.start_relay()
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
    wait_until(lambda: all(map(has_ended, children)), timeout=5, what="every child has exited")

    worker = system.start_worker()
    took = seconds_until(
        succeeded(system, attempts=2), timeout=QUICK_LEASE_SECONDS + SLACK_SECONDS, what="the slot ran again"
    )
    wait_until(system.broker_is_empty, timeout=REDELIVERY_SECONDS + SLACK_SECONDS, what="the message is acknowledged")

    print(f"ran again {took:.1f} s after kill -9 of the worker, with a lease of {QUICK_LEASE_SECONDS} s")
    wait_until(lambda: worker.output.count("report") == 1, timeout=5, what="it was printed once")
    assert (worker.output.count("task"), worker.output.count("report")) == (TASKS, 1)


def test_only_pool_processes_open_the_database(system: JobSystem, stalled: Process) -> None:
    """A connection opened before the fork would be shared by several processes."""
    processes = [psutil.Process(stalled.popen.pid), *stalled.children()]
    worker, *pool = [str(system.database) in {file.path for file in process.open_files()} for process in processes]
    assert (worker, sorted(pool)) == (False, [False, True])


def test_killed_pool_process(system: JobSystem, stalled: Process) -> None:
    for child in stalled.children():
        child.kill()
    stalled.output.release()

    took = seconds_until(
        succeeded(system, attempts=2), timeout=QUICK_LEASE_SECONDS + SLACK_SECONDS, what="the slot ran again"
    )
    wait_until(system.broker_is_empty, timeout=REDELIVERY_SECONDS, what="the message is acknowledged")

    print(f"ran again {took:.1f} s after kill -9 of the pool's process, with a lease of {QUICK_LEASE_SECONDS} s")
    wait_until(lambda: stalled.output.count("report") == 1, timeout=5, what="it was printed once")


def test_worker_that_was_frozen_does_nothing_when_another_one_has_taken_over(
    system: JobSystem, stalled: Process
) -> None:
    frozen = [psutil.Process(stalled.popen.pid), *stalled.children()]
    for process in frozen:
        process.suspend()
    stalled.output.release()
    other = system.start_worker()
    wait_until(
        succeeded(system, attempts=2), timeout=START_SECONDS + QUICK_LEASE_SECONDS, what="another worker took over"
    )
    wait_until(lambda: other.output.count("report") == 1, timeout=5, what="it was printed once")

    for process in frozen:
        process.resume()

    wait_until(lambda: any(map(has_ended, frozen[1:])), timeout=5, what="the kernel kills the process of the run")
    wait_until(system.broker_is_empty, timeout=REDELIVERY_SECONDS + SLACK_SECONDS, what="no message is left")
    assert stalled.output.count("report") == 0
    assert succeeded(system, attempts=2)()


def has_ended(process: psutil.Process) -> bool:
    """Return whether the process has exited; Celery takes some seconds to notice."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_terminated_worker_finishes(system: JobSystem, stalled: Process) -> None:
    os.killpg(stalled.popen.pid, signal.SIGTERM)
    stalled.output.release()

    assert stalled.popen.wait(timeout=10) == 0
    assert system.runs() == [(A, "succeeded", 1)]
    assert system.broker_is_empty()
    wait_until(lambda: stalled.output.count("report") == 1, timeout=5, what="it was printed")


def test_impatiently_stopped_worker(system: JobSystem, stalled: Process) -> None:
    # The worker logs too, so its output must be read, but slowly enough that the report takes 15 s.
    stalled.output.release(pause=0.1)
    stalled.popen.send_signal(signal.SIGQUIT)
    wait_until(lambda: system.messages() == 1, timeout=8, what="the message has been returned to the broker")
    stalled.output.release()
    stalled.popen.wait(timeout=10)

    system.start_worker()
    wait_until(succeeded(system, attempts=2), timeout=START_SECONDS, what="the slot ran again")


def test_redis_of_another_project_as_well(system: JobSystem) -> None:
    """Its messages stay in Celery's default queue, and all of our keys have our prefix."""
    system.broker.lpush("celery", "a message of another project")
    system.start_worker()
    system.publish(A)
    wait_until(succeeded(system, attempts=1), timeout=START_SECONDS, what="the slot ran")
    assert system.broker.llen("celery") == 1
    assert all(key == b"celery" or key.startswith(b"task-api") for key in system.broker.scan_iter())


def test_redis_restarted(system: JobSystem) -> None:
    worker = system.start_worker()
    system.publish(A)
    wait_until(succeeded(system, attempts=1), timeout=START_SECONDS, what="the worker works")
    system.redis.kill()
    system.start_redis()
    system.publish(B)

    took = seconds_until(lambda: len(system.runs()) == 2, timeout=5, what="the worker works again")

    print(f"first job {took:.1f} s after Redis restarted")
    wait_until(lambda: worker.output.count("report") == 2, timeout=5, what="both were printed")


@pytest.mark.parametrize("loss", ["restart", "connection"])
def test_redis_lost_in_mid_job_does_not_interrupt_it(system: JobSystem, stalled: Process, loss: str) -> None:
    if loss == "restart":
        system.redis.kill()
        system.start_redis()
    else:
        system.broker.client_kill_filter(_type="normal", skipme=True)
    stalled.output.release()

    wait_until(succeeded(system, attempts=1), timeout=SLACK_SECONDS, what="the run succeeded")
    wait_until(system.broker_is_empty, timeout=REDELIVERY_SECONDS + SLACK_SECONDS, what="the message is acknowledged")
    assert system.runs() == [(A, "succeeded", 1)]
    wait_until(lambda: stalled.output.count("report") == 1, timeout=5, what="it was printed")


@contextlib.contextmanager
def refusing_writes(system: JobSystem) -> Iterator[None]:
    """Let Redis refuse every write with MISCONF, as on a full disk: here it cannot save its file."""
    blocker = system.folder / "dump.rdb"
    blocker.mkdir()
    system.broker.config_set("save", "3600 1")
    system.broker.bgsave()
    wait_until(lambda: refuses_writes(system), timeout=10, what="Redis refuses writes")
    yield
    system.broker.config_set("save", "")


def refuses_writes(system: JobSystem) -> bool:
    return system.broker.info("persistence")["rdb_last_bgsave_status"] == "err"


def test_redis_that_cannot_write_ends_neither_worker_nor_beat_nor_relay(system: JobSystem) -> None:
    worker, beat, relay = system.start_worker(), system.start_beat(), system.start_relay()
    wait_until(lambda: worker.output.count("report") == 1, timeout=START_SECONDS, what="the first slot ran")
    with refusing_writes(system):
        run_id = system.request_run("report-user-tasks")
        wait_until(
            lambda: relay.output.count("relay step failed") == 1, timeout=START_SECONDS, what="the relay cannot send"
        )
        wait_until(
            lambda: any("MISCONF" in line["message"] for line in worker.output.lines),
            timeout=START_SECONDS,
            what="the worker has noticed",
        )

    took = seconds_until(
        lambda: system.run(run_id)["state"] == "succeeded", timeout=40, what="the requested run succeeded"
    )

    print(f"first job {took:.1f} s after Redis could write again")
    assert [process.popen.poll() for process in (worker, beat, relay)] == [None] * 3
    assert relay.output.count("relay step works again") == 1


def test_database_unavailable(system: JobSystem) -> None:
    worker = system.start_worker()
    elsewhere = system.folder / "elsewhere"
    system.database.rename(elsewhere)
    # A folder in place of the file: it cannot be opened as a database, nor replaced by a new one.
    system.database.mkdir()
    system.publish(A)
    wait_until(
        lambda: worker.output.count("database unavailable") > 1, timeout=START_SECONDS, what="the tick was retried"
    )
    system.database.rmdir()
    elsewhere.rename(system.database)

    wait_until(succeeded(system, attempts=1), timeout=5, what="the slot ran")
    wait_until(system.broker_is_empty, timeout=5, what="the message is acknowledged")


def test_burst_after_an_outage(system: JobSystem) -> None:
    # A slot waits while the job is running for another one, but no longer than its tick.
    now = datetime.datetime.now(tz=datetime.UTC).replace(second=0, microsecond=0)
    slots = [(now - datetime.timedelta(minutes=minute)).isoformat() for minute in (1, 0)]
    system.publish(*slots * 5)
    system.publish(C, expires=0.001)

    system.start_relay()
    worker = system.start_worker()
    wait_until(lambda: worker.output.count("report") >= 1, timeout=START_SECONDS, what="one was printed")
    wait_until(
        lambda: {state for _, state, _ in system.runs()} <= {"succeeded", "missed"}, timeout=5, what="all runs are over"
    )
    wait_until(system.broker_is_empty, timeout=5, what="every message is acknowledged")

    runs = system.runs()
    assert [slot for slot, *_ in runs] == slots
    assert worker.output.count("report") == sum(state == "succeeded" for _, state, _ in runs)


def counted(system: JobSystem) -> list[tuple[float, int, str, int]]:
    """Return the notes of the counting job: time, process id, "begins" or "ends", number."""
    notes = []
    for line in (system.folder / "counted").read_text().splitlines():
        at, pid, event, number = line.split()
        notes.append((float(at), int(pid), event, int(number)))
    return notes


def last_number(system: JobSystem) -> int:
    return counted(system)[-1][3] if (system.folder / "counted").exists() else 0


def test_long_run_survives_three_kills_and_a_deploy_and_never_runs_twice_at_a_time(system: JobSystem) -> None:
    relay = system.start_relay()
    worker = system.start_worker()
    requested = time.monotonic()
    run_id = system.request_run("count")
    wait_until(lambda: last_number(system) > 0, timeout=START_SECONDS, what="the count has started")
    print(f"started {time.monotonic() - requested:.1f} s after the request, including the worker's start")

    for number in (150, 350, 550):
        wait_until(lambda: last_number(system) >= number, timeout=START_SECONDS, what=f"{number}")  # noqa: B023
        worker.kill()
        worker = system.start_worker()
    # A deployment: the worker hands the run back, while the relay is killed.
    wait_until(lambda: last_number(system) >= 750, timeout=START_SECONDS, what="750")
    relay.kill()
    worker.popen.terminate()
    assert worker.popen.wait(timeout=10) == 0
    system.start_relay()
    system.start_worker()
    wait_until(
        lambda: system.run(run_id)["state"] == "succeeded", timeout=2 * START_SECONDS, what="the count is complete"
    )

    notes = counted(system)
    ends = [number for _, _, event, number in notes if event == "ends"]
    assert set(ends) == set(range(1, 1001))
    # No process starts a piece while another one is working: the notes of two processes never interleave.
    stretches = [pid for index, (_, pid, *_) in enumerate(notes) if index == 0 or notes[index - 1][1] != pid]
    assert len(stretches) == len(set(stretches)) == 5
    # Work since the last renewal, up to a second before each kill, is repeated; the deployment repeats nothing.
    repeated = len(ends) - 1000
    run = system.run(run_id)
    print(f"{repeated} of 1,000 pieces were done twice, in {run['attempts']} attempts")
    assert repeated < 3 * 250
    assert (run["attempts"], run["outcome"], run["done"], run["requested_by"]) == (4, "1000 numbers", 1000, 7)


def test_run_that_is_asked_for_starts_soon(everything: Everything) -> None:
    system = everything.system
    wait_until(lambda: everything.worker.output.count("report") >= 1, timeout=START_SECONDS, what="the worker works")
    run_id = system.request_run("report-user-tasks")
    took = seconds_until(lambda: system.run(run_id)["state"] == "succeeded", timeout=3 + 2, what="it ran")
    print(f"{took:.1f} s from the row to the end of the run")


def test_slots_run_once_with_two_beats_and_two_relays(everything: Everything) -> None:
    """Placed last, so that it waits the least."""
    for beat in everything.beats:
        wait_until(lambda: ticks(beat) > 1, timeout=MINUTE_SECONDS, what="beat ticks")  # noqa: B023 (not deferred)
    wait_until(everything.system.broker_is_empty, timeout=5, what="the ticks are acknowledged")

    runs = everything.system.runs()
    assert runs == [(slot, "succeeded", 1) for slot, *_ in runs]
    slots = [slot for slot, *_ in runs if slot.endswith(":00+00:00")]
    # The killed beat's slot and one for each minute since.
    first, last = (datetime.datetime.fromisoformat(slots[index]) for index in (0, -1))
    assert len(slots) == (last - first) / datetime.timedelta(minutes=1) + 1
    wait_until(lambda: everything.worker.output.count("report") >= len(runs), timeout=5, what="each was printed")
    assert everything.worker.output.count("report") == len(runs)


def ticks(beat: Process) -> int:
    """Return the number of ticks that this beat has sent."""
    return beat.output.count("tick")
