"""One id links every log line of a request; tests/e2e/test_webhooks.py follows it to a webhook's receiver."""

from collections.abc import Callable

from support.jobs import request_run
from support.stack import Stack

APPEARS_WITHIN_SECONDS = 20


def test_id_of_a_requested_run_is_in_the_lines_of_service_relay_and_job(
    stack: Stack, forge: Callable[..., str]
) -> None:
    response = request_run(stack, "delete-old-runs", token=forge(is_staff=True))

    lines = stack.wait_for_entries(response.headers["X-Request-ID"], count=3, timeout=APPEARS_WITHIN_SECONDS)

    assert {line["message"] for line in lines} == {"request", "run sent", "job"}


def test_id_of_what_the_gateway_refuses_is_in_its_own_line(stack: Stack) -> None:
    response = stack.call("GET", "/api/nothing")

    (line,) = stack.wait_for_entries(response.headers["X-Request-ID"], count=1, timeout=APPEARS_WITHIN_SECONDS)

    assert response.json()["request_id"] == line["request_id"]
    assert (line["service"], line["status"], line["client"]) == ("gateway", 404, stack.client_address)
