"""The metrics of processes that start and exit."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from servicekit.metrics import folder, values

PROGRAM = Path(__file__).with_name("programs") / "count.py"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that counts, and return it when it has counted."""
    with ExitStack() as stack:

        def starter(number: int, *options: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, PROGRAM, str(number), *options],
                env=os.environ | {"METRICS_DIR": str(tmp_path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            for _ in ("counted", *options):
                assert process.stdout.readline() in ("counted\n", "forked\n")
            return process

        yield starter


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()


def samples(path: Path) -> dict[str, float]:
    return {
        f"{sample.name}{list(sample.labels.values())}": sample.value
        for metric in folder.read(path)
        for sample in metric.samples
        if not sample.name.startswith("further")
    }


def expected(*, counted: float, active: float, processes: int) -> dict[str, float]:
    return {
        "requests_total['/tasks']": counted,
        "duration_seconds_bucket['0.5']": 0,
        "duration_seconds_bucket['1.0']": counted,
        "duration_seconds_bucket['+Inf']": counted,
        "duration_seconds_count[]": counted,
        "duration_seconds_sum[]": counted * 0.75,
        "active[]": active,
        "part_processes[]": processes,
    }


def test_processes_are_added_up(start: Start, tmp_path: Path) -> None:
    start(3)
    start(4)

    assert samples(tmp_path) == expected(counted=7, active=7, processes=2) | {"seen_timestamp_seconds[]": 4}


def test_what_a_killed_process_has_counted_stays_and_what_it_was_doing_goes(start: Start, tmp_path: Path) -> None:
    kill(start(3))
    start(4)

    for _ in range(3):
        assert samples(tmp_path) == expected(counted=7, active=4, processes=1) | {"seen_timestamp_seconds[]": 4}


def test_latest_value_is_kept_whichever_process_has_set_it(start: Start, tmp_path: Path) -> None:
    first, second = start(9), start(2)
    kill(first)
    kill(second)

    assert samples(tmp_path)["seen_timestamp_seconds[]"] == 2


def test_files_do_not_grow_with_the_processes_that_end(start: Start, tmp_path: Path) -> None:
    sizes = []
    for number in range(1, 7):
        kill(start(1))
        assert samples(tmp_path)["requests_total['/tasks']"] == number
        sizes.append({path.name: path.stat().st_size for path in tmp_path.iterdir()})

    assert sizes[1:] == sizes[:1] * 5


def test_files_do_not_grow_if_nothing_reads_them(start: Start, tmp_path: Path) -> None:
    for _ in range(6):
        kill(start(1))

    assert len(list(tmp_path.glob("*.live"))) == 1
    assert samples(tmp_path)["requests_total['/tasks']"] == 6


def test_forked_process_counts_from_zero_and_is_a_process_of_its_own(start: Start, tmp_path: Path) -> None:
    parent = start(5, "fork")

    # The child counted five like its parent, and one more after its file had grown.
    found = samples(tmp_path)
    assert (found["requests_total['/tasks']"], found["active[]"], found["part_processes[]"]) == (11, 10, 2)

    kill(parent)
    found = samples(tmp_path)
    assert (found["requests_total['/tasks']"], found["active[]"], found["part_processes[]"]) == (11, 5, 1)


def test_processes_that_are_forked_while_a_thread_reads_keep_no_lock(tmp_path: Path) -> None:
    program = PROGRAM.with_name("fork_while_reading.py")
    process = subprocess.Popen(
        [sys.executable, program],
        env=os.environ | {"METRICS_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        process_group=0,
    )
    try:
        with process:
            # A lock that is never released would stop both the fork of the next process and this.
            assert select.select([process.stdout], [], [], 20)[0]
            process.kill()
            reader = threading.Thread(target=samples, args=[tmp_path], daemon=True)
            reader.start()
            reader.join(timeout=10)
            assert not reader.is_alive()
            # On a busy machine, some of them have not started yet when the last is forked.
            deadline = time.monotonic() + 10
            while (living := samples(tmp_path)["part_processes[]"]) < 20 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert living == 20
    finally:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("fails_at", [Path.rename, Path.unlink])
def test_reader_that_is_killed_while_it_adds_up_the_dead_counts_nothing_twice(
    fails_at: Callable[..., None], start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (3, 4, 5):
        kill(start(number))
    seen = set()
    for steps in range(12):
        left = iter(range(steps))

        def fail_later(path: Path, *arguments: object, left: Iterator[int] = left, **options: object) -> object:
            if next(left, None) is None:
                raise InterruptedError
            return fails_at(path, *arguments, **options)

        with monkeypatch.context() as patch, suppress(InterruptedError):
            patch.setattr(Path, fails_at.__name__, fail_later)
            folder.read(tmp_path)
        seen.add(samples(tmp_path)["requests_total['/tasks']"])
        kill(start(1))

    assert seen == {12.0 + steps for steps in range(12)}


def test_file_of_a_process_that_was_killed_before_it_wrote_is_empty(start: Start, tmp_path: Path) -> None:
    start(3)
    (tmp_path / "counter_1-1.db").touch()

    assert samples(tmp_path)["requests_total['/tasks']"] == 3
    assert not (tmp_path / "counter_1-1.db").exists()


def test_part_that_has_not_started_has_no_processes(tmp_path: Path) -> None:
    assert samples(tmp_path / "none") == {"part_processes[]": 0}


class Yielding(float):
    """A number that lets other threads run while it is added."""

    def __radd__(self, other: float) -> float:
        time.sleep(0)
        return other + float(self)


def test_counts_of_threads_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_DIR", str(tmp_path))
    monkeypatch.setattr(values, "_member", None)
    files: dict[str, MmapedDict] = {}
    monkeypatch.setattr(values, "_files", files)
    value = values.SharedValue("counter", "c", "c_total", [], [], "Counted.")
    threads = [threading.Thread(target=lambda: [value.inc(Yielding(1)) for _ in range(2_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert value.get() == 8_000
    value._cells = None
    files["counter"].close()
