"""The application server lets idle threads go: neither the process nor the number of its connections may suffer."""

import os
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import requests

from .conftest import CHECKOUT, wait_for

THREADS = 4
IDLE_SECONDS = 5  # The least that granian takes.


def test_a_service_outlives_its_idle_threads_and_keeps_no_connections_of_theirs(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = tmp_path / "db.sqlite3"
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": f"sqlite:///{database}",
        "REDIS_URL": "unix:///nonexistent/redis.sock",
        "JWT_KEYS": "idle:" + "k" * 48,
        "TASKS_SECRET_KEY": "t" * 48,
    }
    programs, service = CHECKOUT / "var/env/tasks/bin", CHECKOUT / "services/tasks"
    subprocess.run([programs / "python", "manage.py", "migrate", "-v0"], cwd=service, env=environment, check=True)
    server = subprocess.Popen(
        [programs / "granian", "--interface", "wsgi", "--port", str(port), "--workers", "1", "--blocking-threads",
         str(THREADS), "--blocking-threads-idle-timeout", str(IDLE_SECONDS), "tasks_service.wsgi:application"],
        cwd=service,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ready() -> bool | None:
        try:
            return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200 or None
        except requests.ConnectionError:
            return None

    try:
        wait_for(ready, within=20)
        [worker] = psutil.Process(server.pid).children()
        for _ in range(3):
            with ThreadPoolExecutor(max_workers=16) as pool:
                assert all(pool.map(lambda _: ready(), range(100)))
            opened = [file for file in worker.open_files() if file.path == str(database)]
            # Those of the threads that serve now, and of fewer before them.
            assert 1 <= len(opened) < 2 * THREADS
            time.sleep(IDLE_SECONDS + 2)
        assert worker.is_running()
        assert ready()
    finally:
        server.terminate()
        server.wait(timeout=10)
