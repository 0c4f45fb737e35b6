"""The processes that `make profile` finds, and its errors; tests/telemetry runs it on a stack."""

import pytest

from local.errors import CommandError
from local.profile import PARTS, first_process, main, reason

LISTING = [
    "  400     1 /usr/bin/granian --uds /elsewhere/tasks.sock tasks_service.wsgi:application",
    "  500     1 python -E -m local supervise 6",
    "  501   500 python manage.py relay",
    "  502   500 granian --uds tasks.sock tasks_service.wsgi:application",
    "  503   502 granian --uds tasks.sock tasks_service.wsgi:application",
    "  504   500",
]


def test_the_process_that_the_supervisor_started_is_found() -> None:
    assert first_process(LISTING, parent=500, word=PARTS["tasks"]) == 502
    assert first_process(LISTING, parent=500, word=PARTS["relay"]) == 501


@pytest.mark.parametrize(("parent", "part"), [(500, "worker"), (600, "tasks")])
def test_part_that_does_not_run_is_none(parent: int, part: str) -> None:
    assert first_process(LISTING, parent=parent, word=PARTS[part]) is None


@pytest.mark.parametrize(
    ("complaint", "said"),
    [
        ("Error: Permission Denied: Try running again", "only root may trace processes on this machine: sudo py-spy"),
        ("Error: No stack counts found\n\nStack backtrace:\n   0: main", "it was idle all the time"),
        ("docker: Cannot connect to the Docker daemon.", "docker: Cannot connect to the Docker daemon."),
        ("starting\nError: Failed to find a python in process 7\n\nBacktrace:\n 1: x", "Failed to find a python"),
    ],
)
def test_complaint_becomes_one_line(complaint: str, said: str) -> None:
    line = reason(complaint, again="sudo py-spy")
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize(("part", "seconds"), [("gateway", "5"), ("", "5"), ("tasks", "0"), ("tasks", "1h")])
def test_what_cannot_be_profiled_is_refused(part: str, seconds: str) -> None:
    with pytest.raises(CommandError, match=r"^(SERVICE|SECONDS): must be "):
        main(["machine", part, seconds])
