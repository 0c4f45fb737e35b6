"""Checks of loopback ports, and of the stack that listens there. Requires only the standard library."""

import errno
import http.client
import socket
from collections.abc import Mapping

from local.errors import CommandError

LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def refuse_taken_port(port: int, name: str) -> None:
    """Raise CommandError if another program uses the port, which is the value of the variable ``name``.

    Checks both loopbacks: clients of "localhost" may try [::1] first, and would reach the other program.
    """
    for family, host in LOOPBACKS:
        reason = _failure_to_open(family, host, port)
        if reason:
            raise CommandError(
                f"{name}: port {port} of {host} cannot be opened: {reason}; stop the program that uses it, or choose "
                f"another port: {name}=… in .env or before the command"
            )


def _failure_to_open(family: int, host: str, port: int) -> str | None:
    try:
        with socket.socket(family) as probe:
            # As servers do, so that an earlier run's connections in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as error:
        # The machine has no IPv6.
        if family == socket.AF_INET6 and error.errno not in (errno.EADDRINUSE, errno.EACCES):
            return None
        return error.strerror or str(error)
    return None


def get_readyz(port: int) -> tuple[int, str]:
    """Return the status of the gateway's /readyz, 0 without a response, and a description of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, f"{response.status} {response.read(2000).decode(errors='replace').strip()}"
    except (OSError, http.client.HTTPException) as error:
        return 0, f"nothing ({error})"
    finally:
        connection.close()


def listens(path: str) -> bool:
    """Return whether a process listens on the unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def ready_text(env: Mapping[str, str], *, stop: str) -> str:
    """Return the message for a stack that is ready."""
    tls = env.get("TLS_CERTIFICATE_FILE")
    url = f"https://localhost:{env['TLS_PORT']}" if tls else f"http://localhost:{env['GATEWAY_PORT'].strip()}"
    register = '{"username": "ada", "password": "correct horse battery staple"}'
    return (
        f"\nReady: {url} (the console; the API reference is at /api/docs)\n"
        f"  first call  curl -sS {url}/api/auth/register -H 'Content-Type: application/json' -d '{register}'\n"
        f"  stop        {stop}\n"
    )
