"""The environment that the processes of the local stack get: built from names that are listed, never inherited whole.

A shell often carries variables of another project, and many of them would decide something here: CELERY_BROKER_URL,
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
# A service's own login to the database and to Redis, where it has one.
URL_VARIABLES = ("AUTH_DATABASE_URL", "TASKS_DATABASE_URL", "SCHEDULER_DATABASE_URL")
REDIS_URL_VARIABLES = ("AUTH_REDIS_URL", "TASKS_REDIS_URL", "SCHEDULER_REDIS_URL")

# What only containers have.
OF_CONTAINERS = frozenset(
    {
        *("REDIS_PASSWORD", "TLS_FOLDER", "ACCEPT_EULA", "MSSQL_SA_PASSWORD", "COMPOSE_PROJECT_NAME"),
        *("PROMETHEUS_PORT", "GRAFANA_PORT", "IMAGE_PREFIX", "IMAGE_TAG"),
    }
)
# What is the machine's and the user's, and no project's.
PASSED_ON = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TERM", "COLORTERM", "NO_COLOR"),
        # Where an unusual machine has its libraries, ODBC drivers and certificates.
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
        *("ODBCSYSINI", "ODBCINSTINI", "ODBCINI", "SSL_CERT_FILE", "SSL_CERT_DIR", "KRB5_CONFIG", "KRB5CCNAME"),
    )
)

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, the final NUL included.
SOCKET_PATH_BYTES = 103


def load(*, log_format: str = "text") -> dict[str, str]:
    """Return the environment, after making .env and the state folders where they are missing.

    ``log_format`` is the default of LOG_FORMAT. Raises CommandError.
    """
    # An empty variable counts as unset, here as in the services.
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
        # Python buffers what it writes to a pipe; a line belongs on the screen when it is written.
        "PYTHONUNBUFFERED": "1",
        # In every locale: a title is any text.
        "PYTHONUTF8": "1",
    }
    return {name: value for name, value in defaults.items() if f"{name}_FILE" not in env} | env | computed


def written(shell: Mapping[str, str]) -> dict[str, str]:
    """Return what .env holds, whatever its names, after making or completing it; raises CommandError."""
    return env_file.read(CHECKOUT / ".env", example=_example(), shell=shell)


def _example() -> str:
    return (CHECKOUT / ".env.example").read_text(encoding="utf-8")


def choose(names: frozenset[str], *, shell: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
    """Return what is passed on of the shell's variables and of .env's: the project's names and PASSED_ON.

    The shell wins, also where it names a file for what .env holds.
    """
    names = names | {f"{name}_FILE" for name in names}
    ours = {name: value for name, value in shell.items() if name in names}
    theirs = {
        name: value
        for name, value in written.items()
        if name in names
        and value.strip()
        and f"{name}_FILE" not in ours
        # The services' logins in .env belong to the database and the Redis in .env.
        and not (name in URL_VARIABLES and ours.keys() & {"DATABASE_URL", "DATABASE_URL_FILE"})
        and not (name in REDIS_URL_VARIABLES and ours.keys() & {"REDIS_URL", "REDIS_URL_FILE"})
    }
    return {name: value for name, value in shell.items() if name in PASSED_ON} | theirs | ours


def own_redis_url(run: str) -> str:
    """Return the URL of the stack's own Redis."""
    return f"unix://{quote(run)}/redis.sock"


def url_variable(service: str) -> str:
    """Return the name of the variable that holds the service's own login."""
    return f"{service.upper()}_DATABASE_URL"


def metrics_dir(env: Mapping[str, str]) -> Path:
    """Return the folder in which each part has one for what it counts."""
    return Path(env["RUN_DIR"], "metrics")


def for_part(env: Mapping[str, str], part: str) -> dict[str, str]:
    """Return the environment of one part, which counts in a folder of its own and does not serve what it counts."""
    service = for_service(env, part if part in SERVICES else "scheduler")
    if part == "metrics":
        tls = {"GATEWAY_TLS": f"127.0.0.1:{env['TLS_PORT'].strip()}"} if env.get("TLS_CERTIFICATE_FILE") else {}
        answers = f"{env['RUN_DIR']}/metrics.sock"
        return service | {"METRICS_DIR": str(metrics_dir(env)), "GATEWAY_ANSWERS": answers} | tls
    service.pop("METRICS_ADDRESS", None)
    return service | {"METRICS_DIR": str(metrics_dir(env) / part)}


def for_service(env: Mapping[str, str], service: str) -> dict[str, str]:
    """Return the environment of one service: its own logins in the place of the common ones, and no other's."""
    chosen = {name: value for name, value in env.items() if name not in URL_VARIABLES + REDIS_URL_VARIABLES}
    for name in ("DATABASE_URL", "REDIS_URL"):
        own = env.get(f"{service.upper()}_{name}")
        if own is not None:
            # The services refuse both together.
            chosen.pop(f"{name}_FILE", None)
            chosen[name] = own
    return chosen


def refuse_other_databases(env: Mapping[str, str]) -> None:
    """Raise CommandError where a service would work on another database than the one that is migrated."""
    if "DATABASE_URL_FILE" in env:
        return
    place = _place(env.get("DATABASE_URL", ""))
    for name in URL_VARIABLES:
        if name in env and _place(env[name]) != place:
            raise CommandError(f"{name}: names another database than DATABASE_URL; remove it from .env, or change it")


def _place(url: str) -> tuple[str, str]:
    """Return scheme, and host with name: all but who logs in, and how."""
    start, _, rest = url.partition("?")[0].rpartition("@")
    return start.partition(":")[0], rest


def run_dir(state: Path) -> Path:
    """Return the folder of sockets and rendered files: in the state folder, unless the sockets' paths get too long."""
    run = state / "run"
    if len(os.fsencode(run / "scheduler.sock")) <= SOCKET_PATH_BYTES:
        return run
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"tasks-{os.getuid()}-{name}")


def _make_folders(state: Path, run: Path) -> None:
    """Make them for their owner only: the database has password hashes, and who reaches a socket can use it."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if state == CHECKOUT / "var":
            # make may have made it, or an earlier version, by the umask of the shell.
            state.chmod(0o700)
        (state / "redis").mkdir(exist_ok=True)
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"STATE_DIR: {error.filename} cannot be made: {error.strerror}") from None
    if run.stat().st_uid != os.getuid():
        raise CommandError(f"STATE_DIR: {run} belongs to another user")
