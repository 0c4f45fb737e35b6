"""The output of report-user-tasks."""

import datetime
import io
import logging

import pytest
from django.utils import timezone

from jobs import selectors
from jobs.job import Progress
from jobs.models import Task
from jobs.output import StdoutHandler
from jobs.report import report_user_tasks
from tests.conftest import SECOND, SLOT

pytestmark = pytest.mark.django_db

OWN_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "service", "request_id"}


def fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in OWN_FIELDS}


def make_task(number: int, **values: object) -> Task:
    defaults = {"owner_id": 1, "title": f"Task {number}", "duration": number, "created_at": SLOT + number * SECOND}
    return Task.objects.create(**{**defaults, "updated_at": SLOT + number * SECOND, **values})


def report() -> tuple[list[Progress], str]:
    """Run the report; return the progress that it yields, and its outcome."""
    work, yielded = report_user_tasks(""), []
    while True:
        try:
            yielded.append(next(work))
        except StopIteration as end:
            return yielded, end.value


@pytest.fixture
def printed(caplog):
    caplog.set_level(logging.INFO, logger="jobs")
    return lambda: [(record.getMessage(), fields(record)) for record in caplog.records]


def test_every_task_of_the_user_newest_first(printed):
    make_task(1, title="Wäsche\nwaschen")
    make_task(2, updated_at=SLOT + datetime.timedelta(days=1, microseconds=7))
    make_task(3, owner_id=2)

    assert report() == ([Progress(done=2, total=2)], "2 of 2 tasks")
    assert printed() == [
        (
            "task",
            {
                "title": "Task 2",
                "duration": 2,
                "created_at": "2026-01-31T09:30:02.000000Z",
                "updated_at": "2026-02-01T09:30:00.000007Z",
            },
        ),
        (
            "task",
            {
                "title": "Wäsche\nwaschen",
                "duration": 1,
                "created_at": "2026-01-31T09:30:01.000000Z",
                "updated_at": "2026-01-31T09:30:01.000000Z",
            },
        ),
        ("report", {"user": 1, "count": 2, "more": 0}),
    ]


def test_no_task_is_the_summary_alone(printed):
    assert report() == ([], "0 of 0 tasks")
    assert printed() == [("report", {"user": 1, "count": 0, "more": 0})]


@pytest.mark.parametrize(("limit", "shown", "more"), [(2, ["Task 4", "Task 3"], 3), (5, 5, 0), (6, 5, 0), (0, 5, 0)])
def test_limit_prints_the_newest_and_how_many_more_there_are(printed, settings, limit, shown, more):
    settings.REPORT_LIMIT = limit
    for number in range(5):
        make_task(number)

    report()

    *tasks, (message, summary) = printed()
    titles = [entry["title"] for _, entry in tasks]
    assert (titles if isinstance(shown, list) else len(titles)) == shown
    assert (message, summary) == ("report", {"user": 1, "count": 5, "more": more})


def test_pages_neither_skip_nor_repeat_tasks_of_one_moment(monkeypatch, printed, django_assert_num_queries):
    monkeypatch.setattr(selectors, "TASKS_AT_ONCE", 3)
    now = timezone.now()
    for number in range(7):
        make_task(number, created_at=now)

    # The count, and three pages.
    with django_assert_num_queries(4):
        yielded, _ = report()

    assert [entry["title"] for message, entry in printed() if message == "task"] == [f"Task {n}" for n in range(7)][
        ::-1
    ]
    assert [progress.done for progress in yielded] == [3, 6, 7]


@pytest.fixture
def full_disk():
    """Have the report's logger write to a full disk."""

    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    handler = StdoutHandler(Full())
    logger = logging.getLogger("jobs")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_line_that_cannot_be_written_fails_the_report(full_disk):
    make_task(1)
    with pytest.raises(OSError, match="No space left"):
        report()


def test_other_lines_are_passed_over(full_disk, capsys):
    logging.getLogger("jobs.run").info("job")
    assert "No space left on device" in capsys.readouterr().err
