"""The environment that every process of the local stack gets: the shell's, what .env adds to it, and the defaults."""

import hashlib
import os
import re
import secrets
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote

from dotenv.parser import parse_stream

CHECKOUT = Path(__file__).resolve().parent.parent
SERVICES = ("auth", "tasks", "scheduler")
# A service's own login, where it has one.
URL_VARIABLES = ("AUTH_DATABASE_URL", "TASKS_DATABASE_URL", "SCHEDULER_DATABASE_URL")

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, the final NUL included.
SOCKET_PATH_BYTES = 103


class StartError(Exception):
    """The stack cannot start; the message is the one line that a person needs."""


def load(*, log_format: str = "text") -> dict[str, str]:
    """Everything that the Procfile and the services read. Makes .env and the state folders where they are missing.

    ``log_format`` is the default of LOG_FORMAT. Raises StartError.
    """
    # A variable that is there but empty counts as unset, here as in the services.
    shell = {name: value for name, value in os.environ.items() if value.strip()}
    written = {name: value for name, value in _read_dotenv(CHECKOUT / ".env").items() if value.strip()}
    # The shell wins, also where it names a file for what .env holds.
    env = {name: value for name, value in written.items() if f"{name}_FILE" not in shell} | shell
    if "DATABASE_URL" in shell or "DATABASE_URL_FILE" in shell:
        # The services' logins in .env belong to the database in .env.
        env = {name: value for name, value in env.items() if name not in URL_VARIABLES or name in shell}
    _refuse_other_databases(env)

    state = CHECKOUT / env.get("STATE_DIR", "var")
    run = _run_dir(state)
    try:
        (state / "redis").mkdir(parents=True, exist_ok=True)
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"STATE_DIR: {error.filename} cannot be made: {error.strerror}") from None
    if run.stat().st_uid != os.getuid():
        raise StartError(f"STATE_DIR: {run} belongs to somebody else")

    defaults = {
        "GATEWAY_PORT": "8000",
        "ADMIN_PORT": "8001",
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
    }
    computed = {
        "STATE_DIR": str(state),
        "RUN_DIR": str(run),
        "ENVIRONMENTS": str(CHECKOUT / "var/env"),
        # Python buffers what it writes to a pipe; a line belongs on the screen when it is written.
        "PYTHONUNBUFFERED": "1",
    }
    defaults = {name: value for name, value in defaults.items() if f"{name}_FILE" not in env}
    return defaults | env | computed


def port_of(env: dict[str, str], name: str) -> int:
    """The port that the variable names; raises StartError."""
    text = env[name].strip()
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise StartError(f"{name}: must be a port number from 1 to 65535, not {text!r}")
    return int(text)


def refuse_taken_port(port: int, name: str) -> None:
    """Raises StartError where nobody can listen on the loopback port that the variable names."""
    with socket.socket() as probe:
        # As servers do it: connections of an earlier run that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            raise StartError(f"{name}: port {port} cannot be opened: {error.strerror}") from None


def url_variable(service: str) -> str:
    return f"{service.upper()}_DATABASE_URL"


def _refuse_other_databases(env: dict[str, str]) -> None:
    """What is migrated is what the services work on, also after DATABASE_URL was changed."""
    if "DATABASE_URL_FILE" in env:
        return
    place = _place(env.get("DATABASE_URL", ""))
    for name in URL_VARIABLES:
        if name in env and _place(env[name]) != place:
            raise StartError(f"{name}: names another database than DATABASE_URL; remove it from .env, or change it")


def _place(url: str) -> tuple[str, str]:
    """Scheme, and host with name: all but who logs in, and how."""
    start, _, rest = url.partition("?")[0].rpartition("@")
    return start.partition(":")[0], rest


def own_redis_url(run: str) -> str:
    return f"unix://{quote(run)}/redis.sock"


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        if not path.exists():
            _create_dotenv(path)
        with path.open(encoding="utf-8") as stream:
            # The parser alone: dotenv_values() passes over a line that it cannot read.
            bindings = list(parse_stream(stream))
    except OSError as error:
        raise StartError(f".env cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(".env cannot be read: it is not UTF-8 text") from None
    for binding in bindings:
        if binding.error or (binding.key and binding.value is None):
            raise StartError(f".env cannot be read: line {binding.original.line} is not NAME=value")
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}


def _create_dotenv(path: Path) -> None:
    """Write .env.example with fresh secrets in the empty places, readable by the owner only."""

    def fill(match: re.Match[str]) -> str:
        # URL-safe characters only: make, Compose and dotenv all read them alike, and JWT_KEYS splits at , and :
        secret = secrets.token_urlsafe(48)
        return f"{match[0]}{secrets.token_hex(4)}:{secret}" if match[1] == "JWT_KEYS" else f"{match[0]}{secret}"

    example = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".env.", encoding="utf-8") as file:
        file.write(re.sub(r"^(JWT_KEYS|[A-Z]+_SECRET_KEY|REDIS_PASSWORD)=$", fill, example, flags=re.MULTILINE))
        file.flush()
        # A link, not a rename: whole or not at all, and never over a file that somebody else has just made.
        try:
            os.link(file.name, path)
        except FileExistsError:
            return


def _run_dir(state: Path) -> Path:
    """Where sockets and rendered files are: in the state folder, unless that makes the sockets' paths too long."""
    run = state / "run"
    if len(os.fsencode(run / "scheduler.sock")) <= SOCKET_PATH_BYTES:
        return run
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"tasks-{os.getuid()}-{name}")
