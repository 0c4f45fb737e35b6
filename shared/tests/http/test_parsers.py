import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from servicekit.http.parsers import loads
from servicekit.testing import bearer

NOT_JSON = "The body is not valid JSON."
NOT_UTF8 = "The body is not valid UTF-8."
TWICE = "The body has a duplicate member."
SURROGATE = "The body contains half of a surrogate pair."
TOO_LARGE = "The body contains a number that is too large."


def post(client, body: bytes, content_type: str = "application/json", **extra):
    return client.generic("POST", "/echo", body, content_type=content_type, headers=bearer(), **extra)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [1, -2, 1.5, 1e3, true, false, null, "\xc3\xa4\\n"]}',
        b'{"emoji": "\\ud83d\\ude00"}',
        b'"text"',
        b"null",
        b" {} \r\n",
        str(2**63).encode(),
        b"[" * 100 + b"]" * 100,
    ],
)
def test_json_is_read_as_the_standard_library_reads_it(body):
    assert loads(body) == json.loads(body)


BAD_BODIES = {
    "empty": (b"", NOT_JSON),
    "white space": (b" \n", NOT_JSON),
    "cut off": (b'{"a":', NOT_JSON),
    "two values": (b"{} {}", NOT_JSON),
    "single quotes": (b"{'a': 1}", NOT_JSON),
    "comma at the end": (b'{"a": 1,}', NOT_JSON),
    "comment": (b"{} // nothing", NOT_JSON),
    "bare control character": (b'"\x01"', NOT_JSON),
    "bare NUL": (b'"\x00"', NOT_JSON),
    "number with a leading zero": (b"01", NOT_JSON),
    "number in other digits": ("١".encode(), NOT_JSON),
    "number of 5,000 digits": (b"1" * 5000, NOT_JSON),
    "byte order mark": (b"\xef\xbb\xbf{}", NOT_JSON),
    "978 nested arrays": (b"[" * 978 + b"]" * 978, NOT_JSON),
    "nested arrays that fill the body": (b"[" * 65_536, NOT_JSON),
    "nested objects": (b'{"a":' * 5000 + b"1" + b"}" * 5000, NOT_JSON),
    "UTF-16": ("{}".encode("utf-16"), NOT_UTF8),
    "a byte that is not UTF-8": (b'"\xff"', NOT_UTF8),
    "an overlong NUL": (b'"\xc0\x80"', NOT_UTF8),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', NOT_UTF8),
    "a lone high surrogate": (b'{"a": "\\ud800"}', SURROGATE),
    "a lone low surrogate": (b'["\\uDC00"]', SURROGATE),
    "surrogates in the wrong order": (b'"\\ude00\\ud83d"', SURROGATE),
    "a lone surrogate as a name": (b'{"\\ud800": 1}', SURROGATE),
    "duplicate member": (b'{"a": 1, "a": 1}', TWICE),
    "duplicate member, one escaped": (b'{"a": 1, "\\u0061": 2}', TWICE),
    "duplicate member inside": (b'[{"b": {"a": 1, "a": 2}}]', TWICE),
    "NaN": (b"NaN", "NaN is not JSON."),
    "Infinity": (b"[Infinity]", "Infinity is not JSON."),
    "-Infinity": (b'{"a": -Infinity}', "-Infinity is not JSON."),
    "1e400": (b"1e400", TOO_LARGE),
    "-1e400": (b"[-1e400]", TOO_LARGE),
}


@pytest.mark.parametrize(("body", "detail"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_body_that_two_readers_could_read_in_two_ways_is_refused(body, detail):
    with pytest.raises(ParseError) as refusal:
        loads(body)
    assert refusal.value.detail == detail


@given(st.one_of(st.binary(max_size=200), st.text('[]{}":,0123456789.eE+-\\u dDtrueNaN', max_size=50).map(str.encode)))
def test_whatever_comes_in_is_a_value_that_can_be_sent_back_or_a_refusal(body):
    try:
        value = loads(body)
    except ParseError:
        return
    assert loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) == value


def test_depth_is_bounded_at_any_depth_of_the_stack():
    """The parser raises ParseError, not RecursionError, even with little of the stack left."""

    def deep(frames: int) -> None:
        if frames:
            deep(frames - 1)
        else:
            with pytest.raises(ParseError):
                loads(b"[" * 978 + b"]" * 978)

    deep(sys.getrecursionlimit() // 2)


@pytest.mark.parametrize(("body", "detail"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_refusal_is_a_400_problem(client, body, detail):
    response = post(client, body)
    # To Django REST framework, an empty body is no body, which the serializer rejects.
    expected = (200, None) if not body else (400, detail)
    assert (response.status_code, response.json().get("detail")) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf8",
        "application/json; profile=x",
    ],
)
def test_utf8_json_is_taken(client, content_type):
    assert post(client, b'{"a": "\xc3\xa4"}', content_type).json() == {"a": "ä"}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/merge-patch+json",
        "application/*",
        "*/*",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=bogus",
        "application/json; charset=",
    ],
)
def test_anything_else_is_415(client, content_type):
    response = post(client, b"{}", content_type)
    assert (response.status_code, response.headers.get("Accept-Encoding")) == (415, None)


def test_encoded_body_is_415_that_names_the_header_and_what_is_accepted(client):
    response = post(client, b"{}", HTTP_CONTENT_ENCODING="gzip")
    assert (response.status_code, response.headers["Accept-Encoding"]) == (415, "identity")
    assert "Content-Encoding" in response.json()["detail"]


def test_identity_is_no_encoding(client):
    assert post(client, b"{}", HTTP_CONTENT_ENCODING="Identity").status_code == 200


def body_of(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


def test_64_kib_are_taken(client):
    assert post(client, body_of(65_536)).status_code == 200


@pytest.mark.parametrize("size", [65_537, 3_000_000])
def test_more_than_64_kib_are_413(client, size):
    assert post(client, body_of(size)).status_code == 413
