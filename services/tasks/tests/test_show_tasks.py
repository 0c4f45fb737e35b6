import signal
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks.management.commands import show_tasks
from tasks.models import Task
from tests.conftest import AT, ROOT

# The command closes its connection, which a test's transaction would not survive.
pytestmark = pytest.mark.django_db(transaction=True)

TIMES = "created 2026-01-31T09:30:00.123456Z  updated 2026-01-31T09:30:00.123456Z"


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses of the command, none of which takes any time."""
    seconds: list[float] = []
    monkeypatch.setattr(show_tasks.time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def show(capsys, pauses):
    """Run the command and return the lines that it printed."""

    def run(*arguments: str) -> list[str]:
        call_command("show_tasks", *arguments)
        return capsys.readouterr().out.splitlines()

    return run


def test_every_task_of_every_user_is_printed_by_id_with_its_progress(show, make_task):
    first = make_task(title="Äpfel 😀", duration=5, created_at=AT, owner_id=2)
    second = make_task(title="Read", duration=30, created_at=AT)
    assert show("--once") == [
        "2 tasks",
        f"1/2  #{first.id}  user 2  Äpfel 😀  5 min  {TIMES}",
        f"2/2  #{second.id}  user 1  Read  30 min  {TIMES}",
        "Done: 2 shown.",
    ]


@pytest.mark.parametrize(("count", "head"), [(0, "0 tasks"), (1, "1 task")])
def test_few_tasks_are_few(show, make_task, pauses, count, head):
    for _ in range(count):
        make_task()
    lines = show()
    assert (lines[0], len(lines), lines[-1]) == (head, count + 2, f"Done: {count} shown.")
    assert pauses == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [10, 10]),
        (["--interval", "2.5"], [2.5, 2.5]),
        (["--interval", "0"], []),
        (["--once"], []),
        (["--once", "--interval", "1"], [1, 1]),
        (["--interval", "86400"], [86_400, 86_400]),
    ],
)
def test_pause_is_between_two_tasks(show, make_task, pauses, arguments, expected):
    for _ in range(3):
        make_task()
    show(*arguments)
    assert pauses == expected


@pytest.mark.parametrize("interval", ["-1", "-0.001", "86401", "nan", "inf", "-inf"])
def test_interval_that_makes_no_sense_is_refused(show, interval):
    with pytest.raises(CommandError, match=r"^--interval must be from 0 to 86400 seconds$"):
        show(f"--interval={interval}")


@pytest.mark.parametrize("interval", ["ten", "", "10s"])
def test_interval_that_is_no_number_is_refused(show, interval):
    with pytest.raises(CommandError, match="invalid float value"):
        show(f"--interval={interval}")


def test_tasks_are_read_in_pages(show, make_task, monkeypatch):
    monkeypatch.setattr(show_tasks, "PAGE_SIZE", 2)
    made = [make_task() for _ in range(5)]
    with CaptureQueriesContext(connection) as queries:
        lines = show("--once")
    assert [line.split()[1] for line in lines[1:-1]] == [f"#{task.id}" for task in made]
    # The count, two full pages, the rest, and an empty page.
    assert len(queries) == 1 + 2 + 1 + 1


def test_task_that_is_added_or_deleted_meanwhile_is_no_trouble(show, make_task, monkeypatch):
    monkeypatch.setattr(show_tasks, "PAGE_SIZE", 1)
    first, deleted = make_task(), make_task()
    added = []

    def meanwhile(seconds: float) -> None:
        if not added:
            Task.objects.filter(id=deleted.id).delete()
            added.extend([make_task(), make_task()])

    monkeypatch.setattr(show_tasks.time, "sleep", meanwhile)
    lines = [line.split()[:2] for line in show()[1:-1]]
    assert lines[0] == ["1/2", f"#{first.id}"]
    assert [identifier for _, identifier in lines if identifier in [f"#{task.id}" for task in added]] == [
        f"#{task.id}" for task in added
    ]
    assert lines[-1][0] == f"{len(lines)}/{len(lines)}"


def test_no_connection_stays_open_during_a_pause(show, make_task, monkeypatch):
    closed = []
    monkeypatch.setattr(connection, "close", lambda: closed.append(True))
    monkeypatch.setattr(show_tasks.time, "sleep", lambda seconds: seen.append(len(closed)))
    seen: list[int] = []
    for _ in range(2):
        make_task()
    show()
    assert seen == [1]


def test_interrupt_before_the_first_task_ends_with_a_summary(show, monkeypatch):
    def interrupt() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Task.objects, "count", interrupt)
    assert show() == ["", "Stopped: 0 of 0 shown."]


FILL = """
import datetime, django
django.setup()
from tasks.models import Task
now = datetime.datetime.now(datetime.UTC)
for number in range(3):
    Task.objects.create(owner_id=1, title=f"Task {number}", duration=5, created_at=now, updated_at=now)
"""


def test_ctrl_c_ends_the_process_with_a_summary_and_exit_code_0(own_database):
    subprocess.run([sys.executable, "-c", FILL], cwd=ROOT, env=own_database, check=True, timeout=30)
    command = [sys.executable, "manage.py", "show_tasks", "--interval", "60"]
    with subprocess.Popen(
        command, cwd=ROOT, env=own_database, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "3 tasks\n"
        assert process.stdout.readline().startswith("1/3  #1  user 1  Task 0  5 min  created ")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "\nStopped: 1 of 3 shown.\n", "")
