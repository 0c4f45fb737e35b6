"""What the OpenAPI document says of the views, beyond what they say themselves. Imported only when it is built."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from jobs.models import STATES
from jobs.schedule import JOBS, REPORT_USER_TASKS
from jobs.serializers import RequestRunSerializer
from jobs.views import LIST_LENGTH, JobListView, JobRunsView, RunDetailView, RunListView
from servicekit.http.problems import CONFLICT
from servicekit.openapi.components import Schema, reference
from servicekit.openapi.operations import BEFORE, IdField, Response, TimeField, describe, identifier, limit, operation

TAG = {"name": "jobs", "description": "What runs in the background, how it went, and running it now. For staff."}
SCHEMAS: dict[str, Schema] = {"JobName": {"type": "string", "enum": list(JOBS)}}


class Progress(serializers.Serializer[Any]):
    """How far a run is; a few seconds old at most while it is running."""

    done = serializers.IntegerField(min_value=0, help_text="Units of whatever the job counts.")
    total = serializers.IntegerField(min_value=1, allow_null=True, help_text="null where it is not known.")


class Run(serializers.Serializer[Any]):
    """One run of a job: for each slot of its schedule there is one at most, and a job has one at a time."""

    id = IdField()
    job = serializers.CharField()
    slot = TimeField(help_text="The minute that the run is for; of a requested run, the time of the request.")
    state = serializers.ChoiceField(
        choices=list(STATES),
        help_text="missed where it never started.",
    )
    started_at = TimeField(allow_null=True, help_text="null where it has not started.")
    finished_at = TimeField(allow_null=True, help_text="null until it has succeeded or failed.")
    outcome = serializers.CharField(allow_null=True, help_text="In words; null until there is one.")
    attempts = serializers.IntegerField(min_value=0, help_text="More than one where a worker was lost on the way.")
    progress = Progress(allow_null=True, help_text="null where there is nothing to show yet, or ever.")
    requested_by = IdField(allow_null=True, help_text="The user who asked for it; null for the schedule.")


class Queue(serializers.Serializer[Any]):
    """What waits to be started."""

    length = serializers.IntegerField(min_value=0)
    oldest_seconds = serializers.FloatField(min_value=0, allow_null=True, help_text="null where nothing waits.")
    relay_lag_seconds = serializers.FloatField(
        min_value=0, allow_null=True, help_text="Since the relay, which starts queued runs, last gave a sign of life."
    )


class Job(serializers.Serializer[Any]):
    """A job of the schedule."""

    name = serializers.CharField()
    description = serializers.CharField()
    schedule = serializers.CharField(help_text="As cron writes it: minute, hour, day of month, month, day of week.")
    last_run = Run(allow_null=True, help_text="That of the newest slot.")
    next_due = TimeField()
    healthy = serializers.BooleanField()
    trouble = serializers.CharField(allow_null=True, help_text="Why it is not healthy, in words.")
    queue = Queue()


NAME = {**reference("schemas", "JobName"), "examples": [REPORT_USER_TASKS.name]}
RUN = {
    "id": 1,
    "job": REPORT_USER_TASKS.name,
    "slot": "2026-01-31T09:30:00.000000Z",
    "state": "succeeded",
    "started_at": "2026-01-31T09:30:00.104113Z",
    "finished_at": "2026-01-31T09:30:00.121954Z",
    "outcome": "2 of 2 tasks",
    "attempts": 1,
    "progress": {"done": 2, "total": 2},
    "requested_by": None,
}
QUEUED = {
    **RUN,
    "id": 2,
    "slot": "2026-01-31T09:30:12.345678Z",
    "state": "queued",
    "started_at": None,
    "finished_at": None,
    "outcome": None,
    "attempts": 0,
    "progress": None,
    "requested_by": 1,
}

describe(
    JobListView,
    get=operation(
        name="listJobs",
        summary="List jobs",
        description="Every job with its schedule, its last run, when it is due next, how it is doing, and what waits.",
        responses={
            200: Response(
                description="The jobs.",
                body=Job(many=True),
                example=[
                    {
                        "name": REPORT_USER_TASKS.name,
                        "description": REPORT_USER_TASKS.description,
                        "schedule": REPORT_USER_TASKS.cron,
                        "last_run": RUN,
                        "next_due": "2026-01-31T09:31:00.000000Z",
                        "healthy": True,
                        "trouble": None,
                        "queue": {"length": 0, "oldest_seconds": None, "relay_lag_seconds": 0.2},
                    }
                ],
            )
        },
    ),
)
describe(
    JobRunsView,
    post=operation(
        name="requestRun",
        summary="Run a job now",
        description="Queue a run, which starts within seconds. A job has one run at a time: while one is queued or "
        "running, the call is a 409. Follow `Location` to see how it goes. No body is needed.",
        parameters=[OpenApiParameter("name", NAME, OpenApiParameter.PATH, description="The job's name.")],
        request=RequestRunSerializer,
        example={},
        responses={202: Response(description="The queued run.", body=Run, example=QUEUED, headers=("Location",))},
        problems=[CONFLICT],
        details={CONFLICT: "A run of this job is queued or running."},
    ),
)
describe(
    RunListView,
    get=operation(
        name="listRuns",
        summary="List runs",
        description="The runs of every job, or those that the query names, the newest slot first. Where there are "
        "more, the `Link` header leads to the next page.",
        parameters=[
            OpenApiParameter("job", NAME, description="Only the runs of this job."),
            OpenApiParameter(
                "state",
                {"type": "string", "enum": list(STATES), "examples": list(STATES)},
                description="Only the runs in this state.",
            ),
            limit(LIST_LENGTH),
            BEFORE,
        ],
        responses={200: Response(description="A page of runs.", body=Run(many=True), example=[RUN], headers=("Link",))},
    ),
)
describe(
    RunDetailView,
    get=operation(
        name="getRun",
        summary="Read a run",
        description="One run of a job, and its progress.",
        parameters=[identifier("run_id", "The run's id.")],
        responses={200: Response(description="The run.", body=Run, example=RUN)},
    ),
)
