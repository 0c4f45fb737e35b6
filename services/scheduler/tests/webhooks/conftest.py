"""Fixtures of the webhooks' tests."""

import pytest

from webhooks.models import Event


@pytest.fixture(autouse=True)
def empty_log(request: pytest.FixtureRequest) -> None:
    """Begin without events: Django empties the tables that this service owns, and the log is another one's."""
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("transactional_db")
        Event.objects.all().delete()
