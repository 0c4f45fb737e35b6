"""Render every error as ``application/problem+json`` (RFC 9457); the types are in servicekit.http.problems."""

from collections.abc import Mapping
from typing import Any, cast

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from rest_framework import exceptions

from servicekit.database.outages import is_unavailable
from servicekit.http.exceptions import Conflict, ServiceUnavailable, TooManyRequests, UnsupportedContentEncoding
from servicekit.http.outages import outages
from servicekit.http.problems import (
    BAD_REQUEST,
    CONTENT_TYPE,
    FORBIDDEN,
    INTERNAL_SERVER_ERROR,
    INVALID_FIELDS,
    NOT_FOUND,
    PROBLEMS,
    SERVICE_UNAVAILABLE,
    Problem,
    Unlisted,
)
from servicekit.http.responses import Response
from servicekit.process.context import request_id
from servicekit.tokens.authentication import CHALLENGE

RETRY_AFTER_SECONDS = 2


def problem_body(
    problem: Problem | Unlisted, *, path: str, detail: str | None = None, errors: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    """Return the members of a problem document in their fixed order. ``errors`` maps fields to messages."""
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
    """Return the response to a view's exception, or None for a bug of ours; this is DRF's EXCEPTION_HANDLER."""
    request = context["request"]
    path = request.path
    if is_unavailable(exc):
        outages.refused(request.method, exc)
        # Django keeps a connection that still works, but one to a SQLite file that was read-only stays read-only.
        if not connection.in_atomic_block:
            connection.close()
        return _respond(problem_body(SERVICE_UNAVAILABLE, path=path), {"Retry-After": str(RETRY_AFTER_SECONDS)})
    if isinstance(exc, Http404):
        # Always the same text, so as not to reveal whether the resource is missing or another user's.
        return _respond(problem_body(NOT_FOUND, path=path))
    if not isinstance(exc, exceptions.APIException):
        return None

    problem = PROBLEMS.get(exc.status_code) or Unlisted(exc.status_code, detail=str(exc.detail))
    headers: dict[str, str] = {}
    if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        # RFC 6750, section 3.1: no error code if no token was sent.
        invalid = ', error="invalid_token"' if "HTTP_AUTHORIZATION" in request.META else ""
        headers["WWW-Authenticate"] = CHALLENGE + invalid
    if isinstance(exc, UnsupportedContentEncoding):
        # RFC 9110, section 12.5.3: without this header, a 415 refers to the Content-Type.
        headers["Accept-Encoding"] = "identity"
    if isinstance(exc, TooManyRequests):
        headers["Retry-After"] = str(exc.wait)
    if isinstance(exc, ServiceUnavailable):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(exc, exceptions.ValidationError):
        body = problem_body(problem, path=path, detail=INVALID_FIELDS, errors=field_errors(exc.detail))
    elif isinstance(
        exc, exceptions.ParseError | exceptions.AuthenticationFailed | Conflict | UnsupportedContentEncoding
    ):
        body = problem_body(problem, path=path, detail=str(exc.detail))
    else:
        body = problem_body(problem, path=path)
    return _respond(body, headers)


def _respond(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def field_errors(detail: Any) -> dict[str, list[str]]:
    """Return a serializer's errors as {field: [messages]}; errors of no particular field are under "body"."""
    if isinstance(detail, list):
        return {"body": [str(message) for message in detail]}
    return {
        "body" if field == "non_field_errors" else field: [str(message) for message in messages]
        for field, messages in cast(dict[str, list[Any]], detail).items()
    }


def _problem_page(problem: Problem, request: HttpRequest) -> HttpResponse:
    return _respond(problem_body(problem, path=request.path))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Render a request that Django itself rejects, such as one with over 1,000 query parameters: handler400."""
    return _problem_page(BAD_REQUEST, request)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Render a denied request: handler403."""
    return _problem_page(FORBIDDEN, request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Render a path without a route: handler404."""
    return _problem_page(NOT_FOUND, request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Render an unexpected error, which is already logged with its traceback: handler500."""
    return _problem_page(INTERNAL_SERVER_ERROR, request)
