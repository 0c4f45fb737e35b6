"""The project's own service without its metrics, to measure their cost per request.

They are patched out here, so that the service itself needs no switch for a benchmark.
"""

from servicekit.database import statements
from servicekit.http import metrics


class _NoGauge:
    def inc(self) -> None:
        """Count nothing."""

    dec = inc


def _nothing(*_: object, **__: object) -> None:
    """Count nothing."""


metrics.ACTIVE = _NoGauge()
metrics.count_request = _nothing
statements.count_statements = _nothing

# Imported last, since these modules import the names patched above.
from servicekit.http import middleware  # noqa: E402
from tasks_service.wsgi import application  # noqa: E402, F401

if middleware.count_request is not _nothing:
    raise SystemExit("error: this service counts its metrics")
