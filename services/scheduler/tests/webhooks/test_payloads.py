"""The bodies of deliveries."""

import datetime
import json

from tests.webhooks.support import NOW, event
from webhooks.payloads import event_body, ping_body


def test_event_is_the_task_as_the_api_shows_it():
    renamed = event(type="task.renamed", task_id=7, title='Say "é" 😀')
    assert json.loads(event_body(renamed)) == {
        "type": "task.renamed",
        "timestamp": "2026-01-31T09:30:00.000000Z",
        "data": {
            "id": 7,
            "title": 'Say "é" 😀',
            "duration": 90,
            "created_at": "2026-01-31T09:29:00.000000Z",
            "updated_at": "2026-01-31T09:30:00.000000Z",
        },
    }


def test_body_is_compact_utf8():
    assert "é".encode() in event_body(event(title="é"))
    assert b": " not in event_body(event())


def test_largest_body_is_small():
    largest = event(title='"' * 200, task_id=2**63 - 1, duration=525_600)
    assert len(event_body(largest)) < 1024


def test_ping_names_the_webhook():
    body = json.loads(ping_body(endpoint_id=3, created_at=NOW - datetime.timedelta(seconds=1)))
    assert body == {"type": "webhook.ping", "timestamp": "2026-01-31T09:29:59.000000Z", "data": {"webhook_id": 3}}
