"""The components of the OpenAPI document that the services refer to and do not bring: they stand in it once."""

from collections.abc import Mapping
from typing import Any

from servicekit.problems import (
    BAD_GATEWAY,
    BAD_REQUEST,
    GATEWAY_TIMEOUT,
    PROBLEMS,
    SERVICE_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Problem,
)

Schema = dict[str, Any]

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
        "example": '"1"',
    },
    "Location": {
        "description": "The path of what was made.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": 'The next page, as `<path>; rel="next"` (RFC 8288); absent on the last one.',
        "schema": {"type": "string", "pattern": '^</api/.+>; rel="next"$'},
    },
    "Cache-Control": {
        "description": "Tokens are not to be stored by caches.",
        "required": True,
        "schema": {"const": "no-store"},
    },
    "WWW-Authenticate": {
        "description": "RFC 6750: the scheme, and `invalid_token` where a token was sent.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Policy": {
        "description": "The gateway's limit for one address: `q` calls in `w` seconds.",
        "required": True,
        "schema": {"type": "string"},
        "example": '"auth";q=10;w=1',
    },
    "RateLimit": {
        "description": "`r` calls are left, and more in `t` seconds; sent with the gateway's own 429.",
        "schema": {"type": "string"},
        "example": '"auth";r=0;t=1',
    },
}
# The headers of a problem, beyond the request id that every answer has.
PROBLEM_HEADERS: Mapping[Problem, tuple[str, ...]] = {
    UNAUTHORIZED: ("WWW-Authenticate",),
    TOO_MANY_REQUESTS: ("Retry-After", "RateLimit-Policy", "RateLimit"),
    BAD_GATEWAY: ("Retry-After",),
    SERVICE_UNAVAILABLE: ("Retry-After",),
    GATEWAY_TIMEOUT: ("Retry-After",),
}


def common_components() -> Schema:
    """The schema of a problem, the headers, and each problem as an answer."""
    return {
        "schemas": {
            "Problem": {
                "type": "object",
                "description": "What went wrong (RFC 9457). Programs go by `type`, people read `detail`.",
                "properties": {
                    "type": {
                        "type": "string",
                        "format": "uri-reference",
                        "description": "What kind of error: a path of this API, which leads to the page about it.",
                    },
                    "title": {"type": "string", "description": "The kind in words; always the same for one type."},
                    "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "As in the answer."},
                    "detail": {"type": "string", "description": "What it was this time."},
                    "instance": {"type": "string", "format": "uri-reference", "description": "The path asked for."},
                    "request_id": {"type": "string", "description": "As in X-Request-ID."},
                    "errors": {
                        "type": "object",
                        "description": "On some 400: what is wrong with which field; `body` is the whole.",
                        "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                    },
                },
                "required": ["type", "title", "status", "detail", "instance", "request_id"],
            }
        },
        "headers": {name: dict(header) for name, header in HEADERS.items()},
        "responses": {response_name(problem): _problem_response(problem) for problem in PROBLEMS.values()},
    }


def response_name(problem: Problem) -> str:
    """The name of the problem's answer among the components."""
    return problem.title.replace(" ", "")


def _problem_response(problem: Problem) -> Schema:
    headers = ("X-Request-ID", *PROBLEM_HEADERS.get(problem, ()))
    example: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": "/api/tasks/1",
        "request_id": "6f1ed002ab5595859014ebf0951522d9",
    }
    if problem is BAD_REQUEST:
        example |= {"detail": "Some fields are not valid.", "errors": {"title": ["Must not be empty."]}}
    return {
        "description": problem.meaning,
        "headers": {name: reference("headers", name) for name in headers},
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        },
    }


def reference(kind: str, name: str) -> Schema:
    """A $ref to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}
