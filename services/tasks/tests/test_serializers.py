import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from servicekit.http.errors import field_errors
from tasks.serializers import TaskCreateSerializer, TaskRenameSerializer

EMPTY = "Must not be empty."
INVISIBLE = "Must contain a visible character."
CONTROL = "Must not contain control characters."
TOO_LONG = "Must not be longer than 200 UTF-16 code units."
NO_STRING = "Not a valid string."
DURATION = "Must be a whole number of minutes from 1 to 525600, as a JSON integer."
REQUIRED = "This field is required."
NULL = "This field may not be null."

# Values that a JSON document can contain after the parser has rejected lone surrogates, NaN and infinities.
TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXT, values, max_size=3),
    max_leaves=5,
)


def errors_of(data: object, serializer=TaskCreateSerializer) -> dict[str, list[str]]:
    """Return the serializer's errors for the data; empty if it accepts the data."""
    try:
        serializer.parse(data)
    except ValidationError as error:
        return field_errors(error.detail)
    return {}


def utf16_units(text: str) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


# Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt; and annotations, and braille's empty cell.
SHOWS_NOTHING = {
    chr(number)
    for first, last in (
        *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
        *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
        *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
        (0x2800, 0x2800),
    )
    for number in range(first, last + 1)
}


def is_title(value: object) -> bool:
    """Restate the contract: 1–200 UTF-16 code units after trimming, no control characters, one visible character."""
    if not isinstance(value, str):
        return False
    start, end = 0, len(value)
    while start < end and value[start].isspace():
        start += 1
    while end > start and value[end - 1].isspace():
        end -= 1
    title = value[start:end]
    if all(character.isspace() or character in SHOWS_NOTHING for character in title):
        return False
    return 1 <= utf16_units(title) <= 200 and all(unicodedata.category(character) != "Cc" for character in title)


def is_duration(value: object) -> bool:
    """Restate the contract: whole minutes, 1–525600, a JSON integer."""
    return isinstance(value, int) and value is not True and value is not False and value in range(1, 525_601)


@given(
    st.one_of(
        JSON,
        st.text(st.sampled_from("a 😀\t\n\x00\x7f\x85\u00a0\u200b\u2028é"), max_size=210),
        st.integers(195, 205).map("x".__mul__),
        st.integers(95, 105).map("😀".__mul__),
    )
)
@example("\x1f")
@example("a\x1f")
def test_title_is_taken_if_and_only_if_the_contract_says_so(value):
    errors = errors_of({"title": value, "duration": 5})
    assert set(errors) == (set() if is_title(value) else {"title"})
    assert set(errors_of({"title": value}, TaskRenameSerializer)) == set(errors)


@given(st.one_of(JSON, st.integers(-1, 525_601), st.sampled_from([0, 1, 525_600, 525_601, 2**31, 2**63])))
@example(True)
@example(1.0)
@example("5")
def test_duration_is_taken_if_and_only_if_the_contract_says_so(value):
    assert set(errors_of({"title": "Read", "duration": value})) == (set() if is_duration(value) else {"duration"})


@pytest.mark.parametrize(
    "title",
    [
        pytest.param("x", id="one unit"),
        pytest.param("x" * 200, id="200 units"),
        pytest.param("😀" * 100, id="100 emoji are 200 units"),
        pytest.param("x" * 198 + "😀", id="198 and 2 units"),
        pytest.param("👩‍👩‍👧‍👦", id="joined emoji"),
        pytest.param("e\u0301", id="combining accent"),
        pytest.param("مهمة", id="right to left"),
        pytest.param("\u200bRead\ufeff", id="invisible around it"),
        pytest.param("\u3164a", id="filler before it"),
    ],
)
def test_title_is_taken_as_it_is(title):
    body = {"title": title, "duration": 5}
    assert TaskCreateSerializer.parse(body) == body


@pytest.mark.parametrize("title", ["  Read ", "\tRead\n", "\u00a0Read\u2003", f"Read{' ' * 300}"])
def test_title_is_trimmed(title):
    assert TaskRenameSerializer.parse({"title": title}) == {"title": "Read"}


@pytest.mark.parametrize(
    ("title", "message"),
    [
        pytest.param("", EMPTY, id="empty"),
        pytest.param(" \t\n\u2003", EMPTY, id="white space"),
        pytest.param("x" * 201, TOO_LONG, id="201 units"),
        pytest.param("😀" * 100 + "x", TOO_LONG, id="100 emoji and one"),
        pytest.param("x" * 199 + "😀", TOO_LONG, id="199 and 2 units"),
        *(
            pytest.param(title, INVISIBLE, id=title.encode("unicode_escape").decode())
            for title in (
                *("\u200b", "\ufeff", "\u3164", "\u2800", "\u202e", "\u00ad", "\u2060 \u200d", "\U000e0041", "\ufe0f"),
            )
        ),
        pytest.param("a\0b", CONTROL, id="NUL"),
        pytest.param("a\nb", CONTROL, id="line break"),
        pytest.param("a\x7fb", CONTROL, id="delete"),
        pytest.param("a\x9bb", CONTROL, id="C1"),
        pytest.param(5, NO_STRING, id="number"),
        pytest.param(True, NO_STRING, id="true"),
        pytest.param(["Read"], NO_STRING, id="array"),
        pytest.param({"text": "Read"}, NO_STRING, id="object"),
        pytest.param(None, NULL, id="null"),
    ],
)
def test_bad_title_is_refused_with_one_message(title, message):
    assert errors_of({"title": title}, TaskRenameSerializer) == {"title": [message]}


@pytest.mark.parametrize("duration", [1, 525_600])
def test_duration_at_its_bounds_is_taken(duration):
    assert errors_of({"title": "Read", "duration": duration}) == {}


@pytest.mark.parametrize(
    "duration",
    [0, -1, 525_601, 2**31, 2**63, 10**1000, 5.0, 5.5, 1e3, True, False, "5", "٥", "", [], [5], {}],
    ids=lambda value: f"{type(value).__name__} {str(value)[:20]}",
)
def test_bad_duration_is_refused_with_one_message(duration):
    assert errors_of({"title": "Read", "duration": duration}) == {"duration": [DURATION]}


def test_duration_may_not_be_null():
    assert errors_of({"title": "Read", "duration": None}) == {"duration": [NULL]}


def test_everything_that_is_wrong_is_said_at_once():
    assert errors_of({"title": "", "id": 5}) == {
        "title": [EMPTY],
        "duration": [REQUIRED],
        "id": ["This field is unknown or may not be set."],
    }


@pytest.mark.parametrize("field", ["duration", "id", "owner_id", "version", "created_at", "updated_at", "Title", ""])
def test_nothing_but_the_title_may_be_changed(field):
    errors = errors_of({"title": "Read", field: 5}, TaskRenameSerializer)
    assert errors == {field: ["This field is unknown or may not be set."]}
