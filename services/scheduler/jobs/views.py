"""HTTP: parse, one domain call, render. For staff only."""

from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.schedule import JOBS
from jobs.selectors import last_runs, list_runs, retrieve_run
from jobs.serializers import represent_job, represent_run
from servicekit.http.pagination import Cursor, Page
from servicekit.http.views import APIView
from servicekit.tokens.permissions import IsStaff

LIST_LENGTH = 20
LARGEST_ID = 2**63 - 1


class JobListView(APIView):
    """GET /api/jobs."""

    permission_classes = (IsStaff,)

    def get(self, request: Request) -> Response:
        """Every job with its schedule, its last run and when it is due next."""
        runs = last_runs()
        now = timezone.now()
        return Response([represent_job(job=job, last_run=runs.get(job.name), now=now) for job in JOBS])


class RunListView(APIView):
    """GET /api/jobs/runs."""

    permission_classes = (IsStaff,)

    def get(self, request: Request) -> Response:
        """The runs of every job, or of the one that the query names, newest first."""
        job = request.query_params.get("job")
        if job is not None and job not in {known.name for known in JOBS}:
            raise ValidationError({"job": ["There is no such job; GET /api/jobs lists them."]})
        page = Page.from_query(request.query_params, default_limit=LIST_LENGTH)
        runs, more = list_runs(job=job, page=page)
        response = Response([represent_run(run) for run in runs])
        if more:
            last = Cursor(at=runs[-1].slot, id=runs[-1].id)
            parameters = {} if job is None else {"job": job}
            response["Link"] = page.link(path="/api/jobs/runs", last=last, **parameters)
        return response


class RunDetailView(APIView):
    """GET /api/jobs/runs/{id}."""

    permission_classes = (IsStaff,)

    def get(self, request: Request, run_id: str) -> Response:
        """The run."""
        number = int(run_id)
        # What a bigint cannot hold is not found, like any other missing run.
        run = retrieve_run(run_id=number) if 1 <= number <= LARGEST_ID else None
        if run is None:
            raise Http404
        return Response(represent_run(run))
