"""The environment of the local stack's processes, built from listed names and never inherited as a whole.

A shell often contains variables of another project, many of which would take effect here: CELERY_BROKER_URL,
DJANGO_SETTINGS_MODULE, GRANIAN_WORKERS, PYTHONPATH.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from local import env_file, settings
from local.errors import CommandError

CHECKOUT = Path(__file__).resolve().parent.parent
SERVICES = ("auth", "tasks", "scheduler")
# The services' own logins to the database and to Redis, if any.
URL_VARIABLES = ("AUTH_DATABASE_URL", "TASKS_DATABASE_URL", "SCHEDULER_DATABASE_URL")
REDIS_URL_VARIABLES = ("AUTH_REDIS_URL", "TASKS_REDIS_URL", "SCHEDULER_REDIS_URL")

# The variables that only containers use.
OF_CONTAINERS = frozenset(
    {
        *("REDIS_PASSWORD", "TLS_FOLDER", "ACCEPT_EULA", "MSSQL_SA_PASSWORD", "COMPOSE_PROJECT_NAME"),
        *("PROMETHEUS_PORT", "GRAFANA_PORT", "IMAGE_PREFIX", "IMAGE_TAG"),
    }
)
# The variables that belong to the machine and the user, not to a project.
PASSED_ON = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TERM", "COLORTERM", "NO_COLOR"),
        # Unusual locations of libraries, ODBC drivers and certificates.
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
        *("ODBCSYSINI", "ODBCINSTINI", "ODBCINI", "SSL_CERT_FILE", "SSL_CERT_DIR", "KRB5_CONFIG", "KRB5CCNAME"),
    )
)

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, including the final NUL.
SOCKET_PATH_BYTES = 103


def load(*, log_format: str = "text") -> dict[str, str]:
    """Return the environment, after creating .env and the state folders if they are missing.

    ``log_format`` is the default of LOG_FORMAT. Raises CommandError.
    """
    # An empty variable counts as unset, as it does in the services.
    shell = {name: value for name, value in os.environ.items() if value.strip()}
    names = env_file.names(_example()) - OF_CONTAINERS
    env = choose(names, shell=shell, written=written(shell))
    refuse_other_databases(env)

    state = settings.state_dir(env.get("STATE_DIR", "var"), checkout=CHECKOUT, home=Path.home())
    run = run_dir(state)
    _make_folders(state, run)
    defaults = {
        "GATEWAY_ADDRESS": "127.0.0.1",
        "GATEWAY_PORT": "8000",
        "TLS_PORT": "8443",
        "TRUSTED_PROXIES": "",
        "ADMIN_PORT": "8001",
        "METRICS_PORT": "8002",
        "DATABASE_URL": f"sqlite:///{quote(str(state / 'db.sqlite3'))}",
        "REDIS_URL": own_redis_url(str(run)),
        "AUTH_RATE_LIMIT": "10",
        "CONNECTIONS_PER_ADDRESS": "256",
        "CORS_ORIGINS": "",
        "LOG_FORMAT": log_format,
        "LOG_LEVEL": "INFO",
        "SERVICE_LOGINS": "0",
        "WEB_WORKERS": "2",
        "WEB_THREADS": "4",
        "AUTH_WEB_THREADS": "12",
    }
    computed = {
        "STATE_DIR": str(state),
        "RUN_DIR": str(run),
        "ENVIRONMENTS": str(CHECKOUT / "var/env"),
        # Python buffers output to a pipe; lines should appear as soon as they are written.
        "PYTHONUNBUFFERED": "1",
        # UTF-8 in every locale, since a title may be any text.
        "PYTHONUTF8": "1",
    }
    return {name: value for name, value in defaults.items() if f"{name}_FILE" not in env} | env | computed


def written(shell: Mapping[str, str]) -> dict[str, str]:
    """Return all variables in .env, after creating or completing it; raises CommandError."""
    return env_file.read(CHECKOUT / ".env", example=_example(), shell=shell)


def _example() -> str:
    return (CHECKOUT / ".env.example").read_text(encoding="utf-8")


def choose(names: frozenset[str], *, shell: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to pass on: the project's from the shell and .env, and those in PASSED_ON from the shell.

    The shell takes precedence, also if it names a file for a variable that .env sets by value.
    """
    names = names | {f"{name}_FILE" for name in names}
    ours = {name: value for name, value in shell.items() if name in names}
    theirs = {
        name: value
        for name, value in written.items()
        if name in names
        and value.strip()
        and f"{name}_FILE" not in ours
        # The services' logins in .env apply only to the database and the Redis in .env.
        and not (name in URL_VARIABLES and ours.keys() & {"DATABASE_URL", "DATABASE_URL_FILE"})
        and not (name in REDIS_URL_VARIABLES and ours.keys() & {"REDIS_URL", "REDIS_URL_FILE"})
    }
    return {name: value for name, value in shell.items() if name in PASSED_ON} | theirs | ours


