"""Check that the worker on this host waits for messages: ``python -m scheduler_service.consuming``.

A worker whose process is alive may still have lost its queue; Redis' list of clients shows whether it consumes. Exit
code 0 or 1. This loads neither Django nor Celery, since it runs every few seconds.
"""

import socket
import sys
from collections.abc import Iterable, Mapping

from servicekit.process.env import require
from servicekit.process.redis_library import redis
from servicekit.process.redis_url import client_of

# The worker asks for a message each second, except while each of its processes has a run. One without a checkpoint ends
# within this time, and one with a checkpoint makes room before (jobs/runner.py).
LONGEST_SILENCE_SECONDS = 60
TIMEOUT_SECONDS = 3.0


def client_name() -> str:
    """Return the name of the connections that this machine's worker, beat and relay have to Redis."""
    return f"task-api@{socket.gethostname()}"


def is_consuming(clients: Iterable[Mapping[str, str]], *, name: str) -> bool:
    """Return whether a client of Redis has this name and asked for a message recently."""
    return any(
        client["name"] == name and client["cmd"] == "brpop" and int(client["idle"]) <= LONGEST_SILENCE_SECONDS
        for client in clients
    )


def main() -> int:
    client = client_of(require("REDIS_URL"), timeout_seconds=TIMEOUT_SECONDS)
    try:
        clients = client.client_list()
    except redis.RedisError as error:
        sys.stderr.write(f"Redis does not answer: {type(error).__name__}\n")
        return 1
    if not is_consuming(clients, name=client_name()):
        sys.stderr.write("no connection of this host's waits for messages\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
