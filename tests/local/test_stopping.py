"""All processes exit soon, however a stack is stopped or if it loses its supervisor."""

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import threading
from pathlib import Path

import psutil

from support.accounts import register
from support.stack import LocalStack
from support.waiting import wait_until

from .conftest import STOPPED_WITHIN_SECONDS, Start


def test_ctrl_c_ends_everything_with_exit_code_0(start: Start) -> None:
    stack = start().wait_until_ready()

    # Ctrl-Z first: it could suspend make, which forwards Ctrl-C.
    stack.type(b"\x1a")
    stack.type(b"\x03")

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) == 0
    assert "everything was stopped" in stack.output
    assert "Traceback" not in stack.output
    assert "SIGKILL" not in stack.output


def test_ctrl_c_before_it_is_ready_ends_everything(start: Start) -> None:
    stack = start()
    stack.wait_until_printed("gateway started", timeout=60)
    stack.family()

    stack.type(b"\x03")

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) == 0


def test_a_closed_terminal_ends_everything(start: Start) -> None:
    stack = start().wait_until_ready()

    stack.close_terminal()

    stack.wait(timeout=STOPPED_WITHIN_SECONDS)


def test_sigint_to_the_group_ends_everything_without_a_terminal(start: Start) -> None:
    stack = start(terminal=False).wait_until_ready()

    os.killpg(stack.process.pid, signal.SIGINT)

    stack.wait(timeout=STOPPED_WITHIN_SECONDS)
    assert "everything was stopped" in stack.output
    assert "Traceback" not in stack.output


def test_sigterm_to_make_alone_ends_everything(start: Start) -> None:
    stack = start().wait_until_ready()

    stack.process.send_signal(signal.SIGTERM)

    stack.wait(timeout=STOPPED_WITHIN_SECONDS)
    assert "everything was stopped" in stack.output


def test_nothing_outlives_a_killed_launcher(start: Start) -> None:
    # Without a terminal, whose closing would be a signal of its own.
    stack = start(terminal=False).wait_until_ready()

    command_of(stack, "up").kill()

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) != 0


def test_state_of_a_killed_launcher_is_in_use_until_its_parts_have_ended(start: Start) -> None:
    stack = start(terminal=False).wait_until_ready()
    # A frozen part stands in for a busy one, which may take seconds to stop.
    stack.part("scheduler_service").suspend()
    command_of(stack, "up").kill()

    next_stack = start(STATE_DIR=str(stack.state))

    assert next_stack.wait(timeout=STOPPED_WITHIN_SECONDS) != 0
    assert f"the stack is already running in {stack.state}; " in next_stack.output
    # supervisord also waits its stopwaitsecs for the frozen part.
    stack.wait(timeout=STOPPED_WITHIN_SECONDS + 5)


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_works(start: Start) -> None:
    stack = start().wait_until_ready()

    command_of(stack, "supervise").kill()

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) != 0
    # The services' sockets still exist, but nothing listens on them.
    assert (stack.state / "run/auth.sock").exists()
    start(STATE_DIR=str(stack.state)).wait_until_ready()


def test_part_that_cannot_start_ends_the_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "run/tasks.sock").mkdir(parents=True)

    stack = start(STATE_DIR=str(tmp_path))

    assert stack.wait(timeout=60) != 0
    assert "supervisor: tasks could not be started (exit status " in stack.output
    assert "Ready: " not in stack.output


def test_requests_in_flight_are_finished(start: Start) -> None:
    stack = start().wait_until_ready()
    account = register(stack, "ada")
    clients = [Client(stack, account.access) for _ in range(8)]
    wait_until(lambda: all(client.count > 20 for client in clients), timeout=30)

    stack.type(b"\x03")

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) == 0
    for client in clients:
        client.join()
    # Each request has its own connection, so only the stop could cut it; a client ends once it is refused.
    assert [client.ending for client in clients] == ["refused"] * 8
    with contextlib.closing(sqlite3.connect(stack.state / "db.sqlite3")) as database:
        [stored] = database.execute("SELECT COUNT(*) FROM tasks_task").fetchone()
    assert stored == sum(client.count for client in clients)


class Client(threading.Thread):
    """A client that creates tasks one after the other, each on a new connection, until one is refused."""

    def __init__(self, stack: LocalStack, token: str) -> None:
        super().__init__(daemon=True)
        self._port = stack.port
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.count = 0
        self.ending = ""
        self.start()

    def run(self) -> None:
        while not self.ending:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.connect()
            except OSError:
                self.ending = "refused"
                return
            self.ending = self._create(connection)
            connection.close()

    def _create(self, connection: http.client.HTTPConnection) -> str:
        try:
            connection.request("POST", "/api/tasks", json.dumps({"title": "Read", "duration": 5}), self._headers)
            status = connection.getresponse().status
        except ConnectionResetError:
            # The kernel had accepted the connection for nginx, which closed its socket without accepting it. No request
            # was read: the test counts the stored tasks.
            return "refused"
        except (OSError, http.client.HTTPException) as error:
            return f"cut: {error!r}"
        self.count += 1
        return "" if status == 201 else str(status)


def command_of(stack: LocalStack, name: str) -> psutil.Process:
    """Return the process that runs this command of the launcher."""
    (process,) = [process for process in stack.family() if {"-m", "local", name} <= set(process.cmdline())]
    return process
