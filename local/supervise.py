"""Run the Procfile under honcho until it is told to stop (exit code 0) or one of the processes ends (exit code 1).

honcho starts and stops the processes and prints their lines. What is added here is what it takes to leave nothing
behind: `up.py` holds our standard input open, and its end means stop, whatever happened to `up.py`.
"""

import contextlib
import multiprocessing
import os
import select
import signal
import sys
import threading

from honcho import compat, environ, manager, process
from honcho.printer import Message, Printer

from environment import CHECKOUT


class Screen(Printer):
    """Honcho's output, which must not fail when the terminal has gone: the shutdown still has to be finished."""

    def __init__(self) -> None:
        # A file of our own: a failed flush of sys.stdout would change the exit code.
        super().__init__(open(sys.stdout.fileno(), "w", encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115

    def write(self, message: Message) -> None:
        if not message.data.strip():
            return
        with contextlib.suppress(OSError):
            super().write(message)


class Child(process.Popen):
    """The program of one Procfile line, the leader of its own process group, which ends as a whole with it.

    The workers of granian and Celery outlive a parent that was killed, and hold the pipe whose end honcho waits for.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        supervisor = multiprocessing.parent_process()
        for ended in (self.wait, supervisor.join):
            threading.Thread(target=self._end_group_after, args=(ended,), daemon=True).start()

    def _end_group_after(self, ended: object) -> None:
        ended()
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)


def watched_process(*args: object, **kwargs: object) -> process.Process:
    watched = process.Process(*args, **kwargs)
    watched._child_ctor = Child
    return watched


class Leaders(compat.ProcessManager):
    """SIGTERM goes to the program alone, so that it can end its own workers in order: Celery finishes the job."""

    def terminate(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


class Supervisor(manager.Manager):
    """honcho's manager, with signals that only leave a note.

    honcho's own handler prints and kills in the middle of whatever the signal has interrupted, which may be a print,
    and needs every process to have started.
    """

    def __init__(self) -> None:
        super().__init__(Screen())
        self._process_ctor = watched_process
        self._procmgr = Leaders()
        self._stop_asked = False
        self.casualty: str | None = None

    def _start(self) -> None:
        # Before the fork: honcho's helpers keep the handlers, so that no signal of the terminal's ends them.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, lambda *_: self._ask_to_stop())
        super()._start()
        threading.Thread(target=self._stop_when_alone, daemon=True).start()

    def _ask_to_stop(self) -> None:
        self._stop_asked = True

    def _stop_when_alone(self) -> None:
        # The other end of standard input is the launcher's, that of standard output the terminal's: SIGHUP for a closed
        # terminal goes to the session's leader, which may be make, and make keeps it to itself.
        ends = select.poll()
        for descriptor in (0, 1):
            ends.register(descriptor, 0)
        if not any(event & (select.POLLHUP | select.POLLERR) for _, event in ends.poll()):
            os.read(0, 1)  # A system that cannot poll a terminal; nothing is ever sent, so this is the launcher's end.
        self._ask_to_stop()

    def _all_started(self) -> bool:
        # honcho asks this ten times a second.
        started = super()._all_started()
        if started and self._stop_asked:
            self.terminate()
        return started

    def terminate(self) -> None:
        if not self._terminating and not self._stop_asked:
            self.casualty = next(name for name, state in self._processes.items() if "returncode" in state)
        super().terminate()

    def say(self, text: str) -> None:
        self._system_print(f"{text}\n")


def main() -> int:
    # Python 3.14 starts processes in another way, by which honcho's could not be sent their program.
    multiprocessing.set_start_method("fork")
    # Ctrl-Z would freeze us while the shell that could wake us waits for the launcher.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)

    supervisor = Supervisor()
    for name, command in environ.parse_procfile((CHECKOUT / "Procfile").read_text()).processes.items():
        if name == "redis" and "REDIS_PROGRAM" not in os.environ:
            continue  # REDIS_URL names one that is running.
        supervisor.add_process(name, command, cwd=CHECKOUT)
    supervisor.loop()

    if supervisor.casualty:
        code = supervisor._processes[supervisor.casualty]["returncode"]
        supervisor.say(f"{supervisor.casualty} ended by itself (exit code {code}), so everything was stopped")
        return 1
    supervisor.say("everything was stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
