"""The components that the services share: their documents refer to them, and the merged document contains them once."""

from collections.abc import Iterable, Mapping
from typing import Any

from servicekit.http.problems import (
    BAD_GATEWAY,
    BAD_REQUEST,
    CONTENT_TYPE,
    GATEWAY_TIMEOUT,
    INVALID_FIELDS,
    PAYLOAD_TOO_LARGE,
    REQUEST_HEADER_FIELDS_TOO_LARGE,
    SERVICE_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    URI_TOO_LONG,
    Problem,
)

Schema = dict[str, Any]

# The gateway's refusals at any path: of requests that are not valid HTTP or are too large.
REFUSED = (BAD_REQUEST, PAYLOAD_TOO_LARGE, URI_TOO_LONG, REQUEST_HEADER_FIELDS_TOO_LARGE)

REQUEST_ID_EXAMPLE = "6f1ed002ab5595859014ebf0951522d9"

# By header name; a suffix after a dot distinguishes two forms of one header.
HEADERS: Mapping[str, Schema] = {
    "X-Request-ID": {
        "description": "The id under which the services and the gateway log this request.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    "ETag": {
        "description": "The version, for If-Match and If-None-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[1-9][0-9]*"$'},
        "example": '"482619037155620"',
    },
    "Location": {
        "description": "The path of the created resource.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": 'The next page, as `<URL>; rel="next"` (RFC 8288); absent on the last one.',
        "schema": {"type": "string", "pattern": '^<(https?://[^/>]+)?/api/.+>; rel="next"$'},
    },
    "Idempotency-Replayed": {
        "description": "`true` if an earlier request with this key created it; otherwise absent.",
        "schema": {"const": "true"},
    },
    "Cache-Control.none": {
        "description": "No cache may store the response.",
        "required": True,
        "schema": {"const": "no-store"},
    },
    "Cache-Control.own": {
        "description": "Only the client may cache the response, and must revalidate it each time.",
        "required": True,
        "schema": {"const": "private, no-cache"},
    },
    "WWW-Authenticate": {
        "description": "RFC 6750: the scheme, and `invalid_token` if a token was sent.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "examples": [2]},
    },
    "RateLimit-Policy": {
        "description": "The gateway's limit for one IP address: `q` requests in `w` seconds.",
        "required": True,
        "schema": {"type": "string"},
        "example": '"auth";q=10;w=1',
    },
    "RateLimit": {
        "description": "`r` requests are left, and more in `t` seconds; sent with the gateway's own 429.",
        "schema": {"type": "string"},
        "example": '"auth";r=0;t=1',
    },
}
# The headers of a problem, beyond the request id that every response has.
PROBLEM_HEADERS: Mapping[Problem, tuple[str, ...]] = {
    UNAUTHORIZED: ("WWW-Authenticate",),
    TOO_MANY_REQUESTS: ("Retry-After", "RateLimit-Policy", "RateLimit"),
    BAD_GATEWAY: ("Retry-After",),
    SERVICE_UNAVAILABLE: ("Retry-After",),
    GATEWAY_TIMEOUT: ("Retry-After",),
}

TAG = '"[1-9][0-9]{0,14}"'
SCHEMAS: Mapping[str, Schema] = {
    "Id": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**63 - 1},
    # As servicekit.http.times writes them.
    "Timestamp": {
        "type": "string",
        "format": "date-time",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        "examples": ["2026-01-31T09:30:00.000000Z"],
    },
    "Cursor": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 64},
    # As servicekit.http.idempotency reads it: bare, or a quoted string of RFC 9651. nginx forwards no empty header.
    "IdempotencyKey": {
        "type": "string",
        "maxLength": 512,
        "pattern": r'^([!#-~][!-~]{0,254}|"([ !#-\[\]-~]|\\["\\]){1,255}")?$',
    },
    "StrongTags": {
        "type": "string",
        "pattern": rf"^(\*|{TAG}(, *{TAG}){{0,9}})?$",
        "examples": ['"482619037155620"', "*"],
    },
    "Tags": {
        "type": "string",
        "pattern": rf"^(\*|(W/)?{TAG}(, *(W/)?{TAG}){{0,9}})?$",
        "examples": ['"482619037155620"', 'W/"482619037155620"', "*"],
    },
    "Problem": {
        "type": "object",
        "description": "What went wrong (RFC 9457). Programs should use `type`; `detail` is for people.",
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "The kind of error: a path of this API, which leads to a page about it.",
            },
            "title": {"type": "string", "description": "The kind in words; always the same for one type."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "As in the response."},
            "detail": {"type": "string", "description": "What went wrong this time."},
            "instance": {"type": "string", "description": "The requested path; `/` if it was not read."},
            "request_id": {"type": "string", "description": "As in X-Request-ID."},
            "errors": {
                "type": "object",
                "description": "On some 400: the messages for each field; `body` is the body as a whole.",
                "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            },
        },
        "required": ["type", "title", "status", "detail", "instance", "request_id"],
    },
}


def common_components() -> Schema:
    """Return the schemas, the headers, and the one problem that is the same at every path, since no path was read."""
    return {
        "schemas": dict(SCHEMAS),
        "headers": dict(HEADERS),
        "responses": {response_name(URI_TOO_LONG): problem_response(URI_TOO_LONG, instance="/")},
    }


def response_name(problem: Problem) -> str:
    """Return the name of the problem's response among the components."""
    return problem.title.replace(" ", "")


def problem_responses(
    problems: Iterable[Problem],
    *,
    instance: str,
    details: Mapping[Problem, str] | None = None,
    errors: Mapping[str, list[str]] | None = None,
) -> Schema:
    """Return the problems as an operation's responses, by status.

    ``details`` replaces the usual details; ``errors`` maps the fields of a 400 to messages.
    """
    details = details or {}
    return {
        str(problem.status): reference("responses", response_name(problem))
        if problem is URI_TOO_LONG
        else problem_response(
            problem, instance=instance, detail=details.get(problem), errors=errors if problem.status == 400 else None
        )
        for problem in sorted(set(problems), key=lambda problem: problem.status)
    }


def problem_response(
    problem: Problem,
    *,
    instance: str,
    detail: str | None = None,
    errors: Mapping[str, list[str]] | None = None,
    schema: str = "Problem",
    **members: Any,
) -> Schema:
    """Return the problem as a response, with an example at ``instance``; ``members`` are those that ``schema`` adds."""
    example = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail or (INVALID_FIELDS if errors else problem.detail),
        "instance": instance,
        "request_id": REQUEST_ID_EXAMPLE,
        **({"errors": dict(errors)} if errors else {}),
        **members,
    }
    return {
        "description": problem.meaning,
        "headers": headers("X-Request-ID", *PROBLEM_HEADERS.get(problem, ())),
        "content": {CONTENT_TYPE: {"schema": reference("schemas", schema), "example": example}},
    }


def headers(*names: str) -> Schema:
    """Return references to these HEADERS, for a response."""
    return {name.partition(".")[0]: reference("headers", name) for name in names}


def reference(kind: str, name: str) -> Schema:
    """Return a $ref to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}
