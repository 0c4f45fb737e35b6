"""`make demo` works on the running stack and sends the requests that it shows."""

import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from support.commands import Completed, output_of, program, run, run_in_launcher, run_launcher
from support.environment import inherited
from support.ports import free_port
from support.stack import ContainerStack, Stack

TASKS = [200, 201, 200, 201, 201, 200, 200, 412, 400, 201, 200, 404, 401, 403]
WEBHOOKS = [201, 201, 200, 204]
TOKENS_AND_LOGOUT = [200, 204, 204, 401]

CALLS = [
    ("GET", "/api/tasks?limit=1", None, {"Authorization": "Bearer $TOKEN"}),
    ("GET", "/readyz", None, {}),
    ("POST", "/api/tasks", {"title": "It's 5 o'clock 😀", "duration": 5}, {"Authorization": "Bearer $TOKEN"}),
    ("POST", "/api/auth/token/refresh", {"refresh": "$REFRESH"}, {}),
    ("PATCH", "/api/tasks/1", {"title": 'say "hello" \\ `id`'}, {"If-Match": '"1", "2"'}),
    ("DELETE", "/api/tasks/1", None, {"Authorization": "Bearer $TOKEN", "If-Match": '"1"'}),
]
TOKENS = {"TOKEN": "aaa.bbb.ccc", "REFRESH": "ddd.eee.fff"}


def demo(port: int) -> Completed:
    return run_launcher("demo", "--pause", "0", env={**os.environ, "GATEWAY_PORT": str(port)})


def test_the_tour_shows_every_answer_and_can_be_taken_again(stack: Stack) -> None:
    # Containers send nothing to private addresses, and the tour's receiver has one.
    delivers = not isinstance(stack, ContainerStack)
    tour = TASKS + (WEBHOOKS if delivers else [400]) + TOKENS_AND_LOGOUT
    for _ in range(2):
        result = demo(stack.port)
        assert (result.returncode, result.stderr) == (0, "")
        assert [int(status) for status in re.findall(r"^HTTP (\d+) ", result.stdout, re.MULTILINE)] == tour
        assert len(re.findall(r"^curl -sS ", result.stdout, re.MULTILINE)) == len(tour)
        assert '\n  "title": "Send the report",\n  "duration": 90,\n' in result.stdout
        # The delivery of a webhook to the tour's own receiver.
        assert bool(re.search(r"^webhook-signature: v1,", result.stdout, re.MULTILINE)) == delivers
        assert ('\n  "type": "task.created",\n' in result.stdout) == delivers
        # No token and no secret is printed.
        assert not re.search(r"eyJ[\w-]{20}|whsec_[\w+/]{5}", result.stdout)


def test_it_takes_about_ten_seconds_and_paints_nothing_into_a_pipe(stack: Stack) -> None:
    started = time.monotonic()
    output = output_of(run("make", "demo", env=inherited() | {"GATEWAY_PORT": str(stack.port)}))
    assert 5 < time.monotonic() - started < 30
    assert "\033" not in output


def test_without_a_stack_it_says_so_in_one_line() -> None:
    port = free_port()
    result = demo(port)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: no stack responds at http://localhost:{port} (Connection refused); make up starts one\n"
    )


class Recorder(BaseHTTPRequestHandler):
    def record(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: self.headers.get(name) for name in ("Authorization", "Content-Type", "If-Match")}
        self.server.received.append((self.command, self.path, headers, body))
        self.send_response(204)
        self.end_headers()

    do_GET = do_POST = do_PATCH = do_DELETE = record  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["http", "https"])
def recorder(request: pytest.FixtureRequest) -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.received = []
        server.url = f"{request.param}://localhost:{server.server_port}"
        if request.param == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # Not for localhost: the stack's certificate is for the machine's public name.
            trustme.CA().issue_cert("tasks.example.org").configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_command_that_is_shown_makes_the_call_that_is_sent(recorder: Any) -> None:
    calls = json.dumps([recorder.url, TOKENS, CALLS])
    shown = output_of(run_in_launcher(*program("launcher/send_calls"), env=os.environ, stdin=calls))
    sent, recorder.received = recorder.received, []
    for command in json.loads(shown):
        subprocess.run(["sh", "-c", command], env={**os.environ, **TOKENS}, timeout=30, check=True)
    assert len(sent) == len(CALLS)
    assert recorder.received == sent
    assert [call[2]["Authorization"] for call in sent].count("Bearer aaa.bbb.ccc") == 3
