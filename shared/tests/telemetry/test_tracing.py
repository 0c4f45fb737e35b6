import logging

import pytest
from django.db import Error as DatabaseLayerError
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import override_settings
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind, StatusCode

from servicekit.process.context import as_request
from servicekit.telemetry import spans
from servicekit.telemetry.configuration import Traces
from servicekit.telemetry.tracing import LoggingExporter, sampler, summary
from servicekit.testing import bearer

REQUEST = "0123456789abcdef" + "fedcba9876543210"
TRACE, FIRST_SPAN = int(REQUEST, 16), int(REQUEST[16:], 16)
CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def middleware():
    with override_settings(
        MIDDLEWARE=["servicekit.http.middleware.request_log", "servicekit.http.tracing.trace_request"]
    ):
        yield


class TestRequest:
    def test_is_a_span_whose_ids_are_the_requests(self, client, recorded):
        client.post("/echo", b"{}", content_type="application/json", headers=bearer() | {"X-Request-ID": REQUEST})

        span = recorded["POST /echo"]
        assert (span.context.trace_id, span.context.span_id, span.parent) == (TRACE, FIRST_SPAN, None)
        assert (span.kind, span.status.status_code) == (SpanKind.SERVER, StatusCode.UNSET)
        assert span.attributes == {
            "http.request.method": "POST",
            "http.route": "/echo",
            "http.response.status_code": 200,
        }

    def test_links_the_clients_trace_and_does_not_continue_it(self, client, recorded):
        client.get("/echo", headers=bearer() | {"X-Request-ID": REQUEST, "Traceparent": CLIENTS})

        span = recorded["GET /echo"]
        assert span.context.trace_id == TRACE
        assert [f"{link.context.trace_id:032x}" for link in span.links] == ["0af7651916cd43dd8448eb211c80319c"]

    @pytest.mark.parametrize("given", ["", "forged", CLIENTS.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32)])
    def test_links_nothing_that_is_no_trace(self, client, recorded, given):
        client.get("/echo", headers=bearer() | {"Traceparent": given})
        assert not recorded["GET /echo"].links

    def test_two_requests_are_two_traces(self, client, recorded):
        for _ in range(2):
            client.get("/echo", headers=bearer())
        first, second = recorded.all()
        assert first.context.trace_id != second.context.trace_id

    def test_defect_is_an_error_without_its_text(self, client, recorded):
        client.get("/plain/defect")
        span = recorded["GET /plain/{name}"]
        assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "500")
        assert not span.events
        assert "secret" not in recorded.text()

    def test_nothing_that_a_client_wrote_leaves(self, client, recorded):
        client.post(
            "/echo?token=wrote-a-query",
            '{"password": "wrote-a-body"}',
            content_type="application/json",
            headers={"Authorization": "Bearer wrote-a-token", "Cookie": "a=wrote-a-cookie", "User-Agent": "wrote-it"},
        )
        client.generic("WROTE", "/wrote-a-path")
        assert [span.name for span in recorded.all()] == ["POST /echo", "_OTHER unmatched"]
        assert "wrote" not in recorded.text().lower()

    def test_probe_is_not_traced(self, client, recorded):
        client.get("/healthz")
        assert recorded.all() == []


class TestPartOfRequest:
    def test_belongs_to_a_request_that_another_process_has_served(self, recorded):
        with as_request(REQUEST), spans.part_of_request("relay event", kind="CONSUMER", started_at=1):
            pass
        span = recorded["relay event"]
        assert (span.context.trace_id, span.parent.span_id, span.kind) == (TRACE, FIRST_SPAN, SpanKind.CONSUMER)
        assert span.context.span_id != FIRST_SPAN
        assert span.start_time == 1

    def test_is_below_the_span_in_progress(self, recorded):
        with as_request(REQUEST), spans.root("outer"), spans.part_of_request("inner"):
            pass
        assert recorded["inner"].parent.span_id == recorded["outer"].context.span_id

    @pytest.mark.parametrize("identifier", ["", "0" * 32, "not-an-id", "g" * 32])
    def test_begins_a_trace_where_there_is_no_request(self, recorded, identifier):
        with as_request(identifier), spans.part_of_request("ping"):
            pass
        assert recorded["ping"].parent is None
        assert recorded["ping"].context.is_valid

    def test_tells_a_receiver_which_span_it_is(self, recorded):
        with as_request(REQUEST), spans.part_of_request("POST webhook", kind="CLIENT") as span:
            headers = span.headers()
        identifier = recorded["POST webhook"].context.span_id
        assert headers == {"traceparent": f"00-{REQUEST}-{identifier:016x}-01"}

    def test_failure_is_the_class_of_the_error(self, recorded):
        with pytest.raises(ValueError, match="secret"), as_request(REQUEST), spans.part_of_request("work"):
            raise ValueError("secret")
        assert recorded["work"].attributes == {"error.type": "ValueError"}
        assert "secret" not in recorded.text()


