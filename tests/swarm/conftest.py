"""A user of the stack on the Swarm."""

import dataclasses
import uuid
from collections import Counter

import pytest
import requests

from support.accounts import PASSWORD
from support.swarm import Swarm


@dataclasses.dataclass(frozen=True)
class User:
    """A user with an access token, whose five minutes are longer than a test."""

    swarm: Swarm
    headers: dict[str, str]

    def titles(self) -> Counter[str]:
        """Return the number of the user's tasks with each title."""
        found: Counter[str] = Counter()
        url = f"{self.swarm.url}/api/tasks?limit=100"
        while url:
            response = requests.get(url, headers=self.headers, timeout=30)
            found.update(task["title"] for task in response.json())
            url = response.links.get("next", {}).get("url", "")
        return found

    def assert_nothing_lost_or_doubled(self, acknowledged: list[str]) -> None:
        found = self.titles()
        assert not set(acknowledged) - set(found), "lost"
        assert set(found.values()) <= {1}, "doubled"


@pytest.fixture
def user(swarm: Swarm) -> User:
    body = {"username": f"user-{uuid.uuid4().hex[:12]}", "password": PASSWORD}
    assert swarm.request("POST", "/api/auth/register", json=body).status_code == 201
    tokens = swarm.request("POST", "/api/auth/token", json=body).json()
    return User(swarm, {"Authorization": f"Bearer {tokens['access']}"})
