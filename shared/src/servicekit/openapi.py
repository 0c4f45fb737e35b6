"""Describes a service's views as OpenAPI 3.1, by drf-spectacular. Nothing here is imported to serve a request.

Each service has a module ``openapi`` beside its views that says what these do not. What the services have in common
(the answers that are problems, the headers) is in ``servicekit.openapi_components`` and only referred to: it stands
once in the merged document.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drf_spectacular import openapi as spectacular
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.views import APIView

from servicekit.authentication import IsStaff
from servicekit.openapi_components import Schema, reference, response_name
from servicekit.pagination import MAXIMUM_LIMIT
from servicekit.problems import (
    BAD_GATEWAY,
    BAD_REQUEST,
    FORBIDDEN,
    GATEWAY_TIMEOUT,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    PAYLOAD_TOO_LARGE,
    SERVICE_UNAVAILABLE,
    UNAUTHORIZED,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)
from servicekit.serializers import StrictSerializer

_OURS = "x-servicekit"

BIGINT: Schema = {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**63 - 1}
# As servicekit.times writes them.
TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
    "examples": ["2026-01-31T09:30:00.000000Z"],
}
# A text that is trimmed must hold something else, and no text may hold NUL.
TRIMMED_PATTERN = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
UNTRIMMED_PATTERN = r"^[^\u0000]+$"

# What any call can answer: the first where the request is not even HTTP, the others where something of ours is wrong.
ALWAYS = (BAD_REQUEST, INTERNAL_SERVER_ERROR, BAD_GATEWAY, SERVICE_UNAVAILABLE, GATEWAY_TIMEOUT)

BEFORE = OpenApiParameter(
    "before",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 64},
    description="The cursor in an earlier page's `Link` header. It is opaque: follow the link as it is.",
)
# Optional, and the only kind of precondition that the API knows.
IF_MATCH = OpenApiParameter(
    "If-Match",
    {
        "type": "string",
        "pattern": r'^(\*|"[1-9][0-9]{0,8}"(, *"[1-9][0-9]{0,8}"){0,9})?$',
        "examples": ['"1"', '"1", "2"', "*"],
    },
    OpenApiParameter.HEADER,
    description="Do this only while the `ETag` is one of these (at most 10, or `*`); otherwise 412. Empty is none.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    {
        "type": "string",
        "pattern": r'^(\*|(W/)?"[1-9][0-9]{0,8}"(, *(W/)?"[1-9][0-9]{0,8}"){0,9})?$',
        "examples": ['"1"', 'W/"1", "2"', "*"],
    },
    OpenApiParameter.HEADER,
    description="Answer 304 without a body while the `ETag` is still one of these (at most 10, or `*`). Empty is none.",
)


def limit(default: int) -> OpenApiParameter:
    """The query parameter ``limit`` of a list that shows ``default`` rows without it."""
    schema = {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": default}
    return OpenApiParameter("limit", schema, description="How many at most.")


def identifier(name: str, description: str) -> OpenApiParameter:
    """A path parameter that is a bigint."""
    return OpenApiParameter(name, BIGINT, OpenApiParameter.PATH, description=description)


@extend_schema_field(BIGINT)
class IdField(serializers.Field[Any, Any, Any, Any]):
    """An id in an answer."""


@extend_schema_field(TIME)
class TimeField(serializers.Field[Any, Any, Any, Any]):
    """A time in an answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A success. ``body`` is a serializer or None; the names of ``headers`` are keys of HEADERS."""

    description: str
    body: Any = None
    example: Any = None
    headers: tuple[str, ...] = ()
    links: Mapping[str, Schema] = field(default_factory=dict)


def operation(
    *,
    name: str,
    summary: str,
    description: str,
    answers: Mapping[int, Answer],
    request: Any = None,
    example: Any = None,
    parameters: Iterable[OpenApiParameter] = (),
    problems: Iterable[Problem] = (),
    methods: list[str] | None = None,
) -> Any:
    """A decorator that describes one method of a view.

    ``problems`` are those which do not follow from the view itself: that it takes tokens, a body, an id, is for staff.
    """
    return extend_schema(
        operation_id=name,
        summary=summary,
        description=description,
        request=request,
        parameters=list(parameters),
        responses={status: answer.body for status, answer in answers.items()},
        extensions={_OURS: {"answers": answers, "example": example, "problems": list(problems)}},
        methods=methods,
    )


def describe(view: type[APIView], **operations: Any) -> None:
    """Describes the view's methods by their names."""
    extend_schema_view(**operations)(view)


class AutoSchema(spectacular.AutoSchema):
    """Adds what all operations have: problems, the request id, examples beside the schemas that they are of."""

    def get_operation(self, *args: Any) -> Schema | None:
        operation: Schema | None = super().get_operation(*args)
        if operation is None:
            return None
        ours = operation.pop(_OURS, None)
        if ours is None:
            raise SystemExit(f"{type(self.view).__name__} has no description of its {self.method.lower()}")
        answers: Mapping[int, Answer] = ours["answers"]
        for status, answer in answers.items():
            response = operation["responses"][str(status)]
            response["description"] = answer.description
            response["headers"] = {name: reference("headers", name) for name in ("X-Request-ID", *answer.headers)}
            for media_type in response.get("content", {}).values():
                media_type["example"] = answer.example
            if answer.links:
                response["links"] = dict(answer.links)
        if "requestBody" in operation:
            for media_type in operation["requestBody"]["content"].values():
                media_type["example"] = ours["example"]
        problems = {*ALWAYS, *ours["problems"], *self._problems(operation)}
        operation["responses"] |= {
            str(problem.status): reference("responses", response_name(problem))
            for problem in sorted(problems, key=lambda problem: problem.status)
        }
        # Without it, the document's own default would ask for a token.
        operation.setdefault("security", [])
        return operation

    def _problems(self, operation: Schema) -> Iterable[Problem]:
        if self.view.get_authenticators():
            yield UNAUTHORIZED
        if any(isinstance(permission, IsStaff) for permission in self.view.get_permissions()):
            yield FORBIDDEN
        if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
            yield NOT_FOUND
        if "requestBody" in operation:
            yield PAYLOAD_TOO_LARGE
            yield UNSUPPORTED_MEDIA_TYPE

    def _map_serializer_field(self, *args: Any, **kwargs: Any) -> Schema:
        schema: Schema = super()._map_serializer_field(*args, **kwargs)  # type: ignore[no-untyped-call]
        # A mark for drf-spectacular's own later steps, which are not taken.
        schema.pop("x-spec-enum-id", None)
        return schema

    def _map_serializer(self, serializer: Any, *args: Any, **kwargs: Any) -> Schema:
        schema: Schema = super()._map_serializer(serializer, *args, **kwargs)  # type: ignore[no-untyped-call]
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
            # The docstring is for those who read the code; the operation says what the body is for.
            schema.pop("description", None)
        return schema


class _Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "servicekit.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `access` token of `POST /api/auth/token`; good for five minutes.",
        }


class _StrictChar(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "servicekit.serializers.StrictCharField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Schema:
        target: serializers.CharField = self.target
        schema: Schema = auto_schema._map_serializer_field(target, direction, bypass_extensions=True)
        if not target.allow_blank:
            schema.setdefault("minLength", 1)
            schema.setdefault("pattern", TRIMMED_PATTERN if target.trim_whitespace else UNTRIMMED_PATTERN)
        return schema
