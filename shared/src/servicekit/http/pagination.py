"""Keyset pages: ``?limit=&before=<cursor>`` newest first, and the Link header (RFC 8288) to the next page.

A page costs the same at any depth, and while rows are added, none is skipped or shown twice, as happens with offsets
(https://use-the-index-luke.com/no-offset).
"""

import base64
import datetime
import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

from django.db.models import Q
from django.http import QueryDict
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

MAXIMUM_LIMIT = 100

_LIMIT = re.compile(r"[0-9]{1,3}", re.ASCII)
_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,19})", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list ordered by a time and then an id, both descending."""

    at: datetime.datetime
    id: int

    def encode(self) -> str:
        """Return the position as opaque, URL-safe text."""
        text = f"{(self.at - _EPOCH) // _MICROSECOND}.{self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Decode the text of encode(); raises ValueError for any other text."""
        # Invalid base64 or ASCII is a ValueError too.
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        match = _CURSOR.fullmatch(decoded)
        if match is None or int(match[2]) > _LARGEST_ID:
            raise ValueError("not a cursor")
        try:
            cursor = cls(at=_EPOCH + int(match[1]) * _MICROSECOND, id=int(match[2]))
        except OverflowError:
            raise ValueError("not a time") from None
        if cursor.encode() != text:
            raise ValueError("not the canonical form")
        return cursor

    def older(self, field: str) -> Q:
        """Return the filter for rows after this position, in a form that allows a seek in an index on (field, id)."""
        return Q(**{f"{field}__lte": self.at}) & (Q(**{f"{field}__lt": self.at}) | Q(id__lt=self.id))


@dataclass(frozen=True, slots=True)
class Page:
    """The requested page: at most ``limit`` rows, after ``before`` if given."""

    limit: int
    before: Cursor | None

    PARAMETERS: ClassVar = ("limit", "before")

    @classmethod
    def from_request(cls, request: Request, *, default_limit: int) -> "Page":
        """Read the page from the request's query; raises ValidationError as from_query() does."""
        if not request.META.get("QUERY_STRING"):
            return cls(limit=default_limit, before=None)
        return cls.from_query(request.query_params, default_limit=default_limit)

    @classmethod
    def from_query(cls, query: QueryDict, *, default_limit: int) -> "Page":
        """Read ``limit`` (1–100) and ``before``; raises ValidationError (400) for other values."""
        errors: dict[str, list[str]] = {}
        text = query.get("limit", str(default_limit))
        limit = int(text) if _LIMIT.fullmatch(text) else 0
        if not 1 <= limit <= MAXIMUM_LIMIT:
            errors["limit"] = [f"Must be a whole number from 1 to {MAXIMUM_LIMIT}."]
        before = None
        cursor = query.get("before")
        if cursor is not None:
            try:
                before = Cursor.decode(cursor)
            except ValueError:
                errors["before"] = ["Must be a cursor from the Link header of an earlier page."]
        if errors:
            raise ValidationError(errors)
        return cls(limit=limit, before=before)

    def link(self, *, path: str, last: Cursor, **parameters: str) -> str:
        """Return the Link header for the page after the row at ``last``; ``path`` should be an absolute URL."""
        # A cursor needs no quoting.
        query = f"limit={self.limit}&before={last.encode()}"
        if parameters:
            query = f"{urlencode(parameters)}&{query}"
        return f'<{path}?{query}>; rel="next"'
