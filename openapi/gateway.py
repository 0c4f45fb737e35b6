"""Describe the API as a whole, and the paths at which the gateway itself responds."""

from collections.abc import Mapping
from typing import Any

from servicekit.http.problems import INTERNAL_SERVER_ERROR, SERVICE_UNAVAILABLE
from servicekit.openapi.components import (
    REFUSED,
    common_components,
    headers,
    problem_response,
    problem_responses,
    reference,
)

DESCRIPTION = """\
Keep tasks with a title and a duration. `POST /api/auth/register` creates an account, `POST /api/auth/token` logs in;
the `access` token of its response goes into every other request as `Authorization: Bearer …`.

- JSON in and out, in UTF-8. Times are in UTC, with microseconds.
- Bodies are strict: an unknown member, a repeated one or a wrong type is a 400 that names it, and changes nothing.
- The paths of auth, tasks, jobs and webhooks work with or without a trailing slash, and `OPTIONS` lists their methods
  without a token. `HEAD` is `GET` without the body, everywhere.
- Every error is a problem document (RFC 9457) whose `type` leads to [its page](/problems).
- Every response has an `X-Request-ID`, under which it is logged.
- Requests that match no operation get an error of the same form:
  [404](/problems/not-found) for an unknown path,
  [405](/problems/method-not-allowed) with `Allow` for another method,
  [429](/problems/too-many-requests) with `Retry-After` for too many requests at once from one IP address,
  [501](/problems/not-implemented) for an unusual transfer encoding,
  [505](/problems/http-version-not-supported) for an unsupported version of HTTP.
"""

SERVICES = ("auth", "tasks", "scheduler")
READY_CHECKS = {"database": "ok", "redis": "ok"}
READY = {
    "auth": {"status": "ok", "checks": READY_CHECKS},
    "tasks": {"status": "ok", "checks": READY_CHECKS},
    "scheduler": {
        "status": "ok",
        "checks": {**READY_CHECKS, "beat": "ok", "relay": "ok", "webhooks": "ok"},
        "measures": {
            "queued_runs": 0,
            "oldest_queued_run_seconds": None,
            "relay_lag_seconds": 0.2,
            "oldest_unread_event_seconds": None,
            "due_webhooks": 0,
            "oldest_due_delivery_seconds": None,
        },
    },
}


def base_document() -> dict[str, Any]:
    """Return the part of the document before the services'."""
    return {
        "openapi": "3.1.1",
        "info": {"title": "Task API", "version": "0.1.0", "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "components": common_components(),
    }


def health_document() -> dict[str, Any]:
    """Return the part with the probes, which comes last."""
    return {
        "tags": [{"name": "health", "description": "Probes for load balancers and monitoring."}],
        "paths": {
            "/healthz": {
                "get": _probe(
                    operation_id="getHealth",
                    summary="Check that the gateway runs",
                    description="Does not query the services.",
                    response="The gateway runs.",
                    schema={"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]},
                    example={"status": "ok"},
                    problems=problem_responses(REFUSED, instance="/healthz"),
                ),
            },
            "/readyz": {
                "get": _probe(
                    operation_id="getReadiness",
                    summary="Check that every service is ready",
                    description="Queries the state of each service. A 503 names what fails.",
                    response="Every service is ready, perhaps degraded.",
                    schema=reference("schemas", "Readiness"),
                    example={"status": "ok", "services": READY},
                    problems=problem_responses([*REFUSED, INTERNAL_SERVER_ERROR], instance="/readyz")
                    | {
                        "503": problem_response(
                            SERVICE_UNAVAILABLE,
                            instance="/readyz",
                            detail="tasks: database does not respond.",
                            schema="Unreadiness",
                            services={
                                **READY,
                                "tasks": {
                                    "status": "unavailable",
                                    "detail": "tasks: database does not respond.",
                                    "checks": {**READY_CHECKS, "database": "does not respond"},
                                },
                            },
                        )
                    },
                ),
            },
        },
        "components": {
            "schemas": {
                "Checks": {
                    "type": "object",
                    "description": "What the service depends on: `ok`, or what is wrong with it.",
                    "additionalProperties": {"type": "string"},
                },
                "ServiceState": {
                    "type": "object",
                    "description": "The state of one service; without `checks` if it cannot be reached.",
                    "properties": {
                        "status": {
                            "type": "string",
                            "enum": ["ok", "degraded", "unavailable"],
                            "description": "`degraded` if something useful is missing but the service works.",
                        },
                        "detail": {"type": "string", "description": "Why it is unavailable, in words."},
                        "checks": reference("schemas", "Checks"),
                        "measures": {
                            "type": "object",
                            "description": "How much work waits, and for how long; null if none does.",
                            "additionalProperties": {"type": ["number", "null"], "minimum": 0},
                        },
                    },
                    "required": ["status"],
                },
                "ServiceStates": {
                    "type": "object",
                    "properties": {name: reference("schemas", "ServiceState") for name in SERVICES},
                    "required": list(SERVICES),
                },
                "Readiness": {
                    "type": "object",
                    "description": "The overall state, and that of each service.",
                    "properties": {
                        "status": {"type": "string", "enum": ["ok", "degraded"]},
                        "services": reference("schemas", "ServiceStates"),
                    },
                    "required": ["status", "services"],
                },
                "Unreadiness": {
                    "description": "What is not ready, and the state of each service.",
                    "allOf": [
                        reference("schemas", "Problem"),
                        {
                            "type": "object",
                            "properties": {"services": reference("schemas", "ServiceStates")},
                            "required": ["services"],
                        },
                    ],
                },
            },
        },
    }


def _probe(
    *,
    operation_id: str,
    summary: str,
    description: str,
    response: str,
    schema: Any,
    example: Any,
    problems: Mapping[str, Any],
) -> dict[str, Any]:
    success = {
        "description": response,
        "headers": headers("X-Request-ID", "Cache-Control.none"),
        "content": {"application/json": {"schema": schema, "example": example}},
    }
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "tags": ["health"],
        "security": [],
        "responses": {"200": success, **problems},
    }
