"""The application server stops idle threads: the process continues, and database connections do not accumulate."""

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from support.commands import output_of, run_in_service
from support.environment import new_secrets
from support.http import responds
from support.paths import CHECKOUT, ENVIRONMENTS
from support.ports import free_port
from support.waiting import wait_until

THREADS = 4
IDLE_SECONDS = 5  # granian's minimum.


def test_a_service_outlives_its_idle_threads_and_keeps_no_connections_of_theirs(tmp_path: Path) -> None:
    port = free_port()
    database = tmp_path / "db.sqlite3"
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": f"sqlite:///{database}",
        "REDIS_URL": "unix:///nonexistent/redis.sock",
        **new_secrets(),
    }
    output_of(run_in_service("tasks", "manage.py", "migrate", "-v0", env=environment))
    threads = ("--blocking-threads", str(THREADS), "--blocking-threads-idle-timeout", str(IDLE_SECONDS))
    server = subprocess.Popen(
        [ENVIRONMENTS / "tasks/bin/granian", "--interface", "wsgi", "--port", str(port), "--workers", "1", *threads,
         "tasks_service.wsgi:application"],
        cwd=CHECKOUT / "services/tasks",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ready() -> bool:
        return responds(f"http://127.0.0.1:{port}/readyz")

    try:
        wait_until(ready, timeout=20)
        [worker] = psutil.Process(server.pid).children()
        for _ in range(3):
            with ThreadPoolExecutor(max_workers=16) as pool:
                assert all(pool.map(lambda _: ready(), range(100)))
            opened = [file for file in worker.open_files() if file.path == str(database)]
            # Opened by the current threads and by fewer earlier ones.
            assert 1 <= len(opened) < 2 * THREADS
            time.sleep(IDLE_SECONDS + 2)
        assert worker.is_running()
        assert ready()
    finally:
        server.terminate()
        server.wait(timeout=10)
