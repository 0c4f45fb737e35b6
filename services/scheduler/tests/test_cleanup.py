"""The work of the job delete-old-runs."""

import datetime

import pytest
import time_machine

from jobs import cleanup, services
from jobs.cleanup import PAUSE_SECONDS, delete_old_runs_in_batches
from jobs.job import Progress
from jobs.models import Run
from tests.conftest import MINUTE, SLOT, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def pauses(settings, monkeypatch):
    """The pauses of the job, with batches of two, at a time when all runs of SLOT's day are too old."""
    settings.RUNS_KEPT_DAYS = 30
    monkeypatch.setattr(services, "OLD_RUNS_AT_ONCE", 2)
    pauses: list[float] = []
    monkeypatch.setattr(cleanup.time, "sleep", pauses.append)
    with time_machine.travel(SLOT + datetime.timedelta(days=31), tick=False):
        yield pauses


def test_goes_on_in_small_batches_with_pauses_until_none_is_left(pauses):
    for number in range(5):
        make_run(slot=SLOT + number * MINUTE)
    assert list(delete_old_runs_in_batches("")) == [Progress(done=done, checkpoint=str(done)) for done in (2, 4, 5)]
    assert pauses == [PAUSE_SECONDS] * 3
    assert not Run.objects.exists()


def test_counts_on_from_its_checkpoint(pauses):
    make_run()
    assert list(delete_old_runs_in_batches("40")) == [Progress(done=41, checkpoint="41")]
