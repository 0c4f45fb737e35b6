"""Functions without side effects that build the body of a delivery."""

import datetime
import json
from typing import Any

from servicekit.http.times import iso_utc
from webhooks.models import Event

EVENT_TYPES = ("task.created", "task.renamed", "task.deleted")
PING = "webhook.ping"


def event_body(event: Event) -> bytes:
    """Return the body for an event, with the API's representation of the task after the change or before deletion."""
    task = {
        "id": event.task_id,
        "title": event.title,
        "duration": event.duration,
        "created_at": iso_utc(event.task_created_at),
        "updated_at": iso_utc(event.task_updated_at),
    }
    return _body(type_=event.type, timestamp=event.created_at, data=task)


def ping_body(*, endpoint_id: int, created_at: datetime.datetime) -> bytes:
    """Return the body for a ping."""
    return _body(type_=PING, timestamp=created_at, data={"webhook_id": endpoint_id})


def _body(*, type_: str, timestamp: datetime.datetime, data: dict[str, Any]) -> bytes:
    body = {"type": type_, "timestamp": iso_utc(timestamp), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
