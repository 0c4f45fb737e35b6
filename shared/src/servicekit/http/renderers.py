"""The only renderer: compact UTF-8 JSON, regardless of the client's Accept header."""

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer


def encode_json(data: Any) -> bytes:
    """Return compact UTF-8 JSON; raises TypeError for values of other types, which are a bug in the view."""
    return orjson.dumps(data, option=_JSON_TYPES_ONLY)


# Serializers convert times and other types to JSON's; nothing is converted here.
_JSON_TYPES_ONLY = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class JSONRenderer(BaseRenderer):
    """Renders Django REST framework's own Response; raises TypeError as encode_json() does."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else encode_json(data)


class OnlyJSON(DefaultContentNegotiation):
    """Always chooses JSON (RFC 9110, section 12.4.1 lets a server disregard Accept)."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
