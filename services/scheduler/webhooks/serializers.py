"""Serializers that parse requests about webhooks, and functions that render webhooks and deliveries."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from servicekit.http.serializers import StrictCharField, StrictSerializer
from servicekit.http.times import iso_utc
from webhooks.models import PENDING, Delivery, Endpoint
from webhooks.payloads import EVENT_TYPES, PING
from webhooks.targets import TargetRefused, check_url

# The descriptions of Endpoint.disabled_reason.
REASONS = {
    "owner": "You disabled it.",
    "gone": "The receiver responded with 410 Gone.",
    "failing": "All attempts have failed for five days.",
}


class URLField(StrictCharField):
    """An https or http URL to which webhooks may be sent."""

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        try:
            check_url(url, allow_private=settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS)
        except TargetRefused as refused:
            raise serializers.ValidationError(str(refused)) from None
        return url


class EventsField(serializers.Field[list[str], Any, list[str], Any]):
    """A list of one or more of EVENT_TYPES, each once."""

    default_error_messages = {"invalid": f"Must be a list of one or more of {', '.join(EVENT_TYPES)}, each once."}

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list) or not data:
            self.fail("invalid")
        # Compare them one by one, since a client's values may not be hashable.
        if not all(event in EVENT_TYPES for event in data) or len(set(data)) != len(data):
            self.fail("invalid")
        return list(data)

    def to_representation(self, value: list[str]) -> list[str]:
        return value


class EnabledField(serializers.Field[bool, Any, bool, Any]):
    """A JSON boolean; strings and numbers are refused."""

    default_error_messages = {"invalid": "Must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data

    def to_representation(self, value: bool) -> bool:  # noqa: FBT001 - the signature is the framework's
        return value


class WebhookCreateSerializer(StrictSerializer):
    """The body of POST /api/webhooks."""

    url = URLField()
    events = EventsField()


class WebhookUpdateSerializer(StrictSerializer):
    """The body of PATCH /api/webhooks/{id}."""

    url = URLField(required=False)
    events = EventsField(required=False)
    enabled = EnabledField(required=False)


def represent_webhook(endpoint: Endpoint) -> dict[str, Any]:
    """Return the API's representation of an endpoint, without its secret."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events.split(","),
        "enabled": endpoint.enabled,
        "disabled_reason": REASONS.get(endpoint.disabled_reason),
        "failing_since": iso_utc(endpoint.failing_since) if endpoint.failures else None,
        "created_at": iso_utc(endpoint.created_at),
        "updated_at": iso_utc(endpoint.updated_at),
    }


def represent_delivery(delivery: Delivery) -> dict[str, Any]:
    """Return the API's representation of a delivery; values that do not exist (yet) are null."""
    attempted = delivery.attempts > 0
    return {
        "id": delivery.id,
        "webhook_id": delivery.endpoint_id,
        "message_id": delivery.message_id,
        "type": delivery.type,
        "task_id": None if delivery.type == PING else delivery.task_id,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": iso_utc(delivery.created_at),
        "attempted_at": iso_utc(delivery.attempted_at) if attempted else None,
        "next_attempt_at": iso_utc(delivery.due_at) if delivery.state == PENDING else None,
        "status": delivery.status or None,
        "latency_ms": delivery.latency_ms if attempted else None,
        "error": delivery.error or None,
        "response": delivery.response if delivery.status else None,
    }
