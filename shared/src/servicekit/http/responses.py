"""The response object that views return."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse

from servicekit.http.renderers import encode_json


class Response(HttpResponse):
    """Django REST framework's Response for JSON only: encoded immediately, without a renderer.

    ``data`` consists of JSON's own types; None means no body.
    """

    def __init__(
        self,
        data: Any = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        if data is None:
            # Django would compose its default type.
            super().__init__(status=status, headers=headers, content_type="")
            del self["Content-Type"]
        else:
            super().__init__(encode_json(data), status=status, headers=headers, content_type=content_type)
