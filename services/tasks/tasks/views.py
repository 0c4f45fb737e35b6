"""The views: parse the request, make one domain call, render the response."""

from typing import Any, NoReturn, TypedDict

from django.http import Http404
from rest_framework.request import Request

from servicekit.http.exceptions import PreconditionFailed, UnprocessableContent
from servicekit.http.idempotency import parse_idempotency_key
from servicekit.http.pagination import Cursor, Page
from servicekit.http.responses import Response
from servicekit.http.urls import absolute_url
from servicekit.http.views import APIView
from servicekit.tokens.authentication import principal
from tasks.etags import etag, parse_if_match, parse_if_none_match
from tasks.housekeeping import housekeeping
from tasks.raw_sql import TaskRow
from tasks.selectors import list_tasks, retrieve_task
from tasks.serializers import TaskCreateSerializer, TaskRenameSerializer, represent_task
from tasks.services import (
    KeyReused,
    TaskChanged,
    TaskNotFound,
    Versions,
    create_task,
    create_task_once,
    delete_task,
    is_among,
    rename_task,
)

LIST_LENGTH = 4
# A browser may cache a task, but revalidates it each time.
REVALIDATE = "private, no-cache"
LARGEST_ID = 2**63 - 1


class TaskListView(APIView):
    """GET and POST /api/tasks."""

    query_parameters = Page.PARAMETERS

    def get(self, request: Request) -> Response:
        """Return the caller's last four tasks, or the requested page."""
        page = Page.from_request(request, default_limit=LIST_LENGTH)
        tasks, more = list_tasks(owner_id=principal(request).user_id, page=page)
        response = Response([represent_task(task) for task in tasks])
        if more:
            last = Cursor(at=tasks[-1].created_at, id=tasks[-1].id)
            response["Link"] = page.link(path=absolute_url(request, "/api/tasks"), last=last)
        return response

    def post(self, request: Request) -> Response:
        """Create a task for the caller; for a repeated Idempotency-Key, return the task that was created."""
        new = TaskCreateSerializer.parse(request.data)
        key = parse_idempotency_key(request.META.get("HTTP_IDEMPOTENCY_KEY"))
        owner_id = principal(request).user_id
        if key is None:
            task, repeated = create_task(owner_id=owner_id, **new), False
        else:
            task, repeated = _create_once(owner_id=owner_id, key=key, **new)
        response = _task_response(task, status=201)
        if repeated:
            response["Idempotency-Replayed"] = "true"
        response["Location"] = f"/api/tasks/{task.id}"
        housekeeping.run_when_due()
        return response


class TaskDetailView(APIView):
    """GET, PUT, PATCH and DELETE /api/tasks/{id}; for another user's task, the same 404 as for a missing one."""

    def get(self, request: Request, task_id: str) -> Response:
        """Return the task; 412 if If-Match does not name its version, 304 if If-None-Match does."""
        conditions = _conditions(request)
        task = retrieve_task(task_id=_identifier(task_id), owner_id=principal(request).user_id)
        if task is None:
            raise Http404
        # In the order of RFC 9110, section 13.2.2.
        if not is_among(task.version, conditions["if_match"]):
            raise PreconditionFailed
        if is_among(task.version, conditions["if_none_match"]):
            return Response(status=304, headers={"ETag": etag(task.version), "Cache-Control": REVALIDATE})
        response = _task_response(task)
        response["Cache-Control"] = REVALIDATE
        return response

    def patch(self, request: Request, task_id: str) -> Response:
        """Rename the task; 412 if If-Match does not name its version or If-None-Match does."""
        new = TaskRenameSerializer.parse(request.data)
        conditions = _conditions(request)
        try:
            task = rename_task(
                task_id=_identifier(task_id),
                owner_id=principal(request).user_id,
                **conditions,
                **new,
            )
        except (TaskNotFound, TaskChanged) as error:
            _refuse(error)
        housekeeping.run_when_due()
        return _task_response(task)

    # Only the title can be replaced.
    put = patch

    def delete(self, request: Request, task_id: str) -> Response:
        """Delete the task; 412 as above."""
        conditions = _conditions(request)
        try:
            delete_task(task_id=_identifier(task_id), owner_id=principal(request).user_id, **conditions)
        except (TaskNotFound, TaskChanged) as error:
            _refuse(error)
        housekeeping.run_when_due()
        return Response(status=204)


class _Conditions(TypedDict):
    if_match: Versions
    if_none_match: Versions


def _conditions(request: Request) -> _Conditions:
    """Return the conditions of If-Match and If-None-Match; raises ParseError (400)."""
    # Not request.headers, which copies all headers.
    return {
        "if_match": parse_if_match(request.META.get("HTTP_IF_MATCH")),
        "if_none_match": parse_if_none_match(request.META.get("HTTP_IF_NONE_MATCH")),
    }


def _create_once(**arguments: Any) -> tuple[TaskRow, bool]:
    try:
        return create_task_once(**arguments)
    except KeyReused as error:
        raise UnprocessableContent from error


def _identifier(text: str) -> int:
    """Return the id; raises Http404 if it does not fit a bigint, as for any missing task."""
    number = int(text)
    if number > LARGEST_ID:
        raise Http404
    return number


def _refuse(error: TaskNotFound | TaskChanged) -> NoReturn:
    raise (PreconditionFailed if isinstance(error, TaskChanged) else Http404) from error


def _task_response(task: TaskRow, *, status: int = 200) -> Response:
    return Response(represent_task(task), status=status, headers={"ETag": etag(task.version)})
