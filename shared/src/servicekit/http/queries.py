"""Check query parameters: only those that a view accepts, each at most once."""

from collections.abc import Collection
from itertools import islice

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

MOST_NAMED = 20


def check_query(query: QueryDict, *, known: Collection[str]) -> None:
    """Raise ValidationError (400), naming the parameters that are unknown or repeated.

    Ignoring an unknown one would mislead the client: ``?page=2`` would always return the first page.
    """
    errors = {
        name: ["This parameter is unknown."] if name not in known else ["Must be sent once."]
        for name, values in query.lists()
        if name not in known or len(values) > 1
    }
    if errors:
        raise ValidationError(dict(islice(errors.items(), MOST_NAMED)))
