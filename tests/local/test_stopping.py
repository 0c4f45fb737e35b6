"""However a stack is stopped, or loses a process: all of it ends soon, and the exit code tells the two apart."""

import os
import signal

import pytest

from .conftest import STOPPED_WITHIN_SECONDS, Start


def test_ctrl_c_ends_everything_with_exit_code_0(start: Start) -> None:
    stack = start().wait_until_ready()

    # Ctrl-Z first: it would stop make, which passes Ctrl-C on.
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
    # Without a terminal, whose end would be a signal of its own.
    stack = start(terminal=False).wait_until_ready()

    stack.part("local/up.py").kill()

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) != 0


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_works(start: Start) -> None:
    stack = start().wait_until_ready()

    stack.part("local/supervise.py").kill()

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) != 0
    # The services' sockets are still there, and nothing listens on them.
    assert (stack.state / "run/auth.sock").exists()
    start(STATE_DIR=str(stack.state)).wait_until_ready()


# Two whose workers outlive them and hold their output open, unless the supervisor ends them.
@pytest.mark.parametrize(("name", "word"), [("auth", "auth.sock"), ("worker", "--without-mingle")])
def test_when_one_process_dies_the_rest_go_down_and_it_is_named(start: Start, name: str, word: str) -> None:
    stack = start().wait_until_ready()

    stack.part(word).kill()

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) != 0
    assert f"{name} ended by itself" in stack.output
    assert "Traceback" not in stack.output


def test_a_process_that_ends_in_peace_is_no_success_either(start: Start) -> None:
    stack = start().wait_until_ready()

    stack.part("beat-schedule").terminate()

    assert stack.wait(timeout=STOPPED_WITHIN_SECONDS) != 0
    assert "beat ended by itself" in stack.output
