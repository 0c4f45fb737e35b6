"""Describe a service's views as OpenAPI 3.1 with drf-spectacular. Nothing here is imported to serve a request.

Each service has a module ``openapi`` beside its views that adds what they do not declare. What the services have in
common (headers, and responses that are problems) is in ``servicekit.openapi.components``; the services only refer to
it, so it appears once in the merged document.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from drf_spectacular import openapi as spectacular
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.views import APIView

from servicekit.http.errors import field_errors
from servicekit.http.pagination import MAXIMUM_LIMIT, Page
from servicekit.http.problems import (
    BAD_GATEWAY,
    FORBIDDEN,
    GATEWAY_TIMEOUT,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    SERVICE_UNAVAILABLE,
    UNAUTHORIZED,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)
from servicekit.http.serializers import StrictSerializer
from servicekit.openapi.components import REFUSED, Schema, headers, problem_responses, reference
from servicekit.tokens.permissions import IsStaff

_OURS = "x-servicekit"

# Trimmed text must have at least one other character, and no text may contain NUL.
TRIMMED_PATTERN = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
UNTRIMMED_PATTERN = r"^[^\u0000]+$"

# What any call can return: the gateway's refusals, and failures of the API.
ALWAYS = (*REFUSED, INTERNAL_SERVER_ERROR, BAD_GATEWAY, SERVICE_UNAVAILABLE, GATEWAY_TIMEOUT)


def examples(**values: Any) -> list[OpenApiExample]:
    """Return named examples. The reference's form is prefilled with the first, so that must not change the call."""
    return [OpenApiExample(name.replace("_", " "), value=value) for name, value in values.items()]


BEFORE = OpenApiParameter(
    "before",
    reference("schemas", "Cursor"),
    # In the year 2100, so that every row comes after it.
    examples=examples(the_newest="NDEwMjQ0NDgwMDAwMDAwMC4x"),
    description="The cursor in an earlier page's `Link` header. It is opaque: follow the link as it is.",
)
# Optional, and the only preconditions that the API supports.
IF_MATCH = OpenApiParameter(
    "If-Match",
    reference("schemas", "StrongTags"),
    OpenApiParameter.HEADER,
    examples=examples(any_version="*", one_version='"482619037155620"'),
    description="Proceed only if the `ETag` is one of these (at most 10, or `*`); otherwise 412. Empty means absent.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    reference("schemas", "Tags"),
    OpenApiParameter.HEADER,
    examples=examples(one_version='"482619037155620"', any_version="*"),
    description="Proceed only if the `ETag` is none of these (at most 10, or `*`); otherwise a read is a 304 without a "
    "body, and a change is a 412. Empty means absent.",
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    reference("schemas", "IdempotencyKey"),
    OpenApiParameter.HEADER,
    examples=examples(a_uuid="8e03978e-40d5-43dd-bc93-6894a57f9324"),
    description="A name of your choice for this creation, such as a UUID: 1 to 255 printable ASCII characters. Sent "
    "again with the same body within 24 hours, it creates nothing new and returns the first response. Empty means "
    "absent.",
)


