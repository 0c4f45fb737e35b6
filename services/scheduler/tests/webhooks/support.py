"""Functions that create rows, and a receiver on a real socket."""

import datetime
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone

from webhooks.encryption import encrypt
from webhooks.models import Delivery, Endpoint, Event
from webhooks.signing import new_secret

NOW = datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
ALL_EVENTS = "task.created,task.renamed,task.deleted"


def event(**values: Any) -> Event:
    """Return an unsaved event, by default of user 1, with these values."""
    defaults = {
        "uuid": uuid.uuid4().hex,
        "type": "task.created",
        "owner_id": 1,
        "task_id": 1,
        "title": "Write the report",
        "duration": 90,
        "task_created_at": NOW - MINUTE,
        "task_updated_at": NOW,
        "request_id": "f" * 32,
        "created_at": NOW,
    }
    return Event(**{**defaults, **values})


def store_event(**values: Any) -> Event:
    """Return the same event after saving it, as the tasks service does."""
    stored = event(**values)
    stored.save(force_insert=True)
    return stored


def make_endpoint(**values: Any) -> Endpoint:
    """Store an endpoint, by default of user 1, with these values, and return it with its secret in ``plain_secret``."""
    secret = new_secret()
    now = timezone.now()
    defaults = {
        "owner_id": 1,
        "slot": Endpoint.objects.count(),
        "creation_key": uuid.uuid4().hex,
        "url": "http://127.0.0.1:9/",
        "events": ALL_EVENTS,
        "secret": encrypt(secret),
        "previous_until": now,
        "failing_since": now,
        "claimed_until": now,
        "created_at": now,
        "updated_at": now,
    }
    endpoint = Endpoint.objects.create(**{**defaults, **values})
    endpoint.plain_secret = secret
    return endpoint


def make_delivery(endpoint: Endpoint, **values: Any) -> Delivery:
    """Store a due delivery, with a new event unless ``event_id`` is given, and make its endpoint due; return it."""
    now = timezone.now()
    if "event_id" not in values:
        stored = store_event(task_id=values.get("task_id", 1))
        values |= {"event_id": stored.id, "message_id": stored.uuid}
    defaults = {
        "endpoint": endpoint,
        "message_id": uuid.uuid4().hex,
        "type": "task.created",
        "task_id": 1,
        "due_at": now,
        "attempted_at": now,
        "created_at": now,
    }
    delivery = Delivery.objects.create(**{**defaults, **values})
    Endpoint.objects.filter(id=endpoint.id).update(due_at=now)
    return delivery


class Receiver(ThreadingHTTPServer):
    """A receiver that keeps its requests. ``response`` is a status, or a function that writes the response."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, response: "int | Callable[[BaseHTTPRequestHandler], None]" = 204) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.response = response
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hooks"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no errors: many tests close connections deliberately."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        if callable(self.server.response):
            self.server.response(self)
            return
        self.send_response(self.server.response)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def receiving(response: "int | Callable[[Any], None]" = 204) -> Iterator[Receiver]:
    """Yield a receiver that listens until the end of the block."""
    receiver = Receiver(response)
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        receiver.shutdown()
        thread.join()
        receiver.server_close()
