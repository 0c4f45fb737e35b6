"""However a stack is told to stop, or loses a part: all of it ends, soon, and the exit code says which it was."""

import os
import signal

import psutil
import pytest

from .conftest import Stack


def test_ctrl_c_ends_everything_with_exit_code_0(start) -> None:
    stack = start().wait_until_ready()

    # Ctrl-Z first: it would stop make, and with it the one that could hand a Ctrl-C on.
    stack.type(b"\x1a")
    stack.type(b"\x03")

    assert stack.wait() == 0
    assert "everything was stopped" in stack.output
    assert "Traceback" not in stack.output
    assert "SIGKILL" not in stack.output


def test_ctrl_c_before_it_is_ready_ends_everything(start) -> None:
    stack = start()
    stack.read(lambda: "gateway started" in stack.output, within=60)
    stack.family()

    stack.type(b"\x03")

    assert stack.wait() == 0


def test_a_closed_terminal_ends_everything(start) -> None:
    stack = start().wait_until_ready()

    stack.close_terminal()

    stack.wait()


def test_sigint_to_the_group_ends_everything_without_a_terminal(start) -> None:
    stack = start(terminal=False).wait_until_ready()

    os.killpg(stack.process.pid, signal.SIGINT)

    stack.wait()
    assert "everything was stopped" in stack.output
    assert "Traceback" not in stack.output


def test_sigterm_to_make_alone_ends_everything(start) -> None:
    stack = start().wait_until_ready()

    stack.process.send_signal(signal.SIGTERM)

    stack.wait()
    assert "everything was stopped" in stack.output


def test_nothing_outlives_a_killed_launcher(start) -> None:
    # Without a terminal: the end of its session would be a hint.
    stack = start(terminal=False).wait_until_ready()

    running(stack, "local/up.py").kill()

    assert stack.wait() != 0


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_works(start) -> None:
    stack = start().wait_until_ready()

    running(stack, "local/supervise.py").kill()

    assert stack.wait() != 0
    # The services' sockets are still there, and nobody listens.
    assert (stack.state / "run/auth.sock").exists()
    start(STATE_DIR=str(stack.state)).wait_until_ready()


def running(stack: Stack, script: str) -> psutil.Process:
    """The process that runs the script; honcho's helpers, which are forks of it, came later."""
    found = [process for process in stack.family() if any(part.endswith(script) for part in process.cmdline())]
    return min(found, key=lambda process: process.create_time())


# Two whose workers outlive them, and hold their output open, when nobody sees to it.
@pytest.mark.parametrize("name", ["auth", "worker"])
def test_when_one_process_dies_the_rest_go_down_and_it_is_named(start, name: str) -> None:
    stack = start().wait_until_ready()

    stack.named(name).kill()

    assert stack.wait() != 0
    assert f"{name} ended by itself" in stack.output
    assert "Traceback" not in stack.output


def test_a_process_that_ends_in_peace_is_no_success_either(start) -> None:
    stack = start().wait_until_ready()

    stack.named("beat").terminate()

    assert stack.wait() != 0
    assert "beat ended by itself" in stack.output
