"""Views for jobs and runs, for staff only: each parses, calls one service or selector and renders."""

from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.models import STATES
from jobs.schedule import JOBS
from jobs.selectors import job_runs, list_runs, relay_seen_at, retrieve_run
from jobs.serializers import RequestRunSerializer, represent_job, represent_run
from jobs.services import RunActive, request_run
from servicekit.http.exceptions import Conflict
from servicekit.http.pagination import Cursor, Page
from servicekit.http.urls import absolute_url
from servicekit.http.views import APIView
from servicekit.process.context import request_id
from servicekit.tokens.authentication import principal
from servicekit.tokens.permissions import IsStaff

LIST_LENGTH = 20
LARGEST_ID = 2**63 - 1
# The accepted values of each filter, and the error for any other.
FILTERS = {
    "job": (JOBS, "There is no such job; GET /api/jobs lists them."),
    "state": (STATES, f"Must be one of {', '.join(STATES)}."),
}


class JobListView(APIView):
    """GET /api/jobs."""

    permission_classes = (IsStaff,)

    def get(self, request: Request) -> Response:
        """Return every job with its schedule, last run, next due time, health and queue."""
        now = timezone.now()
        runs = job_runs(names=JOBS, now=now)
        seen_at = relay_seen_at()
        return Response(
            [represent_job(job=job, runs=runs[name], relay_seen_at=seen_at, now=now) for name, job in JOBS.items()]
        )


class JobRunsView(APIView):
    """POST /api/jobs/{name}/runs."""

    permission_classes = (IsStaff,)

    def post(self, request: Request, name: str) -> Response:
        """Queue a run of the job; 409 while one is queued or running."""
        if name not in JOBS:
            raise Http404
        RequestRunSerializer(data=request.data).is_valid(raise_exception=True)
        try:
            run = request_run(job=JOBS[name], user_id=principal(request).user_id, request_id=request_id())
        except RunActive:
            raise Conflict("A run of this job is queued or running.") from None
        return Response(represent_run(run), status=202, headers={"Location": f"/api/jobs/runs/{run.id}"})


class RunListView(APIView):
    """GET /api/jobs/runs."""

    query_parameters = (*Page.PARAMETERS, *FILTERS)
    permission_classes = (IsStaff,)

    def get(self, request: Request) -> Response:
        """Return a page of runs, newest slot first, filtered by job and state."""
        filters = self._filters(request)
        page = Page.from_request(request, default_limit=LIST_LENGTH)
        runs, more = list_runs(job=filters.get("job"), state=filters.get("state"), page=page)
        response = Response([represent_run(run) for run in runs])
        if more:
            last = Cursor(at=runs[-1].slot, id=runs[-1].id)
            response["Link"] = page.link(path=absolute_url(request, "/api/jobs/runs"), last=last, **filters)
        return response

    def _filters(self, request: Request) -> dict[str, str]:
        given = {name: request.query_params[name] for name in FILTERS if name in request.query_params}
        unknown = {name: [FILTERS[name][1]] for name, value in given.items() if value not in FILTERS[name][0]}
        if unknown:
            raise ValidationError(unknown)
        return given


class RunDetailView(APIView):
    """GET /api/jobs/runs/{id}."""

    permission_classes = (IsStaff,)

    def get(self, request: Request, run_id: str) -> Response:
        """Return the run."""
        number = int(run_id)
        # An id that does not fit a bigint is a 404, as for any missing run.
        run = retrieve_run(run_id=number) if 1 <= number <= LARGEST_ID else None
        if run is None:
            raise Http404
        return Response(represent_run(run))
