"""Descriptions of the views for the OpenAPI document. Imported only to generate it."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from servicekit.http.problems import PRECONDITION_FAILED, UNPROCESSABLE_CONTENT
from servicekit.openapi.components import Schema, reference
from servicekit.openapi.operations import (
    BEFORE,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    IdField,
    Response,
    TimeField,
    describe,
    identifier,
    limit,
    operation,
)
from tasks.models import DURATION_MAXIMUM_MINUTES, TITLE_MAXIMUM_UNITS
from tasks.serializers import INVISIBLE, DurationField, TaskCreateSerializer, TaskRenameSerializer, TitleField
from tasks.views import LIST_LENGTH, TaskDetailView, TaskListView

TAG = {"name": "tasks", "description": "Things to do, and how long they take. Users see only their own."}

_CHARACTER = r"[^\u0000-\u001f\u007f-\u009f]"
SCHEMAS: dict[str, Schema] = {
    "Title": {
        "type": "string",
        "minLength": 1,
        "maxLength": TITLE_MAXIMUM_UNITS,
        "pattern": rf"^{_CHARACTER}*[^{INVISIBLE}\u0000-\u001f\u007f-\u009f]{_CHARACTER}*$",
        "description": f"1–{TITLE_MAXIMUM_UNITS} UTF-16 code units after trimming, no control characters, and not only "
        "invisible ones. Most emoji are two.",
    },
    "Duration": {
        "type": "integer",
        "minimum": 1,
        "maximum": DURATION_MAXIMUM_MINUTES,
        "description": "Whole minutes. Cannot be changed.",
    },
}
extend_schema_field(reference("schemas", "Title"))(TitleField)
extend_schema_field(reference("schemas", "Duration"))(DurationField)
extend_schema_serializer(component_name="NewTask")(TaskCreateSerializer)


class Task(serializers.Serializer[Any]):
    """A task."""

    id = IdField()
    title = TitleField()
    duration = DurationField()
    created_at = TimeField()
    updated_at = TimeField()


EXAMPLE = {
    "id": 1,
    "title": "Write the report",
    "duration": 90,
    "created_at": "2026-01-31T09:30:00.123456Z",
    "updated_at": "2026-01-31T09:30:00.123456Z",
}
RENAMED = {**EXAMPLE, "title": "Send the report", "updated_at": "2026-01-31T09:41:07.000815Z"}

OWN_CACHE = "Cache-Control.own"
TASK_ID = identifier("task_id", "The task's id.")
PARAMETERS = {"task_id": "$response.body#/id"}
CHANGE: dict[str, Any] = {
    "request": TaskRenameSerializer,
    "example": {"title": "Send the report"},
    "parameters": [TASK_ID, IF_MATCH, IF_NONE_MATCH],
    "responses": {200: Response(description="The task as it is now.", body=Task, example=RENAMED, headers=("ETag",))},
    "problems": [PRECONDITION_FAILED],
}

describe(
    TaskListView,
    get=operation(
        name="listTasks",
        summary="List tasks",
        description=f"Your own tasks, newest first: the last {LIST_LENGTH}, or up to `limit`. If there are "
        "more, the `Link` header leads to the next page; tasks added meanwhile cause no gaps or repetitions.",
        parameters=[limit(LIST_LENGTH), BEFORE],
        responses={
            200: Response(description="A page of tasks.", body=Task(many=True), example=[EXAMPLE], headers=("Link",)),
        },
    ),
    post=operation(
        name="createTask",
        summary="Create a task",
        description="The task belongs to the user who creates it; no other user can see it.",
        request=TaskCreateSerializer,
        example={"title": "Write the report", "duration": 90},
        parameters=[IDEMPOTENCY_KEY],
        problems=[UNPROCESSABLE_CONTENT],
        responses={
            201: Response(
                description="The new task.",
                body=Task,
                example=EXAMPLE,
                headers=("Location", "ETag", "Idempotency-Replayed"),
                links={
                    "get": {"operationId": "getTask", "parameters": PARAMETERS},
                    "rename": {"operationId": "renameTask", "parameters": PARAMETERS},
                    "replace": {"operationId": "replaceTask", "parameters": PARAMETERS},
                    "delete": {"operationId": "deleteTask", "parameters": PARAMETERS},
                },
            ),
        },
    ),
)
describe(
    TaskDetailView,
    get=operation(
        name="getTask",
        summary="Read a task",
        description="A task of your own; another user's is the same 404 as a missing one.",
        parameters=[TASK_ID, IF_MATCH, IF_NONE_MATCH],
        responses={
            200: Response(description="The task.", body=Task, example=EXAMPLE, headers=("ETag",), cache=OWN_CACHE),
            304: Response(description="The task has not changed.", headers=("ETag",), cache=OWN_CACHE),
        },
        problems=[PRECONDITION_FAILED],
    ),
    delete=operation(
        name="deleteTask",
        summary="Delete a task",
        description="Permanently. With `If-Match`, only if it has not changed since you read it.",
        parameters=[TASK_ID, IF_MATCH, IF_NONE_MATCH],
        responses={204: Response(description="The task is deleted.")},
        problems=[PRECONDITION_FAILED],
    ),
)
RENAME = operation(
    name="renameTask",
    summary="Rename a task",
    description="Only the title can change; any other member is a 400 and nothing changes. With `If-Match`, only if "
    "the task has not changed since you read it.",
    methods=["PATCH"],
    **CHANGE,
)
REPLACE = operation(
    name="replaceTask",
    summary="Replace a task's title",
    description="The same as PATCH: only the title can be replaced.",
    methods=["PUT"],
    **CHANGE,
)
# One function in the view, but two operations here.
describe(TaskDetailView, patch=RENAME, put=REPLACE)
