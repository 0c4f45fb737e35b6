import base64
import datetime

import pytest
from django.http import QueryDict
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from servicekit.http.pagination import Cursor, Page

AT = datetime.datetime(2026, 1, 31, 9, 30, 0, 123_456, tzinfo=datetime.UTC)
CURSOR = Cursor(at=AT, id=42)
TEXT = CURSOR.encode()
LIMIT_ERROR = ["Must be a whole number from 1 to 100."]
CURSOR_ERROR = ["Must be a cursor from the Link header of an earlier page."]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@given(
    st.datetimes(min_value=datetime.datetime(1970, 1, 1), timezones=st.just(datetime.UTC)),
    st.integers(0, 2**63 - 1),
)
def test_cursor_goes_around_unchanged(at, identifier):
    assert Cursor.decode(Cursor(at=at, id=identifier).encode()) == Cursor(at=at, id=identifier)


def test_cursor_of_another_offset_is_the_same_place():
    elsewhere = AT.astimezone(datetime.timezone(datetime.timedelta(hours=14)))
    assert Cursor(at=elsewhere, id=42).encode() == TEXT


@given(st.one_of(st.text(), st.text("AZaz09-_=+/.", max_size=60), st.text("0123456789.", max_size=60).map(encoded)))
@example("é")
@example("\ud800")
@example(encoded("9" * 18 + ".1"))
def test_any_other_text_is_a_value_error(text):
    """Any text that decode() accepts, encode() returns, so that each position has only one cursor."""
    try:
        cursor = Cursor.decode(text)
    except ValueError:
        return
    assert cursor.encode() == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(f"{TEXT}=", id="padded"),
        pytest.param(f" {TEXT}", id="space"),
        pytest.param(f"{TEXT}\n", id="line break"),
        pytest.param(TEXT[:-1], id="cut off"),
        pytest.param("not a cursor", id="words"),
        pytest.param("é", id="not ASCII"),
        pytest.param(encoded("1"), id="no id"),
        pytest.param(encoded("1.2.3"), id="three parts"),
        pytest.param(encoded("-1.2"), id="before 1970"),
        pytest.param(encoded("1.-2"), id="negative id"),
        pytest.param(encoded("01.2"), id="leading zero"),
        pytest.param(encoded("1.2\n"), id="line break inside"),
        pytest.param(encoded("١.٢"), id="other digits"),
        pytest.param(encoded(f"1.{2**63}"), id="id beyond a bigint"),
        pytest.param(encoded("9" * 18 + ".1"), id="time beyond the calendar"),
        pytest.param(encoded("9" * 5000 + ".1"), id="5000 digits"),
        pytest.param(base64.urlsafe_b64encode(b"\xff.1").decode(), id="bytes that are not ASCII"),
    ],
)
def test_what_encode_did_not_make_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - which of them is not promised
        Cursor.decode(text)


def test_without_a_query_the_page_is_the_first_of_the_default_length():
    assert Page.from_query(QueryDict(""), default_limit=4) == Page(limit=4, before=None)


def test_page_that_the_query_asks_for():
    assert Page.from_query(QueryDict(f"limit=100&before={TEXT}"), default_limit=4) == Page(limit=100, before=CURSOR)


@pytest.mark.parametrize(
    "limit", ["", "0", "101", "-1", "+1", "1.0", "1e1", "ten", "%D9%A1", "%201", "9999", "1&limit=0", "9" * 5000]
)
def test_bad_limit_is_refused(limit):
    with pytest.raises(ValidationError) as refusal:
        Page.from_query(QueryDict(f"limit={limit}"), default_limit=4)
    assert refusal.value.detail == {"limit": LIMIT_ERROR}


def test_everything_that_is_wrong_with_a_query_is_said_at_once():
    with pytest.raises(ValidationError) as refusal:
        Page.from_query(QueryDict("limit=0&before="), default_limit=4)
    assert refusal.value.detail == {"limit": LIMIT_ERROR, "before": CURSOR_ERROR}


def test_link_leads_to_the_page_after_the_last_row():
    link = Page(limit=3, before=None).link(path="/api/things", last=CURSOR, job="a&b")
    assert link == f'</api/things?job=a%26b&limit=3&before={TEXT}>; rel="next"'
