"""Parse request bodies, and render tasks for responses."""

import re
import unicodedata
from typing import Any

from rest_framework import serializers

from servicekit.http.serializers import StrictCharField, StrictSerializer
from servicekit.http.times import iso_utc
from tasks.models import DURATION_MAXIMUM_MINUTES, TITLE_MAXIMUM_UNITS
from tasks.raw_sql import TaskRow

# Unicode's Default_Ignorable_Code_Point, white space, and other invisible characters: annotations, the empty braille
# cell.
INVISIBLE = (
    r"\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
_NOTHING_VISIBLE = re.compile(rf"[{INVISIBLE}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*")


class TitleField(StrictCharField):
    """1–200 UTF-16 code units after trimming, with a visible character and no control characters.

    The length is in UTF-16 code units, since that is how nvarchar(200) counts.
    """

    default_error_messages = {
        "blank": "Must not be empty.",
        "invisible": "Must contain a visible character.",
        "control": "Must not contain control characters.",
        "too_long": f"Must not be longer than {TITLE_MAXIMUM_UNITS} UTF-16 code units.",
    }

    def to_internal_value(self, data: Any) -> str:
        title = super().to_internal_value(data)
        if any(unicodedata.category(character) == "Cc" for character in title):
            self.fail("control")
        if _NOTHING_VISIBLE.fullmatch(title):
            self.fail("invisible")
        if len(title.encode("utf-16-le")) // 2 > TITLE_MAXIMUM_UNITS:
            self.fail("too_long")
        return title


class DurationField(serializers.Field[int, Any, int, Any]):
    """Whole minutes, 1–525600, as a JSON integer: not a string, 5.0 or true."""

    default_error_messages = {
        "invalid": f"Must be a whole number of minutes from 1 to {DURATION_MAXIMUM_MINUTES}, as a JSON integer.",
    }

    def to_internal_value(self, data: Any) -> int:
        # bool is a subclass of int, but not a duration.
        if type(data) is not int or not 1 <= data <= DURATION_MAXIMUM_MINUTES:
            self.fail("invalid")
        return int(data)

    def to_representation(self, value: int) -> int:
        return value


class TaskCreateSerializer(StrictSerializer):
    """The body of POST /api/tasks."""

    title = TitleField()
    duration = DurationField()


class TaskRenameSerializer(StrictSerializer):
    """The body of PUT and PATCH /api/tasks/{id}: only the title may change."""

    title = TitleField()


def represent_task(task: TaskRow) -> dict[str, Any]:
    """Return a task as its owner sees it."""
    return {
        "id": task.id,
        "title": task.title,
        "duration": task.duration,
        "created_at": iso_utc(task.created_at),
        "updated_at": iso_utc(task.updated_at),
    }
