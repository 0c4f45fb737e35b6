"""The cost of a creation with and without its event."""

import json
import secrets
from pathlib import Path

from support.commands import output_of, program, run_in_service
from support.environment import new_secrets
from support.tokens import make_token

# The maximum ratio of CPU times in the service's process.
AT_MOST_TIMES = 1.5


def test_event_makes_a_creation_little_dearer(tmp_path: Path) -> None:
    secret = secrets.token_urlsafe(48)
    env = new_secrets(secret) | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "REDIS_URL": "unix:///nowhere.sock",
        "LOG_LEVEL": "ERROR",
    }
    output_of(run_in_service("tasks", "manage.py", "migrate", "--verbosity", "0", env=env))
    cost = json.loads(output_of(run_in_service("tasks", *program("tasks/event_cost"), make_token(secret), env=env)))
    times = cost["with"] / cost["without"]
    print(f"CPU of a creation: {cost['with']:.0f} µs with its event, {cost['without']:.0f} without, {times:.2f} times")
    assert times <= AT_MOST_TIMES
