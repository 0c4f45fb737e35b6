"""`make up`: check the requirements, migrate, run the stack under a supervisor, and report when it is ready.

Any error before the start is one line and exit code 1.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from local import environment, gateway, lock, odbc, programs, settings
from local.environment import CHECKOUT, metrics_dir
from local.errors import CommandError
from local.files import replace_file
from local.key_file import PUBLISHED
from local.launcher import run_supervisor
from local.migrations import migrate
from local.network import refuse_taken_port


def main(arguments: list[str]) -> int:
    """Run the stack until it is stopped."""
    env = environment.load()
    port = settings.port("GATEWAY_PORT", env["GATEWAY_PORT"])
    metrics = settings.port("METRICS_PORT", env["METRICS_PORT"])
    run = Path(env["RUN_DIR"])
    with lock.hold_state(run, port=port, state=env["STATE_DIR"]) as state, lock.use(CHECKOUT / "var") as var:
        refuse_taken_port(port, "GATEWAY_PORT")
        if env.get("TLS_CERTIFICATE_FILE"):
            refuse_taken_port(settings.port("TLS_PORT", env["TLS_PORT"]), "TLS_PORT")
        refuse_taken_port(metrics, "METRICS_PORT")
        prepare(env)
        migrate(env)
        return run_supervisor(env, port, locks=(state, var))


def prepare(env: dict[str, str]) -> None:
    """Complete the environment and the run folder with everything that the parts read; raises CommandError."""
    for name in ("WEB_WORKERS", "WEB_THREADS", "AUTH_WEB_THREADS"):
        env[name] = settings.count(name, env[name])
    env["NGINX_PROGRAM"] = programs.find_nginx(env)
    env["METRICS_ADDRESS"] = f"127.0.0.1:{env['METRICS_PORT'].strip()}"
    clear_metrics(env)
    own_redis = programs.needs_redis(env)
    # supervisord.conf refers to it even if it is not started.
    env["REDIS_PROGRAM"] = programs.find_redis(env) if own_redis else "redis-server"
    env["OWN_REDIS"] = "true" if own_redis else "false"
    gateway.write(env)
    publish_keys(env)
    if odbc.is_sqlserver(env):
        odbc.register_driver(env)


def clear_metrics(env: Mapping[str, str]) -> None:
    """Delete the metrics of the last run, which another version may have stored in another format."""
    shutil.rmtree(metrics_dir(env), ignore_errors=True)


def publish_keys(env: dict[str, str]) -> None:
    """Give the services the keys in .env as a file, which they re-read after `make rotate-key` has changed it."""
    if not are_published(env, os.environ):
        return
    path = Path(env["RUN_DIR"], PUBLISHED)
    # Re-read the keys under the lock of the state folder: a rotation may have changed them since.
    del env["JWT_KEYS"]
    text = environment.load()["JWT_KEYS"]
    try:
        # Keep an unchanged file, since its time shows how long these keys have been in use.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            replace_file(path, text)
    except (OSError, ValueError, CommandError):
        raise CommandError(f"STATE_DIR: {path} cannot be written") from None
    env["JWT_KEYS_FILE"] = str(path)


def are_published(env: Mapping[str, str], shell: Mapping[str, str]) -> bool:
    """Return whether the keys are from .env. A rotation cannot change the shell's, and services reject both at once."""
    return "JWT_KEYS" in env and "JWT_KEYS_FILE" not in env and not shell.get("JWT_KEYS", "").strip()
