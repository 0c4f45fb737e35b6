import json
import logging
import re

import pytest

from servicekit.process.context import request_id
from servicekit.testing import bearer

GIVEN = "0123456789abcdef0123456789abcdef"


def test_gateways_request_id_is_kept(client, records):
    response = client.get("/echo", headers={**bearer(), "X-Request-ID": GIVEN})
    assert response["X-Request-ID"] == GIVEN
    assert records()[-1]["request_id"] == GIVEN


def test_every_digit_of_a_new_request_id_is_random(client):
    ids = [client.get("/echo")["X-Request-ID"] for _ in range(50)]
    assert min(len(set(digits)) for digits in zip(*ids, strict=True)) > 4


@pytest.mark.parametrize(
    "given",
    [None, "", "short", GIVEN.upper(), f"{GIVEN}0", f"{GIVEN}\n", f" {GIVEN}", "g" * 32, "٠" * 32],
)
def test_any_other_request_id_is_replaced(client, given):
    headers = {} if given is None else {"HTTP_X_REQUEST_ID": given}
    response = client.get("/echo", **headers)
    assert re.fullmatch("[0-9a-f]{32}", response["X-Request-ID"])
    assert response["X-Request-ID"] not in (given, GIVEN)
    assert response.json()["request_id"] == response["X-Request-ID"] == request_id()


def test_two_requests_never_share_an_id(client):
    assert client.get("/echo")["X-Request-ID"] != client.get("/echo")["X-Request-ID"]


def test_one_line_says_what_was_asked_and_answered(client, records):
    client.post("/echo", b'{"password": "hunter2"}', content_type="application/json", headers=bearer(7))
    (record,) = records()
    assert {name: record[name] for name in ("level", "message", "method", "path", "status", "user_id")} == {
        "level": "INFO",
        "message": "request",
        "method": "POST",
        "path": "/echo",
        "status": 200,
        "user_id": 7,
    }
    assert 0 <= record["duration_ms"] < 10_000


def test_anonymous_has_no_user_id(client, records):
    client.get("/echo")
    assert (records()[-1]["status"], records()[-1]["user_id"]) == (401, None)


@pytest.mark.parametrize("secret", ["a-token-in-the-query", "a-token-in-a-header", "a-password-in-the-body"])
def test_secret_that_is_sent_is_in_no_line(client, log, secret):
    client.post(
        "/echo?token=a-token-in-the-query",
        '{"password": "a-password-in-the-body"}',
        content_type="application/json",
        headers={"Authorization": "Bearer a-token-in-a-header"},
    )
    assert len(log()) == 1
    assert secret not in log()[0]


def test_defect_is_logged_as_the_500_that_it_is(client, records):
    client.get("/plain/defect")
    assert (records()[-1]["message"], records()[-1]["status"]) == ("request", 500)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_probes_are_not_worth_a_line(client, log, path):
    client.get(path)
    assert log() == []


@pytest.mark.django_db
def test_probes_are_worth_a_line_to_who_looks_for_everything(client, log):
    logging.getLogger().setLevel(logging.DEBUG)
    client.get("/healthz")
    assert json.loads(log()[-1])["path"] == "/healthz"


@pytest.mark.parametrize("path", ["/echo", "/plain/defect", "/no/such/route"])
def test_answers_may_not_be_stored(client, path):
    assert client.get(path)["Cache-Control"] == "no-store"


def test_view_that_knows_better_says_so(client):
    assert client.get("/cached", headers=bearer())["Cache-Control"] == "max-age=60"


@pytest.mark.parametrize("path", ["/echo", "/plain/defect", "/no/such/route"])
def test_answer_says_how_long_it_is(client, path):
    response = client.get(path)
    assert response["Content-Length"] == str(len(response.content))


def test_answer_without_a_body_says_nothing_of_its_length(client):
    assert "Content-Length" not in client.options("/echo", headers=bearer())
