"""The variables of the processes that the tests start."""

import os
import secrets
from pathlib import Path

from support.paths import project_variables
from support.ports import free_port

SECRETS = (
    *("JWT_KEYS", "AUTH_SECRET_KEY", "TASKS_SECRET_KEY", "SCHEDULER_SECRET_KEY", "WEBHOOK_SECRET_KEY"),
    "REDIS_PASSWORD",
)
# The name of the key that signs the tokens of a stack.
KID = "e2e"


def inherited() -> dict[str, str]:
    """Return this process's environment without the variables that make adds for its children."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def without_project() -> dict[str, str]:
    """Return the environment of a user's shell: the inherited one without this project's variables."""
    ours = project_variables()
    return {name: value for name, value in inherited().items() if name.removesuffix("_FILE") not in ours}


def new_secrets(secret: str | None = None) -> dict[str, str]:
    """Return a value for each secret of the project. ``secret`` signs the tokens."""
    values = {name: secrets.token_urlsafe(48) for name in SECRETS}
    return values | {"JWT_KEYS": f"{KID}:{secret or values['JWT_KEYS']}"}


def shell(**changes: str) -> dict[str, str]:
    """Return the environment of a user's shell with new secrets, a metrics port and ``changes``."""
    return without_project() | new_secrets() | {"METRICS_PORT": str(free_port())} | changes


def for_stack(*, state: Path, port: int, secret: str, **changes: str) -> dict[str, str]:
    """Return a separate stack's variables, overriding all of .env, which may name a database and a broker in use."""
    return shell(
        **{
            "DATABASE_URL": f"sqlite:///{state}/db.sqlite3",
            # The form by which the launcher recognises its own Redis.
            "REDIS_URL": f"unix://{state}/run/redis.sock",
            "AUTH_RATE_LIMIT": "10",
            "CONNECTIONS_PER_ADDRESS": "256",
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
            "REPORT_USER_ID": "1",
            "REPORT_LIMIT": "1000",
            # The tests' receivers are on this machine.
            "WEBHOOK_ALLOW_PRIVATE_NETWORKS": "1",
            "STATE_DIR": str(state),
            "GATEWAY_PORT": str(port),
            "JWT_KEYS": f"{KID}:{secret}",
            **changes,
        }
    )
