"""The folder in which the processes of one part keep their metrics, a few files each.

A running process holds a lock on its own file, which the kernel releases however the process exits; a process id would
not do, since ids are reused. The counts of exited processes are added up in one file per kind, so neither files nor
memory grow with the number of exited processes, and no count decreases. Their gauges are dropped.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from servicekit.process import env

# The name that stands for all exited processes.
ENDED = "ended"

# No process is forked while a thread holds the folder's lock: the child would hold it too, and never release it.
_forking = threading.Lock()
os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_forking.release)


def folder_from_env() -> Path:
    """Return METRICS_DIR."""
    return Path(env.require("METRICS_DIR"))


class Member:
    """The files of this process in the folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Process ids are reused, in a container soon.
        self._name = f"{os.getpid()}-{time.time_ns():x}"
        self._folder = folder
        with _locked(folder):
            # Keep the files of exited processes from piling up, even if nothing reads them.
            _fold(folder)
            self._live = os.open(folder / f"{self._name}.live", os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(self._live, fcntl.LOCK_EX)

    def path(self, prefix: str) -> Path:
        """Return the path of this process's file for the prefix."""
        return self._folder / f"{prefix}_{self._name}.db"

    def leave(self) -> None:
        """Close the file that a forked process inherited; its parent still holds the lock."""
        os.close(self._live)


def read(folder: Path) -> list[Metric]:
    """Return the metrics of the part's processes, exited ones included, and the number of running ones."""
    processes = Metric("part_processes", "Running processes of the part.", "gauge")
    if not folder.is_dir():
        processes.add_sample("part_processes", {}, 0)
        return [processes]
    with _locked(folder):
        _fold(folder)
        processes.add_sample("part_processes", {}, len(list(folder.glob("*.live"))))
        return [*MultiProcessCollector.merge(map(str, _files(folder))), processes]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that are not empty: a process may be killed before it writes its first number."""
    return (path for path in sorted(folder.glob("*.db")) if path.stat().st_size)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _forking, (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fold(folder: Path) -> None:
    """Add the counts of exited processes to the files of ENDED; the caller holds the folder's lock."""
    _finish(folder)
    running = {path.stem for path in folder.glob("*.live") if not _remove_if_exited(path)}
    exited = [path for path in folder.glob("*.db") if _process(path) not in {*running, ENDED}]
    if not exited:
        return
    sums: dict[str, dict[str, tuple[float, float]]] = {}
    for path in (path for path in _files(folder) if _process(path) not in running):
        prefix = _prefix(path)
        if not prefix.startswith("gauge_live"):
            _add(sums.setdefault(prefix, {}), path, latest=prefix.startswith("gauge_"))
    for prefix, numbers in sums.items():
        _write(folder / f"{prefix}_{ENDED}.new", numbers)
    # If this process is killed after the next line, another one does the rest; before it, nothing has changed.
    _replace(folder / "fold", json.dumps([path.name for path in exited]))
    _finish(folder)


def _finish(folder: Path) -> None:
    """Replace the files of exited processes with the new sums, if those are complete."""
    try:
        exited = json.loads((folder / "fold").read_text(encoding="utf-8"))
    except FileNotFoundError:
        for unfinished in folder.glob("*.new"):
            unfinished.unlink()
        return
    for new in folder.glob("*.new"):
        new.rename(new.with_suffix(".db"))
    for name in exited:
        (folder / name).unlink(missing_ok=True)
    (folder / "fold").unlink()


def _remove_if_exited(path: Path) -> bool:
    """Return whether the lock file's process has exited; remove the file if so."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    path.unlink()
    return True


def _add(sums: dict[str, tuple[float, float]], path: Path, *, latest: bool) -> None:
    """Add the file's numbers to the sums, or keep the latest of each."""
    for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(path)):
        known, known_at = sums.get(key, (0.0, 0.0))
        sums[key] = max((timestamp, value), (known_at, known))[::-1] if latest else (known + value, 0.0)


def _write(path: Path, numbers: dict[str, tuple[float, float]]) -> None:
    file = MmapedDict(str(path))
    for key, (value, timestamp) in numbers.items():
        file.write_value(key, value, timestamp)
    file.close()


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)


def _prefix(path: Path) -> str:
    return path.stem.rpartition("_")[0]


def _process(path: Path) -> str:
    return path.stem.rpartition("_")[2]
