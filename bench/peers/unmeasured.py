"""The project's own service without its metrics: beside it, this one shows what they cost a request.

They are taken out here, since no request but a benchmark's should go another way through the service.
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

# Only now, since its modules take the names from those above.
from servicekit.http import middleware  # noqa: E402
from tasks_service.wsgi import application  # noqa: E402, F401

if middleware.count_request is not _nothing:
    raise SystemExit("error: this service counts its metrics")
