"""Fixtures that several test modules use."""

import pytest

from accounts.sessions import announcements

pytest_plugins = ["servicekit.pytest_plugin"]


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ended sessions that were announced; the project's tests/e2e use a real Redis."""
    ids: list[str] = []
    monkeypatch.setattr(announcements, "announced_sessions", lambda client: frozenset(ids))
    monkeypatch.setattr(announcements, "announce_ended_sessions", lambda client, sessions: ids.extend(sessions))
    return ids
