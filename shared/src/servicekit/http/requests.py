"""The request object that views receive."""

from typing import Any

from django.http import HttpRequest
from rest_framework import request

from servicekit.http.parsers import StrictJSONParser

_parser = StrictJSONParser()


class Request(request.Request):
    """Django REST framework's Request for JSON bodies only: no choice of parsers, and no files."""

    _parsed: Any = request.Empty

    def __init__(self, http_request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(http_request, **kwargs)
        # Django REST framework would look these up in Django's request each time, after an AttributeError.
        self.META, self.method, self.path = http_request.META, http_request.method, http_request.path

    @property
    def data(self) -> Any:
        """Return the parsed body, {} if there is none; raises the exceptions of StrictJSONParser."""
        if self._parsed is request.Empty:
            # Django's request can be read like a file.
            stream: Any = self._request if self.META.get("CONTENT_LENGTH") not in (None, "", "0") else None
            self._parsed = _parser.parse(stream, self.content_type, {"request": self}) if stream is not None else {}
        return self._parsed
