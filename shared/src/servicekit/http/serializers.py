"""Input serializers that take what the contract names and nothing else."""

from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any, cast

from rest_framework import serializers

MOST_UNKNOWN_NAMED = 20


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members that it does not know, each by its name, together with what is wrong with the others."""

    default_error_messages = {
        "invalid": "Send a JSON object.",
        "null": "Send a JSON object.",
        "unknown": "This field is not known here, or may not be set.",
    }

    @classmethod
    def parse(cls, data: Any) -> dict[str, Any]:
        """Return the validated data, or raise ValidationError (400).

        One instance serves every call: validation leaves nothing in it, and a new one would copy all of its fields.
        """
        return cast(dict[str, Any], _instance(cls).run_validation(data))

    def to_internal_value(self, data: Any) -> Any:
        unknown = {}
        if isinstance(data, Mapping):
            # Some of them: an answer is not to be many times as large as its request.
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
    """A JSON string. Unlike CharField, takes no number or bool for one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)
