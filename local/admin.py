"""`make admin`: serve the auth service's admin on loopback, beside a running stack or without one."""

import os
import signal
import subprocess
import sys

from environment import CHECKOUT, StartError, load, port_of, refuse_taken_port, url_variable
from odbc import is_sqlserver, register_driver

STOPPED_WITHIN_SECONDS = 10


def main() -> None:
    try:
        env = load()
        port = port_of(env, "ADMIN_PORT")
        refuse_taken_port(port, "ADMIN_PORT")
        if is_sqlserver(env):
            register_driver(env)
    except StartError as error:
        sys.exit(f"error: {error}")
    programs = f"{env['ENVIRONMENTS']}/auth/bin"
    os.chdir(CHECKOUT / "services/auth")
    tables = subprocess.run(
        [f"{programs}/python", "manage.py", "migrate", "--check"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if tables.returncode:
        reason = tables.stderr.strip().splitlines() or ["the tables are not up to date; run `make migrate`"]
        sys.exit(f"error: {reason[-1]}")
    print(f"Admin: http://localhost:{port}/admin/ for users of staff (`make superuser`); stop with Ctrl-C", flush=True)
    # Few people use it, and each process would be one more with the keys.
    options = ["--workers", "1", "--blocking-threads", "2", "--no-ws", "--log-level", "warning"]
    application = "auth_service.admin_wsgi:application"
    where = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    if own := env.get(url_variable("auth")):
        env.pop("DATABASE_URL_FILE", None)
        env |= {"DATABASE_URL": own}
    serve([f"{programs}/granian", *where, *options, application], env)


def serve(command: list[str], env: dict[str, str]) -> None:
    # Ctrl-C goes to a whole group. A worker of granian that gets that and its parent's signal at once can hang for
    # ever, so they are a group of their own, of which the parent alone is told to stop.
    server = subprocess.Popen(command, env=env, process_group=0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What nohup had ignored stays so.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        try:
            sys.exit(server.wait())
        except KeyboardInterrupt:
            server.terminate()
            server.wait(STOPPED_WITHIN_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(server.pid, signal.SIGKILL)


def interrupt(number: int, frame: object) -> None:
    """As Ctrl-C, once: make passes a signal on that its group has had already, and only a second Ctrl-C means more."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
