"""The Idempotency-Key header."""

import pytest
from rest_framework.exceptions import ParseError

from servicekit.http.idempotency import parse_idempotency_key

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        (KEY, KEY),
        (f'"{KEY}"', KEY),
        (f' "{KEY}"\t', KEY),
        ('"a b"', "a b"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ("~!#", "~!#"),
        ('a"b', 'a"b'),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_key_is_what_the_header_says_with_or_without_quotes(header, key):
    assert parse_idempotency_key(header) == key


@pytest.mark.parametrize(
    "header",
    ["", " ", '""', "x" * 256, "a b", "a\tb", "é", "\x7f", "a\x00", '"a', '"a"b', '"a\\b"', '"a", "b"', "\u200b"],
)
def test_anything_else_is_refused(header):
    with pytest.raises(ParseError, match="Idempotency-Key must be 1 to 255 printable ASCII characters"):
        parse_idempotency_key(header)
