"""What the table of runs refuses."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError

from jobs.models import Run, Task
from tests.conftest import SLOT, make_run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "values",
    [
        {"state": "unknown"},
        {"state": ""},
        {"attempts": 0},
    ],
)
def test_row_that_makes_no_sense_is_refused(values):
    with pytest.raises(IntegrityError):
        make_run(**values)


def test_second_row_for_a_slot_is_refused():
    make_run()
    with pytest.raises(IntegrityError):
        make_run(task_id="another")


def test_migrations_make_the_models_and_not_the_table_of_another_service():
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
    assert (Run._meta.managed, Task._meta.managed, Task._meta.db_table) == (True, False, "tasks_task")


@pytest.mark.parametrize(
    ("query", "seek"),
    [
        (Run.objects.order_by("-slot", "-id")[:20], "jobs_run_newest"),
        (Run.objects.filter(job="x").order_by("-slot", "-id")[:20], "(job=?)"),
        (Run.objects.filter(job="x", state="running", started_at__lt=SLOT), "jobs_run_state"),
        (Run.objects.filter(slot__lt=SLOT).order_by("slot", "id").values("id")[:100], "jobs_run_newest (slot<?)"),
    ],
    ids=["newest", "newest of a job", "abandoned", "old"],
)
@pytest.mark.sqlite
def test_reads_seek_and_do_not_sort(query, seek):
    plan = query.explain()
    assert seek in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan
