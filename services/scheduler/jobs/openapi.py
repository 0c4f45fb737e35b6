"""Descriptions of the views for the OpenAPI document. Imported only to generate it."""

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

TAG = {"name": "jobs", "description": "Background jobs and their runs, which can also be requested. For staff only."}
SCHEMAS: dict[str, Schema] = {"JobName": {"type": "string", "enum": list(JOBS)}}


class Progress(serializers.Serializer[Any]):
    """A run's progress; at most a few seconds old while it is running."""

    done = serializers.IntegerField(min_value=0, help_text="In units that depend on the job.")
    total = serializers.IntegerField(min_value=1, allow_null=True, help_text="null if unknown.")


class Run(serializers.Serializer[Any]):
    """One run of a job. A job has at most one run for each slot of its schedule, and one run at a time."""

    id = IdField()
    job = serializers.CharField()
    slot = TimeField(help_text="The minute in which the run was due; for a requested run, the time of the request.")
    state = serializers.ChoiceField(
        choices=list(STATES),
        help_text="`missed` if it never started.",
    )
    started_at = TimeField(allow_null=True, help_text="null if it has not started.")
    finished_at = TimeField(allow_null=True, help_text="null until it has succeeded or failed.")
    outcome = serializers.CharField(allow_null=True, help_text="The result in words; null until the run has ended.")
    attempts = serializers.IntegerField(min_value=0, help_text="More than one if a worker was lost during the run.")
    progress = Progress(allow_null=True, help_text="null if there is none.")
    requested_by = IdField(allow_null=True, help_text="The user who requested it; null for the schedule.")


class Queue(serializers.Serializer[Any]):
    """A job's queued runs."""

    length = serializers.IntegerField(min_value=0)
    oldest_seconds = serializers.FloatField(min_value=0, allow_null=True, help_text="null if no run is queued.")
    relay_lag_seconds = serializers.FloatField(
        min_value=0,
        allow_null=True,
        help_text="Time since the last sign of life of the relay, which starts queued runs.",
    )


class Job(serializers.Serializer[Any]):
    """A job of the schedule."""

    name = serializers.CharField()
    description = serializers.CharField()
    schedule = serializers.CharField(help_text="In cron format: minute, hour, day of month, month, day of week.")
    last_run = Run(allow_null=True, help_text="The run of the newest slot.")
    next_due = TimeField()
    healthy = serializers.BooleanField()
    trouble = serializers.CharField(allow_null=True, help_text="Why the job is not healthy, in words.")
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
        description="Every job with its schedule, last run, next due time, health and queue.",
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
        "running, the response is a 409. Follow `Location` to see the progress. No body is needed.",
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
        description="The runs of all jobs, or those that the parameters select, newest slot first. If there are more, "
        "the `Link` header leads to the next page.",
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
        description="One run of a job, with its progress.",
        parameters=[identifier("run_id", "The run's id.")],
        responses={200: Response(description="The run.", body=Run, example=RUN)},
    ),
)