def limit(default: int) -> OpenApiParameter:
    """Return the query parameter ``limit`` of a list that returns ``default`` rows without it."""
    schema = {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": default}
    return OpenApiParameter(
        "limit", schema, description="The maximum number of items to return.", examples=examples(the_default=default)
    )


def identifier(name: str, description: str) -> OpenApiParameter:
    """Return a path parameter that is a bigint."""
    return OpenApiParameter(
        name, reference("schemas", "Id"), OpenApiParameter.PATH, description=description, examples=examples(the_first=1)
    )


@extend_schema_field(reference("schemas", "Id"))
class IdField(serializers.Field[Any, Any, Any, Any]):
    """An id in a response."""


@extend_schema_field(reference("schemas", "Timestamp"))
class TimeField(serializers.Field[Any, Any, Any, Any]):
    """A time in a response."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """A successful response. ``body`` is a serializer or None; ``headers`` and ``cache`` are keys of HEADERS."""

    description: str
    body: Any = None
    example: Any = None
    headers: tuple[str, ...] = ()
    cache: str = "Cache-Control.none"
    links: Mapping[str, Schema] = field(default_factory=dict)


def operation(
    *,
    name: str,
    summary: str,
    description: str,
    responses: Mapping[int, Response],
    request: Any = None,
    example: Any = None,
    parameters: Iterable[OpenApiParameter] = (),
    problems: Iterable[Problem] = (),
    details: Mapping[Problem, str] | None = None,
    methods: list[str] | None = None,
) -> Any:
    """Return a decorator that describes one method of a view.

    ``problems`` are those that cannot be derived from the view, as 401 is derived from its authentication.
    ``details`` maps problems to their details at this path.
    """
    ours = {"responses": responses, "example": example, "problems": list(problems), "details": details}
    return extend_schema(
        operation_id=name,
        summary=summary,
        description=description,
        request=request,
        parameters=list(parameters),
        responses={status: response.body for status, response in responses.items()},
        extensions={_OURS: ours},
        methods=methods,
    )


def describe(view: type[APIView], **operations: Any) -> None:
    """Describe the view's methods, given by name."""
    extend_schema_view(**operations)(view)


class AutoSchema(spectacular.AutoSchema):
    """Adds what all operations have in common: problems, the request id, and examples beside their schemas."""

    def get_operation(self, *args: Any) -> Schema | None:
        operation: Schema | None = super().get_operation(*args)
        if operation is None:
            return None
        ours = operation.pop(_OURS, None)
        if ours is None:
            raise SystemExit(f"{type(self.view).__name__} has no description of its {self.method.lower()}")
        responses: Mapping[int, Response] = ours["responses"]
        for status, response in responses.items():
            described = operation["responses"][str(status)]
            described["description"] = response.description
            described["headers"] = headers("X-Request-ID", response.cache, *response.headers)
            for media_type in described.get("content", {}).values():
                media_type["example"] = response.example
            if response.links:
                described["links"] = dict(response.links)
        if "requestBody" in operation:
            for media_type in operation["requestBody"]["content"].values():
                media_type["example"] = ours["example"]
        operation["responses"] |= problem_responses(
            [*ALWAYS, *ours["problems"], *self._problems(operation)],
            instance=self._example_path(operation),
            details=ours["details"],
            errors=self._example_errors(operation),
        )
        # Without it, the document's default would require a token.
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
            yield UNSUPPORTED_MEDIA_TYPE

    def _example_path(self, operation: Schema) -> str:
        """Return the operation's path with each parameter's first example, or with 1 for an id."""
        path: str = self.path.rstrip("/")
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                example = parameter["schema"].get("examples", [1])[0]
                path = path.replace(f"{{{parameter['name']}}}", str(example))
        return path

    def _example_errors(self, operation: Schema) -> dict[str, list[str]] | None:
        """Return the real errors for an empty body, for nulls if nothing is required, or for limit=0."""
        try:
            if "requestBody" in operation:
                form: Any = self.get_request_serializer()
                form(data={}).is_valid(raise_exception=True)
                form(data=dict.fromkeys(form().fields)).is_valid(raise_exception=True)
            elif any(parameter["name"] == "limit" for parameter in operation.get("parameters", ())):
                Page.from_query(QueryDict("limit=0"), default_limit=1)
        except serializers.ValidationError as error:
            return field_errors(error.detail)
        return None

    def get_tags(self) -> list[str]:
        """Return the view's app; servicekit.openapi.document replaces it with the app's tag."""
        return [type(self.view).__module__.partition(".")[0]]

    def _map_serializer_field(self, *args: Any, **kwargs: Any) -> Schema:
        schema: Schema = super()._map_serializer_field(*args, **kwargs)  # type: ignore[no-untyped-call]
        # A marker for later steps of drf-spectacular, which we skip.
        schema.pop("x-spec-enum-id", None)
        return schema

    def _map_serializer(self, serializer: Any, *args: Any, **kwargs: Any) -> Schema:
        schema: Schema = super()._map_serializer(serializer, *args, **kwargs)  # type: ignore[no-untyped-call]
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
            # The docstring is for readers of the code; the operation says what the body is for.
            schema.pop("description", None)
        return schema


class _Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "servicekit.tokens.authentication.BearerAuthentication"
    match_subclasses = True
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `access` token of `POST /api/auth/token`, valid for five minutes.",
        }


class _StrictChar(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "servicekit.http.serializers.StrictCharField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Schema:
        target: serializers.CharField = self.target
        schema: Schema = auto_schema._map_serializer_field(target, direction, bypass_extensions=True)
        if not target.allow_blank:
            schema.setdefault("minLength", 1)
            schema.setdefault("pattern", TRIMMED_PATTERN if target.trim_whitespace else UNTRIMMED_PATTERN)
        return schema
