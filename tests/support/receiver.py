"""A receiver of webhooks: a server on this machine that verifies the requests it gets."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Message:
    """A verified request and the time of its arrival."""

    id: str
    type: str
    data: dict[str, Any]
    headers: dict[str, str]
    at: float


class Receiver(ThreadingHTTPServer):
    """Keeps the messages that one of its secrets verifies, and responds with ``status``."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secrets: list[str] = []
        self.status = 204
        # While this is clear, no response is sent (for up to 20 s).
        self.may_respond = threading.Event()
        self.may_respond.set()
        self.messages: list[Message] = []
        self.refused: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hooks"

    def take(self, headers: dict[str, str], body: bytes) -> None:
        for secret in self.secrets:
            with suppress(WebhookVerificationError):
                content = Webhook(secret).verify(body, headers)
                message_id = headers["webhook-id"]
                self.messages.append(Message(message_id, content["type"], content["data"], headers, at=time.time()))
                return
        self.refused.append(body)

    def of_task(self, task_id: int) -> list[Message]:
        return [message for message in self.messages if message.data.get("id") == task_id]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing about connections that were cut off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            # The sender was killed while sending.
            self.close_connection = True
            return
        self.server.take(dict(self.headers), body)
        self.server.may_respond.wait(20)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver until the end of the block."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield receiver
        receiver.may_respond.set()
        receiver.shutdown()
        thread.join()
