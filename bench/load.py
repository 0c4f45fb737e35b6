"""Make one measurement with wrk if it is installed, else with our own generator, which uses more CPU."""

import asyncio
import json
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path

LUA = Path(__file__).with_name("request.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """The requests to send. A path that ends in ``/`` gets an id: ``ids`` of them in turn, from ``first`` on."""

    method: str
    path: str
    body: str = ""
    first: int = 0
    ids: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """The result. ``errors`` counts unsuccessful responses and failed connections."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float


def generator() -> str:
    """Return the name of the generator in use."""
    return "wrk" if shutil.which("wrk") else "asyncio"


def run(load: Load, *, port: int, token: str, seconds: float, connections: int) -> Measured:
    """Send the load for ``seconds`` over ``connections`` connections."""
    if generator() == "asyncio":
        return asyncio.run(_Generator(load, port, token).run(seconds, connections))
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "-s", LUA, f"http://127.0.0.1:{port}", "--"]
    values = [load.method, load.path, load.body, token, load.first, load.ids]
    done = subprocess.run([*map(str, command), *map(str, values)], capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


class _Generator:
    def __init__(self, load: Load, port: int, token: str) -> None:
        self.load, self.port, self.token = load, port, token
        self.numbers = cycle(range(load.first, load.first + load.ids)) if load.ids > 1 else count(load.first)
        self.times: list[float] = []
        self.errors = 0

    async def run(self, seconds: float, connections: int) -> Measured:
        started = time.perf_counter()
        await asyncio.gather(*(self._connection(started + seconds) for _ in range(connections)))
        elapsed = time.perf_counter() - started
        cuts = statistics.quantiles(self.times, n=100) if len(self.times) > 1 else [0.0] * 99
        return Measured(len(self.times), elapsed, self.errors, cuts[49] * 1000, cuts[98] * 1000)

    async def _connection(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (sent := time.perf_counter()) < until:
            writer.write(self._request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
            await reader.readexactly(int(length))
            self.times.append(time.perf_counter() - sent)
            self.errors += not head.startswith(b"HTTP/1.1 2")
        writer.close()

    def _request(self) -> bytes:
        path = self.load.path + (str(next(self.numbers)) if self.load.path.endswith("/") else "")
        lines = [f"{self.load.method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.token}"]
        if self.load.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.load.body)}"]
        return "\r\n".join([*lines, "", self.load.body]).encode()
