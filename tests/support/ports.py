"""Ports that nothing else uses."""

import os
import random
import socket

# Each port that this session was given. Whatever listens on one at the session's end was left behind.
given: set[int] = set()

# Below those that a system gives to outgoing connections, one of which could take a port before our server does.
FIRST, EACH, PROCESSES = 15_000, 4_000, 4
# Each process of pytest-xdist draws from ports of its own.
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
