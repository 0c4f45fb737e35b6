"""Fixtures of several test modules."""

import pytest

from accounts.sessions import announcements

pytest_plugins = ["servicekit.pytest_plugin"]


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ended sessions that Redis was told of; with a real one, see tests/e2e of the whole project."""
    told: list[str] = []
    monkeypatch.setattr(announcements, "announced_sessions", lambda client: frozenset(told))
    monkeypatch.setattr(announcements, "announce_ended_sessions", lambda client, sessions: told.extend(sessions))
    return told
