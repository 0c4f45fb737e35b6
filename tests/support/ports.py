"""Ports that nothing else uses."""

import socket

# Each port that this session was given. Whatever listens on one at the session's end was left behind.
given: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    given.add(port)
    return port
