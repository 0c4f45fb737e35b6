"""Run local/supervisord.conf under supervisord until stopped; the exit code is 0, or 1 if a part cannot start.

supervisord starts the parts, restarts those that exit, with a growing delay if they keep exiting, and stops them in
order. This module adds two things. The parts write to the terminal directly, where supervisord would read and forward
their output. And they leave no processes behind: two pipes connect this process to the launcher (local/launcher.py).
The end of standard input, which the launcher holds open, means stop, however the launcher exited. The other pipe
reports the running process groups, so that the launcher can kill them if this process is killed.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor import events, supervisord
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions, decode_wait_status
from supervisor.states import SupervisorStates

from local.environment import for_part
from local.redis_files import set_aside

CONFIGURATION = Path(__file__).with_name("supervisord.conf")
# supervisord waits one second longer before each further attempt, without a limit.
LONGEST_DELAY_SECONDS = 10


def say(text: str) -> None:
    """Write a line to the terminal; ignores a closed one, since the parts must still be stopped then."""
    with contextlib.suppress(OSError):
        os.write(1, f"supervisor: {text}\n".encode())


class Options(ServerOptions):
    """supervisord's options and system calls, with the changes that the module's docstring describes."""

    def __init__(self, report: int) -> None:
        super().__init__()
        self._report = report
        self.is_starting = True
        # A description of how each process exited, by its id.
        self.endings: dict[int, str] = {}

    def make_pipes(self, stderr: bool = True) -> dict[str, int | None]:
        """Give a part this process's own output, and an empty input."""
        none: dict[str, int | None] = dict.fromkeys(("stdin", "stdout", "stderr"))
        return none | {
            "child_stdin": os.open(os.devnull, os.O_RDONLY),
            "child_stdout": os.dup(1),
            "child_stderr": os.dup(2),
        }

    def fork(self) -> int:
        """Report the new process, which leads its own group, to the launcher."""
        pid: int = super().fork()
        if pid:
            self._tell_launcher(f"+{pid}")
        return pid

    def _tell_launcher(self, line: str) -> None:
        # If the launcher was killed, the parts are about to be stopped as well.
        with contextlib.suppress(OSError):
            os.write(self._report, f"{line}\n".encode())

    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        """Run the part, in the forked process."""
        name = env["SUPERVISOR_PROCESS_NAME"]
        say(f"{name} started (pid {os.getpid()})")
        # granian considers the socket of a killed predecessor to be in use.
        Path(env["RUN_DIR"], f"{name}.sock").unlink(missing_ok=True)
        super().execve(filename, argv, for_part(env, name))

    def waitpid(self) -> tuple[int | None, int | None]:
        """Kill the rest of the group of a process that has exited.

        The workers of a killed granian, nginx or Celery continue to run and hold its socket.
        """
        pid, status = super().waitpid()
        if pid:
            self.endings[pid] = decode_wait_status(status)[1]
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            self._tell_launcher(f"-{pid}")
            # The loop restarts the process in its next round; do not wait a second for that.
            os.write(self._wake, b"\0")
        return pid, status

    def setsignals(self) -> None:
        """Wake the loop at each signal, and treat the hangup of the terminal as a stop, not as a reload."""
        super().setsignals()
        signal.signal(signal.SIGHUP, lambda *_: self.signal_receiver.receive(signal.SIGTERM, None))
        # Ctrl-Z would suspend this process while the shell that could resume it waits for the launcher.
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        self._woken, self._wake = os.pipe()
        for descriptor in (self._woken, self._wake):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def get_socket_map(self) -> dict[int, "Reader"]:
        """Return the descriptors that the loop also polls."""
        launcher = Reader(0, on_data=self.end_of_start, on_end=self.stop)
        return {0: launcher, self._woken: Reader(self._woken)}

    def end_of_start(self) -> None:
        """Record that the start is over: the stack is ready, or has run for a minute."""
        self.is_starting = False

    def stop(self) -> None:
        """Make the loop stop the parts and return."""
        self.mood = SupervisorStates.SHUTDOWN


def nothing() -> None:
    """Do nothing."""


class Reader:
    """A descriptor in supervisord's loop, with callbacks for data, whose content is ignored, and for its end."""

    def __init__(
        self, descriptor: int, *, on_data: Callable[[], None] = nothing, on_end: Callable[[], None] = nothing
    ) -> None:
        self._descriptor = descriptor
        self._on_data = on_data
        self._on_end = on_end
        self._has_ended = False

    def readable(self) -> bool:
        return not self._has_ended

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        if os.read(self._descriptor, 4096):
            self._on_data()
        else:
            self._has_ended = True
            self._on_end()

    def handle_error(self) -> None:
        """Reraise the error that supervisord is handling, which stops this process and the stack."""
        raise


class Supervisor(supervisord.Supervisor):
    """supervisord that prints what happens to the parts, and stops if one cannot start."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._has_set_aside = False
        self.failed = False

    def runforever(self) -> None:
        """Run the loop. Subscribes only here, since supervisord has cleared earlier subscriptions."""
        events.subscribe(events.ProcessStateExitedEvent, lambda event: self._on_end(event.process))
        events.subscribe(events.ProcessStateBackoffEvent, lambda event: self._on_end(event.process))
        super().runforever()

    def _on_end(self, part: Any) -> None:
        """Handle a part that exited by itself, whether within its startsecs (it then has a backoff) or later."""
        name, ending = part.config.name, self.options.endings.pop(part.pid, None) or part.spawnerr
        part.backoff = min(part.backoff, LONGEST_DELAY_SECONDS)
        if self.options.mood != SupervisorStates.RUNNING:
            return
        if name == "redis" and (aside := self._set_redis_files_aside(ending)):
            say(f"redis stopped ({ending}); its files may be damaged, so they were moved to {aside}")
        elif self.options.is_starting:
            say(f"{name} could not be started ({ending}), so everything is stopped")
            self.failed = True
            self.options.stop()
        else:
            say(f"{name} stopped ({ending}) and is restarted" + f" in {part.backoff} s" * bool(part.backoff))

    def _set_redis_files_aside(self, ending: str) -> Path | None:
        """Set the files aside if Redis exited by itself, at most once per run; return their new name."""
        if self._has_set_aside or not ending.startswith("exit status"):
            return None
        self._has_set_aside = True
        return set_aside(Path(os.environ["STATE_DIR"], "redis"))


def main(arguments: list[str]) -> int:
    """Run the parts; the argument is the number of the pipe to the launcher."""
    report = int(arguments[0])
    os.set_inheritable(report, False)
    options = Options(report)
    options.realize(["--configuration", str(CONFIGURATION)], doc=__doc__)
    options.first, options.test = True, False
    supervisor = Supervisor(options)
    with contextlib.suppress(ExitNow):
        supervisor.main()
    say("everything was stopped")
    return 1 if supervisor.failed else 0
