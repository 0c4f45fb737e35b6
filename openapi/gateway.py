"""What the OpenAPI document says of the whole, and of the addresses at which the gateway itself answers."""

from typing import Any

from servicekit.openapi_components import common_components

DESCRIPTION = """\
Keep tasks with a title and a duration. `POST /api/auth/register` makes an account, `POST /api/auth/token` logs in; the
`access` token of its answer goes into every other call as `Authorization: Bearer …`.

- JSON in and out, in UTF-8. Addresses work with or without a slash at the end. Times are in UTC, with microseconds.
- Bodies are strict: an unknown member, a repeated one or a wrong type is a 400 that names it, and changes nothing.
- Every error is a problem document (RFC 9457) whose `type` leads to [its page](/problems).
- Every answer has an `X-Request-ID`, under which it is logged.
- Before any operation is chosen, the gateway refuses what no address takes: 404 for an unknown one, 405, 414, 431, 501
  and 505, in the same form.
"""

REQUEST_ID = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}


def base_document() -> dict[str, Any]:
    """What comes before the services."""
    return {
        "openapi": "3.1.1",
        "info": {"title": "Task API", "version": "0.1.0", "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "components": common_components(),
    }


def health_document() -> dict[str, Any]:
    """The probes, which come last."""
    return {
        "tags": [{"name": "health", "description": "For load balancers, and for people who wonder."}],
        "paths": {
            "/healthz": {
                "get": _probe(
                    operation_id="getHealth",
                    summary="Is the gateway alive?",
                    description="Asks nobody else.",
                    answer="It is.",
                    schema={"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]},
                    example={"status": "ok"},
                    problems=["BadRequest"],
                ),
            },
            "/readyz": {
                "get": _probe(
                    operation_id="getReadiness",
                    summary="Can everything work?",
                    description="Asks each service in turn; each asks what it needs. 503 names what fails.",
                    answer="Everything can. The answer is that of the last service asked.",
                    schema={"$ref": "#/components/schemas/Readiness"},
                    example={
                        "status": "ok",
                        "service": "scheduler",
                        "checks": {"database": "ok", "redis": "ok", "beat": "ok"},
                    },
                    problems=["BadRequest", "InternalServerError", "ServiceUnavailable"],
                ),
            },
        },
        "components": {
            "schemas": {
                "Readiness": {
                    "type": "object",
                    "description": "A service, and how what it needs is.",
                    "properties": {
                        "status": {"type": "string", "enum": ["ok", "degraded"]},
                        "service": {"type": "string"},
                        "checks": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                    "required": ["status", "service", "checks"],
                },
            },
        },
    }


def _probe(
    *, operation_id: str, summary: str, description: str, answer: str, schema: Any, example: Any, problems: list[str]
) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "tags": ["health"],
        "security": [],
        "responses": {"200": {"description": answer, "headers": REQUEST_ID, "content": content}}
        | {_status(name): {"$ref": f"#/components/responses/{name}"} for name in problems},
    }


def _status(name: str) -> str:
    example = common_components()["responses"][name]["content"]["application/problem+json"]["example"]
    return str(example["status"])
