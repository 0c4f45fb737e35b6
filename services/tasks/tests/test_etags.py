import pytest
from rest_framework.exceptions import ParseError

from tasks.etags import etag, parse_if_match, parse_if_none_match
from tasks.models import VERSION_MAXIMUM


def test_tag_is_the_version_in_quotes():
    assert etag(3) == '"3"'


@pytest.mark.parametrize("header", [None, "*", " * "])
def test_any_version_will_do(header):
    assert parse_if_match(header) == "any"


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        pytest.param('"3"', [3], id="one"),
        pytest.param('"3", "4"', [3, 4], id="two"),
        pytest.param('"3","4"', [3, 4], id="two without a space"),
        pytest.param(' ,"3" ,,\t"4", ', [3, 4], id="empty members, as RFC 9110 section 5.6.1 has it"),
        pytest.param(etag(VERSION_MAXIMUM), [VERSION_MAXIMUM], id="largest"),
        pytest.param('W/"3"', [], id="weak"),
        pytest.param('W/"3", "4"', [4], id="weak and strong"),
        pytest.param('"abc", "4"', [4], id="not ours"),
        pytest.param('"3,4"', [], id="comma inside"),
        pytest.param('""', [], id="empty tag"),
        pytest.param('"0"', [], id="version 0"),
        pytest.param('"03"', [], id="leading zero"),
        pytest.param(etag(VERSION_MAXIMUM + 1), [], id="beyond any version"),
        pytest.param('"\xb2"', [], id="a superscript digit"),
        pytest.param(", ".join(['"1"'] * 10), [1] * 10, id="ten"),
    ],
)
def test_versions_that_the_header_lets_through(header, versions):
    assert parse_if_match(header) == versions


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        ",",
        "3",
        '"3',
        '3"',
        '"3""4"',
        '"3" "4"',
        "'3'",
        'w/"3"',
        'W/ "3"',
        '*, "3"',
        '"3", *',
        '"3"\n',
        '"a b"',
    ],
)
def test_malformed_header_is_refused(header):
    with pytest.raises(ParseError, match="If-Match must be"):
        parse_if_match(header)


def test_more_than_ten_tags_are_refused():
    with pytest.raises(ParseError, match="more than 10"):
        parse_if_match(", ".join(['"1"'] * 11))


@pytest.mark.parametrize("header", [", " * 4000, '"1' * 4000, '"1",' * 4000 + "x", '"1" ' * 4000])
def test_long_header_is_answered_in_no_time(header):
    """A pattern that tried every way to split the header would take years."""
    with pytest.raises(ParseError):
        parse_if_match(header)


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        pytest.param(None, (), id="none"),
        pytest.param("*", "any", id="any"),
        pytest.param('"3"', [3], id="strong"),
        pytest.param('W/"3"', [3], id="weak, as stored by a cache that got a compressed response"),
        pytest.param('"2", W/"3"', [2, 3], id="two"),
        pytest.param('"x", "3"', [3], id="not ours"),
        pytest.param('"03"', [], id="not as we write it"),
    ],
)
def test_versions_that_the_header_does_not_let_through(header, versions):
    assert parse_if_none_match(header) == versions


@pytest.mark.parametrize("header", ["", "3", '"3', '*, "3"', ", ".join(['"1"'] * 11)])
def test_malformed_question_for_another_version_is_refused(header):
    with pytest.raises(ParseError, match="If-None-Match"):
        parse_if_none_match(header)
