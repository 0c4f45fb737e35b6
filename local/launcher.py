"""The process between the terminal and the supervisor: start it, pass on what says stop, clear up after it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from local.environment import CHECKOUT, SERVICES
from local.network import ask_readyz, listens, ready_text

READY_WITHIN_SECONDS = 60
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run_supervisor(env: Mapping[str, str], port: int, *, locks: Iterable[int]) -> int:
    """Run the supervisor until it ends, and return the exit code.

    make fails with a Ctrl-C that reaches it, whatever its command answers. So the supervisor gets a process group of
    its own, which is the terminal's foreground while it runs: Ctrl-C goes there and nowhere else. The pipe to its
    standard input is closed by the end of this process, kill -9 included, and the supervisor takes that for a stop. It
    shares the locks, since its parts may use the state for some seconds after that.
    """
    report, write = os.pipe()
    read, hold = os.pipe()
    supervisor = subprocess.Popen(
        [sys.executable, "-E", "-m", "local", "supervise", str(write)],
        cwd=CHECKOUT,
        env=env,
        stdin=read,
        pass_fds=[write, *locks],
        process_group=0,
    )
    for ends_of_the_supervisor in (write, read):
        os.close(ends_of_the_supervisor)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: supervisor.send_signal(signal.SIGTERM))
    with terminal_of(supervisor.pid):
        threading.Thread(target=announce, args=(supervisor, hold, env, port), daemon=True).start()
        left = watch(supervisor, report)
        code = supervisor.wait()
    for group in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    if code < 0:
        print(f"error: the supervisor was killed by signal {-code}, so everything was stopped", file=sys.stderr)
    return 1 if code else 0


def watch(supervisor: subprocess.Popen[bytes], report: int) -> set[int]:
    """Wait for the supervisor's end, and return the process groups that it has left behind.

    The end of its report is its own, whatever ended it. A terminal that is closed stops it: SIGHUP goes to the
    session's leader, which may be make, and make does not pass it on.
    """
    events = select.poll()
    events.register(report, select.POLLIN)
    # Where the system cannot poll a terminal, this is POLLNVAL at once, and SIGHUP alone has to do.
    events.register(1, 0)
    text = b""
    while True:
        for descriptor, event in events.poll():
            if descriptor == report:
                if not (data := os.read(report, 4096)):
                    return groups(text.decode())
                text += data
            else:
                events.unregister(1)
                if event & (select.POLLHUP | select.POLLERR):
                    supervisor.send_signal(signal.SIGTERM)


def groups(report: str) -> set[int]:
    """Return the process groups that were started (+) and have not ended (-)."""
    running: set[int] = set()
    for line in report.splitlines():
        (running.add if line[0] == "+" else running.discard)(int(line[1:]))
    return running


@contextlib.contextmanager
def terminal_of(group: int) -> Iterator[None]:
    """Make the group the terminal's foreground, where we are that ourselves; without a terminal, do nothing."""
    try:
        ours = os.tcgetpgrp(0)
    except OSError:
        ours = None
    if ours is None or ours != os.getpgrp():
        yield
        return
    # Taking the terminal back is what a background group gets SIGTTOU for.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, group)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, ours)


def announce(supervisor: subprocess.Popen[bytes], hold: int, env: Mapping[str, str], port: int) -> None:
    """Say that the stack is ready, or once that it is late; either ends the start, and the supervisor is told."""
    sockets = [str(Path(env["RUN_DIR"], f"{service}.sock")) for service in SERVICES]
    late = time.monotonic() + READY_WITHIN_SECONDS
    status, response = 0, "nothing"
    while supervisor.poll() is None:
        # Before they listen, the gateway would log an error for each.
        if all(map(listens, sockets)):
            status, response = ask_readyz(port)
        if status == 200:
            end_start(hold)
            with contextlib.suppress(OSError):
                print(ready_text(env, stop="Ctrl-C"), flush=True)
            return
        if time.monotonic() > late:
            late = float("inf")
            end_start(hold)
            print(f"warning: not ready after {READY_WITHIN_SECONDS} s; /readyz answers {response}", flush=True)
        time.sleep(0.1)


def end_start(hold: int) -> None:
    """Tell the supervisor that every part has started, so one that ends from now on is started again."""
    with contextlib.suppress(OSError):
        os.write(hold, b"started\n")
