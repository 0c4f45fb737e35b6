"""The spans and reports that a process has created when it exits are sent, as its variables say."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.enable_socket

# Creates a span and a report, and exits.
PROGRAM = """
import logging
from servicekit import telemetry
from servicekit.telemetry import spans

telemetry.start("tasks")
with spans.root("a step"):
    logging.getLogger("tasks").error("a defect", exc_info=LookupError("unexpected"))
"""
TRACES, REPORTS = "/v1/traces", "/api/1/envelope/"


class Receiver(ThreadingHTTPServer):
    """Records the paths of the requests, in order."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def run(**variables: str) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], env=variables, check=True, timeout=30)


@pytest.mark.parametrize("asked", [[TRACES], [REPORTS], [REPORTS, TRACES]], ids="+".join)
def test_last_span_and_last_report_arrive(receiver, asked):
    variables = {
        TRACES: {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.host}"},
        REPORTS: {"SENTRY_DSN": f"http://key@{receiver.host}/1"},
    }
    run(**{name: value for each in asked for name, value in variables[each].items()})
    assert sorted(receiver.paths) == asked


def test_sampler_is_the_one_that_the_variables_name(receiver, tmp_path):
    sampler = tmp_path / "sampler"
    sampler.write_text("always_off\n", encoding="utf-8")
    run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.host}", OTEL_TRACES_SAMPLER_FILE=str(sampler))
    assert receiver.paths == []


@pytest.mark.parametrize("silent", ["traces", "reports"])
def test_receiver_that_does_not_respond_keeps_nothing_from_the_other(receiver, silent):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        # It accepts connections, but nothing reads from them.
        hosts = {"traces": receiver.host, "reports": receiver.host, silent: f"127.0.0.1:{other.server_address[1]}"}
        run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{hosts['traces']}", SENTRY_DSN=f"http://key@{hosts['reports']}/1")
    assert receiver.paths == [TRACES if silent == "reports" else REPORTS]
