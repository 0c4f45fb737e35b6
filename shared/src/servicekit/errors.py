"""Every error as ``application/problem+json`` (RFC 9457), whoever raised it.

``PROBLEMS`` is the one list of the problem types that the services answer with; the gateway answers with the same
ones (and a few of its own) where a request does not reach a service.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from rest_framework import exceptions
from rest_framework.response import Response

from servicekit.authentication import CHALLENGE
from servicekit.context import request_id
from servicekit.database import is_away
from servicekit.exceptions import ServiceUnavailable, TooManyRequests
from servicekit.renderers import JSONRenderer

CONTENT_TYPE = "application/problem+json"

logger = logging.getLogger("servicekit.errors")


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error: ``type`` is its URI, ``detail`` what is said of it when there is nothing more precise."""

    status: int
    slug: str
    detail: str

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"

    @property
    def title(self) -> str:
        """Not from http.HTTPStatus, whose words differ between versions of Python."""
        return self.slug.replace("-", " ").title()


BAD_REQUEST = Problem(400, "bad-request", "The request is malformed.")
UNAUTHORIZED = Problem(401, "unauthorized", "An access token is required: Authorization: Bearer <access token>.")
FORBIDDEN = Problem(403, "forbidden", "You may not do this.")
NOT_FOUND = Problem(404, "not-found", "There is nothing here, or it is not yours.")
METHOD_NOT_ALLOWED = Problem(405, "method-not-allowed", "This method is not allowed here; see the Allow header.")
PRECONDITION_FAILED = Problem(412, "precondition-failed", "It has changed since you read it; read it again.")
PAYLOAD_TOO_LARGE = Problem(413, "payload-too-large", "The body is larger than 64 KiB.")
UNSUPPORTED_MEDIA_TYPE = Problem(415, "unsupported-media-type", "Send application/json, in UTF-8.")
TOO_MANY_REQUESTS = Problem(429, "too-many-requests", "Too many attempts; the Retry-After header says when to go on.")
INTERNAL_SERVER_ERROR = Problem(500, "internal-server-error", "Something went wrong here; the request id is logged.")
SERVICE_UNAVAILABLE = Problem(503, "service-unavailable", "A part of the system is away. Try again soon.")

PROBLEMS: Mapping[int, Problem] = {
    problem.status: problem
    for problem in (
        BAD_REQUEST,
        UNAUTHORIZED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        PRECONDITION_FAILED,
        PAYLOAD_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        TOO_MANY_REQUESTS,
        INTERNAL_SERVER_ERROR,
        SERVICE_UNAVAILABLE,
    )
}

RETRY_AFTER_SECONDS = 2


def problem_body(
    problem: Problem, *, path: str, detail: str | None = None, errors: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    """The members of a problem document, in their fixed order. ``errors`` goes from field to messages."""
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail or problem.detail,
        "instance": escape_uri_path(path),
        "request_id": request_id(),
    }
    if errors:
        body["errors"] = errors
    return body


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's EXCEPTION_HANDLER: an answer for what a view may raise, None for a defect of ours."""
    request = context["request"]
    path = request.path
    if is_away(exc):
        logger.error("database unavailable", exc_info=exc)
        return _respond(problem_body(SERVICE_UNAVAILABLE, path=path), {"Retry-After": str(RETRY_AFTER_SECONDS)})
    if isinstance(exc, Http404):
        # Always the same words: which of "missing" and "not yours" it is must not show.
        return _respond(problem_body(NOT_FOUND, path=path))
    if not isinstance(exc, exceptions.APIException):
        return None

    problem = PROBLEMS[exc.status_code]
    headers: dict[str, str] = {}
    if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        # RFC 6750, section 3.1: no error code where no token was sent.
        invalid = ', error="invalid_token"' if "HTTP_AUTHORIZATION" in request.META else ""
        headers["WWW-Authenticate"] = CHALLENGE + invalid
    if isinstance(exc, TooManyRequests):
        headers["Retry-After"] = str(exc.wait)
    if isinstance(exc, ServiceUnavailable):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(exc, exceptions.ValidationError):
        body = problem_body(problem, path=path, detail="Some fields are not valid.", errors=_field_errors(exc.detail))
    elif isinstance(exc, exceptions.ParseError | exceptions.AuthenticationFailed):
        body = problem_body(problem, path=path, detail=str(exc.detail))
    else:
        body = problem_body(problem, path=path)
    return _respond(body, headers)


def _respond(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _field_errors(detail: Any) -> dict[str, list[str]]:
    """A serializer's errors as {field: [messages]}; what belongs to no field is under "body"."""
    if isinstance(detail, list):
        return {"body": [str(message) for message in detail]}
    return {
        "body" if field == "non_field_errors" else field: [str(message) for message in messages]
        for field, messages in cast(dict[str, list[Any]], detail).items()
    }


def _problem_page(problem: Problem, request: HttpRequest) -> HttpResponse:
    body = JSONRenderer().render(problem_body(problem, path=request.path))
    return HttpResponse(body, status=problem.status, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: what Django itself refuses, such as a query of more than 1,000 parameters."""
    return _problem_page(BAD_REQUEST, request)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return _problem_page(FORBIDDEN, request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: no route."""
    return _problem_page(NOT_FOUND, request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: a defect of ours, already logged with its traceback."""
    return _problem_page(INTERNAL_SERVER_ERROR, request)
