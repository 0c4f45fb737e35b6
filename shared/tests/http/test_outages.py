import logging

import pytest
from django.db import OperationalError

from servicekit.http.outages import REMIND_SECONDS, Outages
from servicekit.testing import bearer

ERROR = OperationalError("unavailable")


@pytest.fixture
def lines(caplog):
    """The log lines about outages: each message with its count."""
    caplog.set_level(logging.INFO, logger="servicekit.http.errors")
    return lambda: [
        (record.message, getattr(record, "refused", None))
        for record in caplog.records
        if record.name == "servicekit.http.errors"
    ]


def test_ten_a_second_for_a_quarter_minute_are_two_lines(lines):
    now = [0.0]
    outages = Outages(clock=lambda: now[0])
    for number in range(150):
        now[0] = number / 10
        outages.refused("GET", ERROR)
    outages.succeeded("GET")
    outages.succeeded("GET")
    assert lines() == [("database unavailable", None), ("database available again", 150)]


def test_first_line_has_the_traceback_and_the_others_have_none(lines, caplog):
    outages = Outages()
    outages.refused("GET", ERROR)
    outages.refused("GET", ERROR)
    outages.succeeded("GET")
    assert [record.exc_info is not None for record in caplog.records] == [True, False]


def test_long_one_is_counted_every_minute(lines):
    now = [0.0]
    outages = Outages(clock=lambda: now[0])
    for second in range(0, 150, 10):
        now[0] = second
        outages.refused("POST", ERROR)
    still = "database still unavailable"
    assert REMIND_SECONDS == 60
    assert lines() == [("database unavailable", None), (still, 7), (still, 13)]


def test_writes_that_fail_while_reads_succeed_are_an_outage_of_their_own(lines):
    outages = Outages()
    outages.refused("POST", ERROR)
    outages.succeeded("GET")
    outages.refused("DELETE", ERROR)
    outages.succeeded("PATCH")
    assert lines() == [("database unavailable", None), ("database available again", 2)]


def test_success_without_an_outage_is_no_line(lines):
    Outages().succeeded("GET")
    assert lines() == []


def test_outage_of_requests_ends_with_one_that_succeeds(client, lines):
    for path in ("/failing/operational", "/failing/operational", "/healthz", "/echo", "/nothing"):
        client.get(path)
        client.options("/echo")
    assert len(lines()) == 1
    client.get("/echo", headers=bearer())
    assert lines()[-1] == ("database available again", 2)
