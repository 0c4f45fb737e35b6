"""Routes for the tests: views that echo, and views that fail in every way a view can."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError
from django.db import Error as DatabaseLayerError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from servicekit.http.exceptions import (
    Conflict,
    PayloadTooLarge,
    PreconditionFailed,
    ServiceUnavailable,
    TooManyRequests,
)
from servicekit.http.health import NotReady, health_urls
from servicekit.http.views import APIView
from servicekit.tokens.authentication import principal
from servicekit.tokens.permissions import IsStaff


class OddStatus(exceptions.APIException):
    """A status without a reason phrase."""

    status_code = 499
    default_detail = "Odd."


FAILURES: dict[str, Callable[[], Exception]] = {
    "parse": lambda: exceptions.ParseError("The body is not valid JSON."),
    "fields": lambda: exceptions.ValidationError({"title": ["Too long.", "Too dull."], "non_field_errors": ["Both."]}),
    "no-field": lambda: exceptions.ValidationError("Not like this."),
    "forbidden": lambda: exceptions.PermissionDenied("a reason that must not show"),
    "http404": lambda: Http404("a reason that must not show"),
    "drf404": lambda: exceptions.NotFound("a reason that must not show"),
    "conflict": lambda: Conflict("It runs already."),
    "precondition": PreconditionFailed,
    "too-large": PayloadTooLarge,
    "media-type": lambda: exceptions.UnsupportedMediaType("text/plain"),
    "throttled": lambda: TooManyRequests(wait=2.1),
    "busy": ServiceUnavailable,
    "unlisted": lambda: exceptions.NotAcceptable("Not in this form."),
    "odd-status": OddStatus,
    "operational": lambda: OperationalError("secret@host is unavailable"),
    "interface": lambda: InterfaceError("secret@host is unavailable"),
    "bare-database": lambda: DatabaseLayerError("40001", "[40001] secret@host is busy (1205) (SQLExecDirectW)"),
    "integrity": lambda: IntegrityError("UNIQUE constraint failed: a_table.secret"),
    "database": lambda: DatabaseError("secret@host is odd"),
    "defect": lambda: RuntimeError("secret"),
}

PLAIN_FAILURES: dict[str, Callable[[], Exception]] = {
    "http404": FAILURES["http404"],
    "forbidden": lambda: PermissionDenied("a reason that must not show"),
    "suspicious": lambda: SuspiciousOperation("a reason that must not show"),
    "defect": FAILURES["defect"],
}


class EchoView(APIView):
    """Returns the caller and the parsed body."""

    query_parameters = ("limit", "name", "format")

    def get(self, request: Request) -> Response:
        caller = principal(request)
        return Response({"user_id": caller.user_id, "query": request.query_params.dict()})

    def post(self, request: Request) -> Response:
        return Response(request.data)


class StaffView(EchoView):
    permission_classes = (IsStaff,)


class FailingView(APIView):
    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request, name: str) -> Response:
        raise FAILURES[name]()


class CachedView(APIView):
    def get(self, request: Request) -> Response:
        return Response({}, headers={"Cache-Control": "max-age=60"})


def failing_page(request: HttpRequest, name: str) -> HttpResponse:
    raise PLAIN_FAILURES[name]()


CHECKS: dict[str, Any] = {"first": lambda: None, "second": lambda: None}


def _check(name: str) -> Callable[[], None]:
    return lambda: CHECKS[name]()


def not_ready() -> None:
    raise NotReady("does not respond")


urlpatterns = [
    path("echo", EchoView.as_view()),
    path("staff", StaffView.as_view()),
    path("cached", CachedView.as_view()),
    path("failing/<name>", FailingView.as_view()),
    path("plain/<name>", failing_page),
    *health_urls(service="example", checks={name: _check(name) for name in CHECKS}),
]

handler400 = "servicekit.http.errors.bad_request"
handler403 = "servicekit.http.errors.permission_denied"
handler404 = "servicekit.http.errors.not_found"
handler500 = "servicekit.http.errors.server_error"
