"""The targets of the benchmark: each serves the same API on its own port, from a copy of the same database."""

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import psutil

CHECKOUT = Path(__file__).resolve().parents[1]
PEERS = CHECKOUT / "bench/peers"
STATE = CHECKOUT / "var/bench"
PROGRAMS = Path(sys.executable).parent
WORKERS, THREADS = os.environ.get("WEB_WORKERS", "2"), os.environ.get("WEB_THREADS", "2")
USER_ID = 1
SECRET = secrets.token_urlsafe(48)
START_SECONDS = 120

SERVICE = (
    f"granian --interface wsgi --uds {{socket}} --no-ws --workers {WORKERS} --blocking-threads {THREADS}"
    " --blocking-threads-idle-timeout 600 --log-level warning"
)
# Each peer's server, started as documented; {socket} is the socket to which nginx connects.
COMMANDS = {
    "floor": f"granian --interface wsgi --uds {{socket}} --no-ws --workers {WORKERS} --blocking-threads {THREADS}"
    " --log-level warning floor:application",
    "fastapi": f"uvicorn --uds {{socket}} --workers {WORKERS} fastapi_peer:app",
    "drf": f"gunicorn --bind unix:{{socket}} --workers {WORKERS} --threads {THREADS} drf_peer:application",
    # The project's own service without its gateway, with and without its metrics, to measure the cost of each.
    "service": f"{SERVICE} tasks_service.wsgi:application",
    "unmeasured": f"{SERVICE} unmeasured:application",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A running target."""

    name: str
    port: int
    database: Path
    pids: tuple[int, ...]

    def usage(self) -> dict[str, tuple[float, int]]:
        """Return the CPU seconds so far and the resident bytes now, by kind of process."""
        sums: dict[str, tuple[float, int]] = {}
        for process in _tree(self.pids):
            with contextlib.suppress(psutil.NoSuchProcess):
                times, kind = process.cpu_times(), _kind(process)
                seconds, size = sums.get(kind, (0.0, 0))
                sums[kind] = (seconds + times.user + times.system, size + process.memory_info().rss)
        return sums


def token() -> str:
    """Return an access token of the user whose tasks are requested; every target has the key."""
    now = int(time.time())
    claims = {
        "iss": "auth",
        "aud": "task-api",
        "token_type": "access",
        "user_id": str(USER_ID),
        "sid": "00000000-0000-4000-8000-000000000000",
        "jti": secrets.token_hex(16),
        "iat": now,
        "exp": now + 300,
        "is_staff": False,
    }
    return jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "bench"})


@contextlib.contextmanager
def project() -> Iterator[Target]:
    """Run the whole stack with ``make up``; the other targets get copies of its database."""
    folder, port = _folder("project"), _free_port()
    ports = {"GATEWAY_PORT": str(port), "METRICS_PORT": str(_free_port())}
    env = os.environ | _secrets() | ports | {"STATE_DIR": str(folder), "WEB_THREADS": THREADS}
    env = {name: value for name, value in env.items() if not name.endswith("DATABASE_URL")}
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "up"], cwd=CHECKOUT, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0
        )
        try:
            _wait_until_ready(process, port, "/readyz")
            yield Target("project", port, folder / "db.sqlite3", (process.pid,))
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


@contextlib.contextmanager
def peer(name: str, source: Path) -> Iterator[Target]:
    """Run one of COMMANDS behind a bare nginx, on a copy of the database."""
    folder, port = _folder(name), _free_port()
    database = folder / "db.sqlite3"
    _copy(source, database)
    env = os.environ | {"BENCH_KEY": SECRET, "BENCH_DATABASE": str(database)}
    programs = PROGRAMS
    if name == "drf":
        subprocess.run([PROGRAMS / "python", "drf_peer.py"], cwd=PEERS, env=env, check=True)
    if name in ("service", "unmeasured"):
        programs = CHECKOUT / "var/env/tasks/bin"
        env |= _secrets() | {
            "PYTHONPATH": str(CHECKOUT / "services/tasks"),
            "METRICS_DIR": str(folder / "metrics/tasks"),
            "DATABASE_URL": f"sqlite:///{database}",
            "REDIS_URL": f"unix://{folder}/no-redis.sock",
            "LOG_FORMAT": os.environ.get("LOG_FORMAT", "text"),
            "PYTHONUNBUFFERED": "1",
        }
    program, *arguments = COMMANDS[name].format(socket=folder / "service.sock").split()
    (folder / "nginx.conf").write_text(_nginx_conf(folder, port), encoding="utf-8")
    commands = [[str(programs / program), *arguments], [_nginx(), "-e", "stderr", "-c", str(folder / "nginx.conf")]]
    with (folder / "output.log").open("wb") as log:
        processes = [subprocess.Popen(command, cwd=PEERS, env=env, stdout=log, stderr=log) for command in commands]
        try:
            _wait_until_ready(processes[0], port, "/api/tasks")
            yield Target(name, port, database, tuple(process.pid for process in processes))
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process exits; kill a peer that does not, so that the results of the others are not lost."""
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        workers = psutil.Process(process.pid).children(recursive=True)
        # The main process first, since it would replace killed workers.
        process.kill()
        process.wait()
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


def _secrets() -> dict[str, str]:
    names = ("AUTH_SECRET_KEY", "TASKS_SECRET_KEY", "SCHEDULER_SECRET_KEY")
    return {"JWT_KEYS": f"bench:{SECRET}", **{name: secrets.token_urlsafe(48) for name in names}}


def _folder(name: str) -> Path:
    folder = STATE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _copy(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(source)) as old, contextlib.closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=WAL")


def _nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or CHECKOUT / "var/env/servers/bin/nginx"
    return str(found)


def _nginx_conf(folder: Path, port: int) -> str:
    text = (CHECKOUT / "bench/nginx.conf").read_text(encoding="utf-8")
    # As root, nginx would run its workers as another user, who may not open the socket.
    user = "user root;\n" if os.getuid() == 0 else ""
    return user + text.replace("${FOLDER}", str(folder)).replace("${PORT}", str(port))


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", path, headers={"Authorization": f"Bearer {token()}"})
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"error: {process.args!r} does not respond; see output.log in var/bench")


def _tree(pids: tuple[int, ...]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            yield from [parent, *parent.children(recursive=True)]


def _kind(process: psutil.Process) -> str:
    command = " ".join(process.cmdline()) or process.name()
    if "nginx" in process.name():
        return "gateway"
    servers = ("tasks_service", "unmeasured:", "floor:", "fastapi_peer", "drf_peer", "multiprocessing")
    return "service" if any(name in command for name in servers) else "other"
