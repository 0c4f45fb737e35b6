"""The process between the terminal and the supervisor: starts it, forwards stop signals, and cleans up after it."""

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
from local.network import get_readyz, listens, ready_text

READY_WITHIN_SECONDS = 60
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run_supervisor(env: Mapping[str, str], port: int, *, locks: Iterable[int]) -> int:
    """Run the supervisor until it exits, and return the exit code.

    make fails if a Ctrl-C reaches it, whatever the exit code of its command. So the supervisor gets its own process
    group, which is the terminal's foreground while it runs and alone receives Ctrl-C. The pipe to its standard input
    closes when this process exits, even by kill -9, and the supervisor then stops. It shares the locks, since its parts
    may use the state for some seconds after that.
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
    """Wait until the supervisor exits, and return the process groups that it has left running.

    The end of its report means that it has exited, even if it was killed. Closing the terminal stops it: SIGHUP goes to
    the session's leader, which may be make, and make does not forward it.
    """
    events = select.poll()
    events.register(report, select.POLLIN)
    # If the system cannot poll a terminal, this returns POLLNVAL immediately, and only SIGHUP reports its closing.
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
    """Make the group the terminal's foreground if this process's group is that; without a terminal, do nothing."""
    try:
        ours = os.tcgetpgrp(0)
    except OSError:
        ours = None
    if ours is None or ours != os.getpgrp():
        yield
        return
    # Taking the terminal back from the background raises SIGTTOU.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, group)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, ours)


def announce(supervisor: subprocess.Popen[bytes], hold: int, env: Mapping[str, str], port: int) -> None:
    """Print that the stack is ready, or once that it is late; notify the supervisor that this ends the start."""
    sockets = [str(Path(env["RUN_DIR"], f"{service}.sock")) for service in SERVICES]
    late = time.monotonic() + READY_WITHIN_SECONDS
    status, response = 0, "nothing"
    while supervisor.poll() is None:
        # Wait for the services' sockets first, since the gateway would log an error for each that does not listen.
        if all(map(listens, sockets)):
            status, response = get_readyz(port)
        if status == 200:
            end_start(hold)
            with contextlib.suppress(OSError):
                print(ready_text(env, stop="Ctrl-C"), flush=True)
            return
        if time.monotonic() > late:
            late = float("inf")
            end_start(hold)
            print(f"warning: not ready after {READY_WITHIN_SECONDS} s; /readyz returned {response}", flush=True)
        time.sleep(0.1)


def end_start(hold: int) -> None:
    """Notify the supervisor that the start is over, so that it restarts a part that exits from now on."""
    with contextlib.suppress(OSError):
        os.write(hold, b"started\n")
