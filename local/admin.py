"""`make admin`: serve the auth service's admin on loopback, beside a running stack or without one."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local import environment, lock, odbc, settings
from local.environment import CHECKOUT
from local.errors import CommandError
from local.network import refuse_taken_port
from local.output import last_line

STOPPED_WITHIN_SECONDS = 10


def main(arguments: list[str]) -> int:
    """Serve it until Ctrl-C."""
    env = environment.load()
    port = settings.port("ADMIN_PORT", env["ADMIN_PORT"])
    refuse_taken_port(port, "ADMIN_PORT")
    if odbc.is_sqlserver(env):
        odbc.register_driver(env)
    refuse_old_tables(env)
    print(f"Admin: http://localhost:{port}/admin/ for users of staff (`make superuser`); stop with Ctrl-C", flush=True)
    # Few people use it, and each process would be one more with the keys.
    options = ["--workers", "1", "--blocking-threads", "2", "--no-ws", "--log-level", "warning"]
    where = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    server = f"{env['ENVIRONMENTS']}/auth/bin/granian"
    command = [server, *where, *options, "auth_service.admin_wsgi:application"]
    with lock.use(CHECKOUT / "var"):
        return serve(command, environment.for_service(env, "auth"), CHECKOUT / "services/auth")


def refuse_old_tables(env: Mapping[str, str]) -> None:
    """Raise CommandError where a migration of auth has not been applied."""
    tables = subprocess.run(
        [f"{env['ENVIRONMENTS']}/auth/bin/python", "manage.py", "migrate", "--check"],
        cwd=CHECKOUT / "services/auth",
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if tables.returncode:
        raise CommandError(last_line(tables.stderr or "the tables are not up to date; run `make migrate`"))


def serve(command: list[str], env: Mapping[str, str], folder: Path) -> int:
    """Run the server until it ends or is told to stop, and return its exit code.

    Ctrl-C goes to a whole group. A worker of granian that gets that and its parent's signal at once can hang for ever,
    so they are a group of their own, of which the parent alone is told to stop.
    """
    server = subprocess.Popen(command, cwd=folder, env=env, process_group=0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What nohup had ignored stays so.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait(STOPPED_WITHIN_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(server.pid, signal.SIGKILL)
    return 0


def interrupt(number: int, frame: object) -> None:
    """Act as Ctrl-C, once: make passes on a signal that its group has had already. Only a second Ctrl-C means more."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
