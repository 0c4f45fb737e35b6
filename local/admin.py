"""`make admin`: serve the auth service's admin on loopback, with or without a running stack."""

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
    """Serve the admin until Ctrl-C."""
    env = environment.load()
    port = settings.port("ADMIN_PORT", env["ADMIN_PORT"])
    refuse_taken_port(port, "ADMIN_PORT")
    if odbc.is_sqlserver(env):
        odbc.register_driver(env)
    refuse_old_tables(env)
    print(f"Admin: http://localhost:{port}/admin/ for staff users (`make superuser`); stop with Ctrl-C", flush=True)
    # One worker: few people use the admin, and each process holds the keys.
    options = ["--workers", "1", "--blocking-threads", "2", "--no-ws", "--log-level", "warning"]
    where = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    server = f"{env['ENVIRONMENTS']}/auth/bin/granian"
    command = [server, *where, *options, "auth_service.admin_wsgi:application"]
    with lock.use(CHECKOUT / "var"):
        return serve(command, environment.for_service(env, "auth"), CHECKOUT / "services/auth")


def refuse_old_tables(env: Mapping[str, str]) -> None:
    """Raise CommandError if a migration of auth has not been applied."""
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
    """Run the server until it exits or is stopped, and return its exit code.

    Ctrl-C signals a whole process group, and a granian worker that receives that and its parent's signal simultaneously
    can hang forever. So granian gets its own group, and only the parent is signalled.
    """
    server = subprocess.Popen(command, cwd=folder, env=env, process_group=0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Keep ignoring a signal that nohup ignores.
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
    """Act like Ctrl-C, once: make forwards a signal that the group has already received. Ctrl-C itself still works."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
