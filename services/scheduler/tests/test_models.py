"""The constraints and indexes of the table of runs, and the index that counts tasks."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.models import Q

from jobs.models import RelayLease, Run, Task, turn_of
from tests.conftest import MINUTE, SLOT, make_run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("values", [{"state": "unknown"}, {"state": ""}, {"attempts": -1}])
def test_row_that_makes_no_sense_is_refused(values):
    with pytest.raises(IntegrityError):
        make_run(**values)


def test_second_row_for_a_slot_is_refused():
    make_run()
    with pytest.raises(IntegrityError):
        make_run(state="running")


@pytest.mark.parametrize("state", ["queued", "running"])
def test_second_queued_or_running_run_of_a_job_is_refused(state):
    make_run(state=state)
    make_run(state=state, job="another")
    with pytest.raises(IntegrityError):
        make_run(state=state, slot=SLOT + MINUTE)


def test_finished_runs_do_not_block_another():
    turns = {turn_of(state, SLOT + n * MINUTE) for n in range(3) for state in ("succeeded", "failed", "missed")}
    assert len(turns) == 3
    assert turns.isdisjoint({turn_of("queued", SLOT), turn_of("running", SLOT)})


def test_migrations_make_the_models_and_not_the_table_of_another_service():
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
    assert (Run._meta.managed, RelayLease._meta.managed, Task._meta.managed) == (True, True, False)
    assert Task._meta.db_table == "tasks_task"


@pytest.mark.parametrize(
    ("query", "seek"),
    [
        (Run.objects.order_by("-slot", "-id")[:20], "jobs_run_newest"),
        (Run.objects.filter(job="x").order_by("-slot", "-id")[:20], "(job=?)"),
        (Run.objects.filter(state="failed").order_by("-slot", "-id")[:20], "jobs_run_state (state=?)"),
        (Run.objects.filter(state__in=("queued", "running")), "jobs_run_state (state=?)"),
        (Run.objects.filter(job="x", slot__lt=SLOT, requested_by=0).order_by("-slot")[:1], "(job=? AND slot<?)"),
        (Run.objects.filter(slot__lt=SLOT).order_by("slot", "id").values("id")[:100], "jobs_run_newest (slot<?)"),
        (Run.objects.filter(Q(id__in=[1, 2]) | Q(state__in=("queued",))), "jobs_run_state (state=?)"),
    ],
    ids=["newest", "newest of a job", "newest of a state", "active", "before a slot", "old", "telling"],
)
@pytest.mark.sqlite
def test_reads_seek_and_do_not_sort(query, seek):
    plan = query.explain()
    assert seek in plan
    assert plan.count("SCAN") == plan.count("SCAN jobs_run USING INDEX jobs_run_newest")
    assert "TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.sqlite
def test_an_index_alone_counts_the_tasks():
    """The index is created here as the tasks service does, since the test database's table has no indexes."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX tasks_newest ON tasks_task (owner_id, created_at DESC, id DESC)")
    assert (
        "USING COVERING INDEX tasks_newest (owner_id=?)" in Task.objects.filter(owner_id=1).values("owner_id").explain()
    )
