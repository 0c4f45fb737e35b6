"""What clients may send, and what they get."""

import unicodedata
from typing import Any

from rest_framework import serializers

from servicekit.http.serializers import StrictCharField, StrictSerializer
from servicekit.http.times import iso_utc
from tasks.models import DURATION_MAXIMUM_MINUTES, TITLE_MAXIMUM_UNITS
from tasks.raw_sql import TaskRow


class TitleField(StrictCharField):
    """1–200 UTF-16 units after trimming, no control characters. Units, since nvarchar(200) holds as many of those."""

    default_error_messages = {
        "blank": "Must not be empty.",
        "control": "Must not hold control characters.",
        "too_long": f"Must not be longer than {TITLE_MAXIMUM_UNITS} UTF-16 code units.",
    }

    def to_internal_value(self, data: Any) -> str:
        title = super().to_internal_value(data)
        if any(unicodedata.category(character) == "Cc" for character in title):
            self.fail("control")
        if len(title.encode("utf-16-le")) // 2 > TITLE_MAXIMUM_UNITS:
            self.fail("too_long")
        return title


class DurationField(serializers.Field[int, Any, int, Any]):
    """Whole minutes, 1–525600, as a JSON integer: no string, no 5.0, no true."""

    default_error_messages = {
        "invalid": f"Must be a whole number of minutes from 1 to {DURATION_MAXIMUM_MINUTES}, as a JSON integer.",
    }

    def to_internal_value(self, data: Any) -> int:
        # bool is a subclass of int, and not a duration.
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
    """The body of PUT and PATCH /api/tasks/{id}: the title is all that may change."""

    title = TitleField()


def represent_task(task: TaskRow) -> dict[str, Any]:
    """A task as clients see it."""
    return {
        "id": task.id,
        "title": task.title,
        "duration": task.duration,
        "created_at": iso_utc(task.created_at),
        "updated_at": iso_utc(task.updated_at),
    }