def test_root_has_the_id_of_what_it_is_about(recorded):
    with as_request(REQUEST), spans.root("job report-user-tasks"):
        pass
    span = recorded["job report-user-tasks"]
    assert (span.context.trace_id, span.parent) == (TRACE, None)
    # A run may have several attempts.
    assert span.context.span_id != FIRST_SPAN


class TestSampling:
    @pytest.fixture
    def sampler(self):
        return ParentBasedTraceIdRatio(0.5)

    @pytest.mark.parametrize(("request_id", "sampled"), [("1" * 32, True), ("f" * 32, False)])
    def test_each_process_decides_alike_about_a_trace(self, client, recorded, request_id, sampled):
        client.get("/echo", headers=bearer() | {"X-Request-ID": request_id})
        with as_request(request_id), spans.part_of_request("POST webhook") as span:
            headers = span.headers()
        assert [span.name for span in recorded.all()] == ["GET /echo", "POST webhook"] * sampled
        assert headers["traceparent"].startswith(f"00-{request_id}-")
        assert headers["traceparent"].endswith("-01" if sampled else "-00")


@pytest.mark.django_db
class TestStatement:
    @pytest.fixture(autouse=True)
    def traced(self, recorded):
        # It was already open.
        connection.ensure_connection()
        connection_created.send(sender=type(connection), connection=connection)

    def test_is_a_span_without_its_values(self, recorded):
        with spans.root("work"), connection.cursor() as cursor:
            cursor.execute("SELECT %s\nFROM sqlite_master", ["a-value"])
        span = recorded["SELECT sqlite_master"]
        assert span.parent.span_id == recorded["work"].context.span_id
        assert span.kind is SpanKind.CLIENT
        assert span.attributes == {"db.system.name": "sqlite", "db.query.text": "SELECT %s FROM sqlite_master"}
        assert "a-value" not in recorded.text()

    def test_that_fails_has_the_class_of_its_error(self, recorded):
        with spans.root("work"), pytest.raises(DatabaseLayerError), connection.cursor() as cursor:
            cursor.execute("SELECT secret_column FROM sqlite_master WHERE name = %s", ["a-value"])
        span = recorded["SELECT sqlite_master"]
        assert (span.attributes["error.type"], span.status.description, span.events) == ("OperationalError", None, ())

    def test_of_a_loop_is_not_traced(self, recorded):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert recorded.all() == []


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ('SELECT "tasks_task"."id" FROM "tasks_task" WHERE id = %s', "SELECT tasks_task"),
        ("SELECT [a] FROM [jobs_run]", "SELECT jobs_run"),
        ("SET NOCOUNT ON;\nINSERT INTO tasks_task (title) VALUES (%s)", "INSERT tasks_task"),
        ("\nUPDATE tasks_task SET title = %s", "UPDATE tasks_task"),
        ("DELETE FROM tasks_task WHERE id = %s", "DELETE tasks_task"),
        ("begin immediate", "BEGIN"),
    ],
)
def test_statement_is_named_by_what_it_does_and_where(sql, name):
    assert summary(sql) == name


class Receiver(SpanExporter):
    def __init__(self, *results: SpanExportResult) -> None:
        self.results = list(results)

    def export(self, spans: object) -> SpanExportResult:
        return self.results.pop(0)


def test_outage_of_the_receiver_is_two_lines(caplog):
    caplog.set_level(logging.INFO, logger="servicekit.telemetry")
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    exporter = LoggingExporter(Receiver(good, bad, bad, good, good))
    for _ in range(5):
        exporter.export([])
    assert [record.getMessage() for record in caplog.records] == ["spans not exported", "spans exported again"]


def test_process_that_stops_gives_up_after_one_failed_batch(caplog):
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    exporter = LoggingExporter(receiver := Receiver(good, bad, good))
    exporter.give_up_after_a_failure()
    assert [exporter.export([]) for _ in range(4)] == [good, bad, bad, bad]
    assert receiver.results == [good]


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("always_off", "AlwaysOffSampler"),
        ("traceidratio", "TraceIdRatioBased{0.25}"),
        ("parentbased_always_on", "ParentBased{root:AlwaysOnSampler"),
        ("parentbased_traceidratio", "ParentBased{root:TraceIdRatioBased{0.25}"),
    ],
)
def test_sampler_is_the_one_that_is_named(name, description):
    assert sampler(Traces("http://collector:4318/v1/traces", name, 0.25)).get_description().startswith(description)


class TestOff:
    def test_blocks_run_and_tell_nothing(self):
        for block in (spans.request("GET", client=CLIENTS), spans.part_of_request("work"), spans.root("work")):
            with block as span:
                span.rename("other")
                span.describe(webhook=1)
                span.fail("500")
                assert span.headers() == {}

    def test_errors_pass(self):
        with pytest.raises(ValueError, match="passes"), spans.root("work"):
            raise ValueError("passes")
