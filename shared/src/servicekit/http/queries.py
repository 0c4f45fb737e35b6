"""Query parameters: those that a view knows, each at most once."""

from collections.abc import Collection
from itertools import islice

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

MOST_NAMED = 20


def check_query(query: QueryDict, *, known: Collection[str]) -> None:
    """Raise ValidationError (400) that names each parameter which is unknown or repeated.

    An unknown one that is passed over misleads its sender: ``?page=2`` would get the first page for ever.
    """
    errors = {
        name: ["This parameter is not known here."] if name not in known else ["Must be sent once."]
        for name, values in query.lists()
        if name not in known or len(values) > 1
    }
    if errors:
        raise ValidationError(dict(islice(errors.items(), MOST_NAMED)))
