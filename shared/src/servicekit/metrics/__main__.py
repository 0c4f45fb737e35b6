"""Serve the metrics of many parts on METRICS_ADDRESS: ``python -m servicekit.metrics``.

METRICS_DIR contains the parts' folders, if they are on this machine. nginx cannot serve metrics itself: GATEWAY_ANSWERS
is the socket that it sends datagrams to, GATEWAY_STATUS the socket of its stub_status, or else GATEWAY_PORT its port on
this machine, and GATEWAY_TLS the host:port of its TLS, if it has that.
"""

import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client.metrics_core import Metric

from servicekit.metrics import folder, gateway
from servicekit.metrics.exposition import Server, Source, address
from servicekit.process import env

PARTS = ("auth", "tasks", "scheduler", "worker", "sender", "beat", "relay")


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(_sources()).serve_forever()


def _sources() -> dict[str, Source]:
    sources: dict[str, Source] = {}
    if env.get("METRICS_DIR"):
        sources |= {part: partial(folder.read, folder.folder_from_env() / part) for part in PARTS}
    if env.get("GATEWAY_ANSWERS"):
        tls = address("GATEWAY_TLS") if env.get("GATEWAY_TLS") else None
        sources["gateway"] = partial(_gateway, gateway.ResponseCounter(Path(env.get("GATEWAY_ANSWERS"))), tls)
    return sources


def _gateway(responses: gateway.ResponseCounter, tls: tuple[str, int] | None) -> Iterator[Metric]:
    yield from responses.collect()
    if env.get("GATEWAY_STATUS"):
        yield from gateway.stub_status(Path(env.get("GATEWAY_STATUS")))
    elif env.get("GATEWAY_PORT"):
        yield from gateway.connections_to(int(env.get("GATEWAY_PORT")), *([tls[1]] if tls else []))
    if tls:
        yield from gateway.certificate(tls)


if __name__ == "__main__":
    main()
