"""Input serializers that accept only the members that the API defines."""

from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any, cast

from rest_framework import serializers

MOST_UNKNOWN_NAMED = 20


class StrictSerializer(serializers.Serializer[Any]):
    """Rejects unknown members by name, together with the errors of the known ones."""

    default_error_messages = {
        "invalid": "Send a JSON object.",
        "null": "Send a JSON object.",
        "unknown": "This field is unknown or may not be set.",
    }

    @classmethod
    def parse(cls, data: Any) -> dict[str, Any]:
        """Return the validated data, or raise ValidationError (400).

        One instance serves every call: validation leaves no state in it, and a new instance would copy all its fields.
        """
        return cast(dict[str, Any], _instance(cls).run_validation(data))

    def to_internal_value(self, data: Any) -> Any:
        unknown = {}
        if isinstance(data, Mapping):
            # Name only some of them: a response must not be many times larger than its request.
            names = islice((name for name in data if name not in self.fields), MOST_UNKNOWN_NAMED)
            unknown = {str(name): [self.error_messages["unknown"]] for name in names}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError({**error.detail, **unknown}) from None
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return value


@cache
def _instance(serializer: type[StrictSerializer]) -> StrictSerializer:
    return serializer()


class StrictCharField(serializers.CharField):
    """A JSON string. Unlike CharField, this rejects numbers and booleans."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)
