"""Fixtures for the tests of webhooks."""

import pytest

from webhooks.models import Event


@pytest.fixture(autouse=True)
def empty_log(request: pytest.FixtureRequest) -> None:
    """Delete all events: Django flushes only this service's tables, and the log belongs to the tasks service."""
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("transactional_db")
        Event.objects.all().delete()