def own_redis_url(run: str) -> str:
    """Return the URL of the Redis that the stack runs itself."""
    return f"unix://{quote(run)}/redis.sock"


def url_variable(service: str) -> str:
    """Return the name of the variable for the service's own login."""
    return f"{service.upper()}_DATABASE_URL"


def metrics_dir(env: Mapping[str, str]) -> Path:
    """Return the folder that contains a folder of metrics for each part."""
    return Path(env["RUN_DIR"], "metrics")


def for_part(env: Mapping[str, str], part: str) -> dict[str, str]:
    """Return the environment of one part. Each part has its own metrics folder; the part ``metrics`` serves all."""
    service = for_service(env, part if part in SERVICES else "scheduler")
    if part == "metrics":
        tls = {"GATEWAY_TLS": f"127.0.0.1:{env['TLS_PORT'].strip()}"} if env.get("TLS_CERTIFICATE_FILE") else {}
        socket = f"{env['RUN_DIR']}/metrics.sock"
        return service | {"METRICS_DIR": str(metrics_dir(env)), "GATEWAY_ANSWERS": socket} | tls
    service.pop("METRICS_ADDRESS", None)
    return service | {"METRICS_DIR": str(metrics_dir(env) / part)}


def for_service(env: Mapping[str, str], service: str) -> dict[str, str]:
    """Return the environment of one service, with its own logins instead of the common ones, and no other service's."""
    chosen = {name: value for name, value in env.items() if name not in URL_VARIABLES + REDIS_URL_VARIABLES}
    for name in ("DATABASE_URL", "REDIS_URL"):
        own = env.get(f"{service.upper()}_{name}")
        if own is not None:
            # The services reject a value and a file together.
            chosen.pop(f"{name}_FILE", None)
            chosen[name] = own
    return chosen


def refuse_other_databases(env: Mapping[str, str]) -> None:
    """Raise CommandError if a service's own login is for a different database than the one that is migrated."""
    if "DATABASE_URL_FILE" in env:
        return
    place = _place(env.get("DATABASE_URL", ""))
    for name in URL_VARIABLES:
        if name in env and _place(env[name]) != place:
            raise CommandError(f"{name}: names another database than DATABASE_URL; remove it from .env, or change it")


def _place(url: str) -> tuple[str, str]:
    """Return the scheme, and the host with the database's name: the URL without credentials and options."""
    start, _, rest = url.partition("?")[0].rpartition("@")
    return start.partition(":")[0], rest


def run_dir(state: Path) -> Path:
    """Return the folder of sockets and rendered files: in the state folder unless the sockets' paths are too long."""
    run = state / "run"
    if len(os.fsencode(run / "scheduler.sock")) <= SOCKET_PATH_BYTES:
        return run
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"tasks-{os.getuid()}-{name}")


def _make_folders(state: Path, run: Path) -> None:
    """Create the folders for their owner only, since they contain password hashes and unauthenticated sockets."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if state == CHECKOUT / "var":
            # make or an earlier version may have created it with the shell's umask.
            state.chmod(0o700)
        (state / "redis").mkdir(exist_ok=True)
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"STATE_DIR: {error.filename} cannot be created: {error.strerror}") from None
    if run.stat().st_uid != os.getuid():
        raise CommandError(f"STATE_DIR: {run} belongs to another user")
