import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from servicekit.http.errors import field_errors
from servicekit.http.serializers import StrictCharField, StrictSerializer

UNKNOWN = "This field is unknown or may not be set."


class NoteSerializer(StrictSerializer):
    text = StrictCharField(max_length=3)
    size = serializers.IntegerField(required=False, read_only=True)


def errors_of(data: object) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        NoteSerializer.parse(data)
    return field_errors(refused.value.detail)


def test_known_members_are_taken():
    assert NoteSerializer.parse({"text": " ab "}) == {"text": "ab"}


def test_unknown_member_is_refused_by_its_name():
    assert errors_of({"text": "ab", "colour": "red", "Text": "ab"}) == {"colour": [UNKNOWN], "Text": [UNKNOWN]}


def test_unknown_member_is_named_together_with_what_is_wrong_with_the_others():
    assert errors_of({"text": "long", "colour": None}) == {
        "text": ["Ensure this field has no more than 3 characters."],
        "colour": [UNKNOWN],
    }


def test_unknown_member_is_named_together_with_what_is_missing():
    assert errors_of({"": 1}) == {"text": ["This field is required."], "": [UNKNOWN]}


@pytest.mark.parametrize("data", [[], [{"text": "ab"}], "text", 5, True, 1.5])
def test_what_is_no_object_is_refused(data):
    assert errors_of(data) == {"body": ["Send a JSON object."]}


def test_null_is_refused():
    assert errors_of(None) == {"body": ["Send a JSON object."]}


@pytest.mark.parametrize("value", [5, 1.5, True, False, [], ["a"], {}, {"a": 1}])
def test_text_is_only_a_json_string(value):
    assert errors_of({"text": value}) == {"text": ["Not a valid string."]}


def test_text_may_not_be_null():
    assert errors_of({"text": None}) == {"text": ["This field may not be null."]}
