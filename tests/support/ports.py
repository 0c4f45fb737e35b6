"""Free ports for the servers of the tests."""

import os
import random
import socket

# Every port given out in this session. A process that listens on one at its end was left behind.
given: set[int] = set()

# Below the system's ephemeral ports: an outgoing connection could take one of those before our server binds it.
FIRST, EACH, PROCESSES = 15_000, 4_000, 4
# Each process of pytest-xdist draws from its own range.
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
_ports = range(FIRST + _process * EACH, FIRST + (_process + 1) * EACH)
_random = random.Random()


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    while True:
        port = _random.choice(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port
