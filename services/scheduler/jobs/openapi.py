"""What the OpenAPI document says of the views, beyond what they say themselves. Imported only when it is built."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from jobs.models import FAILED, RUNNING, SUCCEEDED
from jobs.schedule import JOBS
from jobs.views import LIST_LENGTH, JobListView, RunDetailView, RunListView
from servicekit.openapi.components import Schema
from servicekit.openapi.operations import BEFORE, Answer, IdField, TimeField, describe, identifier, limit, operation

TAG = {"name": "jobs", "description": "What runs in the background, and how it went. For staff."}
SCHEMAS: dict[str, Schema] = {}


class Run(serializers.Serializer[Any]):
    """One run of a job: for each job and time slot there is one, whatever happens."""

    id = IdField()
    job = serializers.CharField()
    slot = TimeField(help_text="The minute that the run is for.")
    state = serializers.ChoiceField(choices=[RUNNING, SUCCEEDED, FAILED])
    started_at = TimeField()
    finished_at = TimeField(allow_null=True, help_text="null while it is running.")
    outcome = serializers.CharField(allow_null=True, help_text="In words; null while it is running.")
    attempts = serializers.IntegerField(min_value=1, help_text="More than one where a worker died on the way.")


class Job(serializers.Serializer[Any]):
    """A job of the schedule."""

    name = serializers.CharField()
    description = serializers.CharField()
    schedule = serializers.CharField(help_text="As cron writes it: minute, hour, day of month, month, day of week.")
    last_run = Run(allow_null=True)
    next_due = TimeField()


RUN = {
    "id": 1,
    "job": JOBS[0].name,
    "slot": "2026-01-31T09:30:00.000000Z",
    "state": "succeeded",
    "started_at": "2026-01-31T09:30:00.104113Z",
    "finished_at": "2026-01-31T09:30:00.121954Z",
    "outcome": "2 tasks",
    "attempts": 1,
}

describe(
    JobListView,
    get=operation(
        name="listJobs",
        summary="List jobs",
        description="Every job with its schedule, its last run, and when it is due next.",
        answers={
            200: Answer(
                description="The jobs.",
                body=Job(many=True),
                example=[
                    {
                        "name": JOBS[0].name,
                        "description": JOBS[0].description,
                        "schedule": JOBS[0].cron,
                        "last_run": RUN,
                        "next_due": "2026-01-31T09:31:00.000000Z",
                    }
                ],
            )
        },
    ),
)
describe(
    RunListView,
    get=operation(
        name="listRuns",
        summary="List runs",
        description="The runs of every job, or of one, the newest slot first. Where there are more, the `Link` header "
        "leads to the next page.",
        parameters=[
            OpenApiParameter(
                "job",
                {"type": "string", "enum": [job.name for job in JOBS]},
                description="Only the runs of this job.",
            ),
            limit(LIST_LENGTH),
            BEFORE,
        ],
        answers={200: Answer(description="A page of runs.", body=Run(many=True), example=[RUN], headers=("Link",))},
    ),
)
describe(
    RunDetailView,
    get=operation(
        name="getRun",
        summary="Read a run",
        description="One run of a job.",
        parameters=[identifier("run_id", "The run's id.")],
        answers={200: Answer(description="The run.", body=Run, example=RUN)},
    ),
)
