"""One trace follows a request from the gateway to the delivery of its webhook, another one to a requested job."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.accounts import register
from support.jobs import request_run
from support.receiver import receiving
from support.stack import LocalStack, running_stack
from support.telemetry import Collector, Span, running
from support.tokens import make_token
from support.waiting import wait_until

# Each process exports every five seconds.
EXPORTED_WITHIN_SECONDS = 30
CLIENTS_TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running(Collector()) as collector:
        yield collector


@pytest.fixture(scope="module")
def stack(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("state"), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as running:
        yield running


def wait_for_spans(collector: Collector, trace: str, *names: str) -> dict[str, Span]:
    """Return the trace's spans by name once all of ``names`` have arrived."""

    def found() -> dict[str, Span]:
        spans = {span.name: span for span in collector.of_trace(trace)}
        return spans if spans.keys() >= set(names) else {}

    return wait_until(found, timeout=EXPORTED_WITHIN_SECONDS, what=lambda: f"{names} in {collector.of_trace(trace)}")


def test_trace_of_a_request_ends_at_the_receiver_of_its_webhook(stack: LocalStack, collector: Collector) -> None:
    ada = register(stack, "ada-who-traces")
    with receiving() as receiver:
        body = {"url": receiver.url, "events": ["task.created"]}
        webhook = stack.call("POST", "/api/webhooks", token=ada.access, json=body).json()
        receiver.secrets.append(webhook["secret"])
        response = stack.call(
            "POST",
            "/api/tasks",
            token=ada.access,
            json={"title": "a title of hers", "duration": 30},
            headers={"Traceparent": f"00-{CLIENTS_TRACE}-b7ad6b7169203331-01"},
        )
        (message,) = wait_until(lambda: receiver.messages, timeout=EXPORTED_WITHIN_SECONDS)

    trace = response.headers["X-Request-ID"]
    spans = wait_for_spans(collector, trace, "POST /api/tasks", "relay event", "POST webhook", "INSERT tasks_task")
    request, relayed, delivery = (spans[name] for name in ("POST /api/tasks", "relay event", "POST webhook"))
    assert [span.part for span in (request, relayed, delivery)] == ["tasks", "relay", "sender"]
    assert (request.parent, request.links) == ("", (CLIENTS_TRACE,))
    assert relayed.parent == delivery.parent == request.id
    assert message.headers["traceparent"] == f"00-{trace}-{delivery.id}-01"
    assert delivery.attributes["http.response.status_code"] == 204

    statement = spans["INSERT tasks_task"]
    assert (statement.part, statement.parent) == ("tasks", request.id)
    text = str(statement.attributes["db.query.text"])
    assert text.startswith("INSERT INTO tasks_task (owner_id, title, ")
    assert "INSERT INTO tasks_event (" in text
    everything = b"".join(collector.bodies)
    for written in (b"a title of hers", ada.access.encode(), receiver.url.encode(), b"ada-who-traces"):
        assert written not in everything


def test_trace_of_a_request_ends_at_the_job_that_it_requested(
    stack: LocalStack, collector: Collector, forge: Callable[..., str]
) -> None:
    response = request_run(stack, "delete-old-runs", token=forge(is_staff=True))

    names = ("POST /api/jobs/{name}/runs", "job delete-old-runs")
    spans = wait_for_spans(collector, response.headers["X-Request-ID"], *names)
    request, job = (spans[name] for name in names)
    assert (job.part, job.parent) == ("worker", request.id)
    assert any(span.parent == job.id and span.part == "worker" for span in spans.values())


def test_stack_that_stops_sends_the_spans_of_the_job_that_has_just_ended(tmp_path: Path) -> None:
    with running(Collector()) as collector:
        with running_stack(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as stack:
            staff = make_token(stack.secret, is_staff=True)
            response = request_run(stack, "delete-old-runs", token=staff)
            run = response.headers["Location"]
            wait_until(
                lambda: stack.call("GET", run, token=staff).json()["state"] == "succeeded",
                timeout=20,
                interval=0.01,
                what="the run has succeeded",
            )
        names = {span.name for span in collector.of_trace(response.headers["X-Request-ID"])}
    assert names >= {"POST /api/jobs/{name}/runs", "job delete-old-runs"}


def test_stack_works_and_stops_where_the_collector_is_unavailable(tmp_path: Path) -> None:
    with running(Collector()) as stopped:
        url = stopped.url
    with running_stack(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url) as alone:
        register(alone, "ada-alone")
        alone.wait_for_line(lambda line: "spans not exported" in line, timeout=EXPORTED_WITHIN_SECONDS)
    lines = [line for line in alone.lines if "spans not exported" in line]
    # At most once per process with spans.
    assert 1 <= len(lines) <= 11
    assert not [line for line in alone.lines if "Traceback" in line or "opentelemetry" in line]
