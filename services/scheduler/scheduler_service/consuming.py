"""Check that the worker on this host is waiting for messages: ``python -m scheduler_service.consuming``.

A running worker may still have lost its queue; Redis's list of clients shows whether it consumes. Exits with 0 or 1.
This loads neither Django nor Celery, since it runs every few seconds.
"""

import socket
import sys
from collections.abc import Iterable, Mapping

from servicekit.process.env import require
from servicekit.process.redis_library import redis
from servicekit.process.redis_url import client_of

# The worker requests a message every second, except while all of its processes are busy with a run. Runs without a
# checkpoint finish within this time, and those with one yield earlier (jobs/runner.py).
LONGEST_SILENCE_SECONDS = 60
TIMEOUT_SECONDS = 3.0


def client_name() -> str:
    """Return the name of this machine's Redis connections of worker, sender, beat and relay."""
    return f"task-api@{socket.gethostname()}"


def is_consuming(clients: Iterable[Mapping[str, str]], *, name: str) -> bool:
    """Return whether one of the Redis clients has this name and has requested a message recently."""
    return any(
        client["name"] == name and client["cmd"] == "brpop" and int(client["idle"]) <= LONGEST_SILENCE_SECONDS
        for client in clients
    )


def main() -> int:
    client = client_of(require("REDIS_URL"), timeout_seconds=TIMEOUT_SECONDS)
    try:
        clients = client.client_list()
    except redis.RedisError as error:
        sys.stderr.write(f"Redis does not respond: {type(error).__name__}\n")
        return 1
    if not is_consuming(clients, name=client_name()):
        sys.stderr.write("no connection from this host is waiting for messages\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
