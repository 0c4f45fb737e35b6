"""Descriptions of the views for the OpenAPI document. Imported only to generate it."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from servicekit.http.problems import CONFLICT, UNPROCESSABLE_CONTENT
from servicekit.openapi.components import Schema, reference
from servicekit.openapi.operations import (
    BEFORE,
    IDEMPOTENCY_KEY,
    IdField,
    Response,
    TimeField,
    describe,
    identifier,
    limit,
    operation,
)
from webhooks.models import DEAD, DELIVERED, EXCERPT_BYTES, PENDING, URL_MAXIMUM
from webhooks.payloads import EVENT_TYPES, PING
from webhooks.serializers import EnabledField, EventsField, URLField, WebhookCreateSerializer, WebhookUpdateSerializer
from webhooks.views import (
    DISABLED,
    LIST_LENGTH,
    TOO_MANY,
    DeliveryDetailView,
    DeliveryListView,
    RedeliveryView,
    WebhookDetailView,
    WebhookListView,
    WebhookSecretView,
    WebhookTestView,
)

TAG = {
    "name": "webhooks",
    "description": "Notify your server when one of your tasks is created, renamed or deleted.",
}

SCHEMAS: dict[str, Schema] = {
    "EventType": {"type": "string", "enum": list(EVENT_TYPES)},
    "MessageId": {"type": "string", "pattern": "^[0-9a-f]{32}$", "maxLength": 32},
    "MessageTimestamp": {"type": "string", "pattern": "^[0-9]{10,11}$"},
    "MessageSignature": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)?$"},
    "WebhookURL": {
        "type": "string",
        "format": "uri",
        "maxLength": URL_MAXIMUM,
        "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$",
        "description": "https or http, port 80, 443, or 1024 and higher. The host is a name or a public IP address in "
        "its usual form.",
        "examples": ["https://receiver.example/hooks"],
    },
    "EventTypes": {
        "type": "array",
        "items": reference("schemas", "EventType"),
        "minItems": 1,
        "maxItems": len(EVENT_TYPES),
        "uniqueItems": True,
    },
    "TaskEvent": {
        "type": "object",
        "description": "A change of a task.",
        "properties": {
            "type": reference("schemas", "EventType"),
            "timestamp": reference("schemas", "Timestamp"),
            "data": {
                "allOf": [reference("schemas", "Task")],
                "description": "The task after the change, or before it was deleted.",
            },
        },
        "required": ["type", "timestamp", "data"],
    },
    "Ping": {
        "type": "object",
        "description": "The event sent by `POST /api/webhooks/{webhook_id}/test`.",
        "properties": {
            "type": {"const": PING},
            "timestamp": reference("schemas", "Timestamp"),
            "data": {
                "type": "object",
                "properties": {"webhook_id": reference("schemas", "Id")},
                "required": ["webhook_id"],
            },
        },
        "required": ["type", "timestamp", "data"],
    },
}
extend_schema_field(reference("schemas", "WebhookURL"))(URLField)
extend_schema_field(reference("schemas", "EventTypes"))(EventsField)
extend_schema_field({"type": "boolean"})(EnabledField)
extend_schema_serializer(component_name="NewWebhook")(WebhookCreateSerializer)
extend_schema_serializer(component_name="WebhookChange")(WebhookUpdateSerializer)


@extend_schema_field(reference("schemas", "MessageId"))
class MessageIdField(serializers.Field[Any, Any, Any, Any]):
    """The id of the delivered event or ping."""


class Webhook(serializers.Serializer[Any]):
    """A URL that receives events."""

    id = IdField()
    url = URLField()
    events = EventsField()
    enabled = EnabledField()
    disabled_reason = serializers.CharField(allow_null=True, help_text="The reason in words; null while it is enabled.")
    failing_since = TimeField(allow_null=True, help_text="The time of the first failure since the last success.")
    created_at = TimeField()
    updated_at = TimeField()


class WebhookWithSecret(Webhook):
    """A webhook with the secret that signs its deliveries. The secret is shown only once."""

    secret = serializers.RegexField("^whsec_[A-Za-z0-9+/]{43}=$")


class Delivery(serializers.Serializer[Any]):
    """One event on its way to one webhook, over all its attempts."""

    id = IdField()
    webhook_id = IdField()
    message_id = MessageIdField(help_text="The header `webhook-id` of every attempt.")
    type = serializers.ChoiceField(choices=[*EVENT_TYPES, PING])
    task_id = IdField(allow_null=True, help_text="null for a ping.")
    state = serializers.ChoiceField(choices=[PENDING, DELIVERED, DEAD])
    attempts = serializers.IntegerField(min_value=0)
    created_at = TimeField()
    attempted_at = TimeField(allow_null=True, help_text="When the last attempt started.")
    next_attempt_at = TimeField(allow_null=True, help_text="null unless it is pending.")
    status = serializers.IntegerField(allow_null=True, help_text="The status of the last response, if there was one.")
    latency_ms = serializers.IntegerField(allow_null=True, min_value=0)
    error = serializers.CharField(allow_null=True, help_text="The reason for the failure, in words.")
    response = serializers.CharField(
        allow_null=True, max_length=EXCERPT_BYTES, help_text=f"The first {EXCERPT_BYTES} bytes of the last response."
    )


WEBHOOK = {
    "id": 1,
    "url": "https://receiver.example/hooks",
    "events": ["task.created", "task.deleted"],
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": "2026-01-31T09:30:00.123456Z",
    "updated_at": "2026-01-31T09:30:00.123456Z",
}
WITH_SECRET = {**WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwOGxbBcqKXeo="}
QUEUED = {
    "id": 1,
    "webhook_id": 1,
    "message_id": "9a1d4b0c6a7f4d4f8b8e0d6f3a2c1e5b",
    "type": "task.created",
    "task_id": 1,
    "state": "pending",
    "attempts": 0,
    "created_at": "2026-01-31T09:31:00.104113Z",
    "attempted_at": None,
    "next_attempt_at": "2026-01-31T09:31:00.104113Z",
    "status": None,
    "latency_ms": None,
    "error": None,
    "response": None,
}
DELIVERED_EXAMPLE = {
    **QUEUED,
    "state": "delivered",
    "attempts": 1,
    "attempted_at": "2026-01-31T09:31:00.612954Z",
    "next_attempt_at": None,
    "status": 204,
    "latency_ms": 48,
    "response": "",
}
PING_EXAMPLE = {**QUEUED, "type": PING, "task_id": None}

WEBHOOK_ID = identifier("webhook_id", "The webhook's id.")
DELIVERY_ID = identifier("delivery_id", "The delivery's id.")
PARAMETERS = {"webhook_id": "$response.body#/id"}
DELIVERY_PARAMETERS = {"webhook_id": "$response.body#/webhook_id", "delivery_id": "$response.body#/id"}

describe(
    WebhookListView,
    get=operation(
        name="listWebhooks",
        summary="List webhooks",
        description="Your own webhooks, newest first; at most ten.",
        responses={200: Response(description="The webhooks.", body=Webhook(many=True), example=[WEBHOOK])},
    ),
    post=operation(
        name="createWebhook",
        summary="Create a webhook",
        description="From now on, the URL receives a POST for each of these events of your tasks, signed with the "
        "response's `secret` ([Standard Webhooks](https://www.standardwebhooks.com)). Keep it: it is not shown again.",
        request=WebhookCreateSerializer,
        example={"url": WEBHOOK["url"], "events": WEBHOOK["events"]},
        parameters=[IDEMPOTENCY_KEY],
        responses={
            201: Response(
                description="The new webhook, and its secret.",
                body=WebhookWithSecret,
                example=WITH_SECRET,
                headers=("Location", "Idempotency-Replayed"),
                links={
                    "get": {"operationId": "getWebhook", "parameters": PARAMETERS},
                    "change": {"operationId": "changeWebhook", "parameters": PARAMETERS},
                    "exchange": {"operationId": "exchangeWebhookSecret", "parameters": PARAMETERS},
                    "test": {"operationId": "testWebhook", "parameters": PARAMETERS},
                    "deliveries": {"operationId": "listDeliveries", "parameters": PARAMETERS},
                    "delete": {"operationId": "deleteWebhook", "parameters": PARAMETERS},
                },
            )
        },
        problems=[CONFLICT, UNPROCESSABLE_CONTENT],
        details={CONFLICT: TOO_MANY},
    ),
)
describe(
    WebhookDetailView,
    get=operation(
        name="getWebhook",
        summary="Read a webhook",
        description="One of your own webhooks, without its secret.",
        parameters=[WEBHOOK_ID],
        responses={200: Response(description="The webhook.", body=Webhook, example=WEBHOOK)},
    ),
    patch=operation(
        name="changeWebhook",
        summary="Change a webhook",
        description="Change the URL, the events, or whether it is enabled. Disabling a webhook gives up its pending "
        "deliveries; it receives no events until it is enabled again.",
        request=WebhookUpdateSerializer,
        example={"events": ["task.created"]},
        parameters=[WEBHOOK_ID],
        responses={
            200: Response(
                description="The changed webhook.", body=Webhook, example={**WEBHOOK, "events": ["task.created"]}
            )
        },
    ),
    delete=operation(
        name="deleteWebhook",
        summary="Delete a webhook",
        description="Delete a webhook and its deliveries permanently.",
        parameters=[WEBHOOK_ID],
        responses={204: Response(description="The webhook is deleted.")},
    ),
)
describe(
    WebhookSecretView,
    post=operation(
        name="exchangeWebhookSecret",
        summary="Exchange a webhook's secret",
        description="For 24 hours, both the new and the old secret sign every delivery. A second exchange invalidates "
        "the first secret immediately, which helps if it has leaked.",
        parameters=[WEBHOOK_ID],
        responses={
            200: Response(description="The webhook, and its new secret.", body=WebhookWithSecret, example=WITH_SECRET)
        },
    ),
)
describe(
    WebhookTestView,
    post=operation(
        name="testWebhook",
        summary="Send a ping",
        description="Send a signed POST of the type `webhook.ping` within a second or two.",
        parameters=[WEBHOOK_ID],
        responses={
            202: Response(
                description="The delivery; read it again to see the outcome.",
                body=Delivery,
                example=PING_EXAMPLE,
                headers=("Location",),
                links={"get": {"operationId": "getDelivery", "parameters": DELIVERY_PARAMETERS}},
            )
        },
        problems=[CONFLICT],
        details={CONFLICT: DISABLED},
    ),
)
describe(
    DeliveryListView,
    get=operation(
        name="listDeliveries",
        summary="List a webhook's deliveries",
        description="Newest first. If there are more, the `Link` header leads to the next page.",
        parameters=[WEBHOOK_ID, limit(LIST_LENGTH), BEFORE],
        responses={
            200: Response(
                description="A page of deliveries.",
                body=Delivery(many=True),
                example=[DELIVERED_EXAMPLE],
                headers=("Link",),
            )
        },
    ),
)
describe(
    DeliveryDetailView,
    get=operation(
        name="getDelivery",
        summary="Read a delivery",
        description="One event on its way to one webhook.",
        parameters=[WEBHOOK_ID, DELIVERY_ID],
        responses={200: Response(description="The delivery.", body=Delivery, example=DELIVERED_EXAMPLE)},
    ),
)
describe(
    RedeliveryView,
    post=operation(
        name="redeliver",
        summary="Send a delivery again",
        description="Send the delivery now, in any state, and with a full set of attempts. Its `webhook-id` is the "
        "same, so that the receiver recognises it.",
        parameters=[WEBHOOK_ID, DELIVERY_ID],
        responses={202: Response(description="The delivery, pending again.", body=Delivery, example=QUEUED)},
        problems=[CONFLICT],
        details={CONFLICT: DISABLED},
    ),
)


def _header(*, name: str, description: str, schema: str) -> Schema:
    schema_reference = reference("schemas", schema)
    return {"name": name, "in": "header", "required": True, "description": description, "schema": schema_reference}


HEADERS = [
    _header(name="webhook-id", description="The event's id, the same in each attempt.", schema="MessageId"),
    _header(
        name="webhook-timestamp", description="The attempt's time, in seconds since 1970.", schema="MessageTimestamp"
    ),
    _header(
        name="webhook-signature",
        description="HMAC-SHA256 of `webhook-id.webhook-timestamp.body` with the secret, in base64. For a day after an "
        "exchange of the secret, two signatures, separated by a space.",
        schema="MessageSignature",
    ),
]


def _received(*, name: str, summary: str, schema: str, example: Schema) -> Schema:
    """Return the description of a request to the receiver."""
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "description": "Respond with 2xx within 5 seconds. Otherwise the delivery is retried ten times over about "
            "a day; 410 disables the webhook. Redirects are not followed.",
            "tags": [TAG["name"]],
            "security": [],
            "parameters": HEADERS,
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": reference("schemas", schema), "example": example}},
            },
            "responses": {"2XX": {"description": "Received."}, "410": {"description": "Disable the webhook."}},
        }
    }


TASK = {
    "id": 1,
    "title": "Write the report",
    "duration": 90,
    "created_at": "2026-01-31T09:30:00.123456Z",
    "updated_at": "2026-01-31T09:30:00.123456Z",
}
WEBHOOKS: Schema = {
    "task": _received(
        name="receiveTaskEvent",
        summary="A task was created, renamed or deleted",
        schema="TaskEvent",
        example={"type": "task.created", "timestamp": TASK["created_at"], "data": TASK},
    ),
    "ping": _received(
        name="receivePing",
        summary="A ping",
        schema="Ping",
        example={"type": PING, "timestamp": "2026-01-31T09:31:00.104113Z", "data": {"webhook_id": 1}},
    ),
}
