"""Metrics by prometheus_client, correct across several processes that start and exit, and cheap (docs/adr/0035).

A metric is a constant in the module that it measures. With METRICS_DIR, its numbers are in a file in that folder, and
the exposition adds up those of all processes; without it, as in tests, they stay in the process.
"""

from bisect import bisect_left
from typing import Any

import prometheus_client.metrics
import prometheus_client.values
from prometheus_client.metrics import Counter, Gauge

from servicekit.metrics.values import SharedValue
from servicekit.process import env

__all__ = ["LATENCY_BUCKETS", "Counter", "Gauge", "Histogram"]

# In seconds, from OpenTelemetry's conventions for durations of HTTP requests and database statements.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

# Before the first metric is created.
if env.get("METRICS_DIR"):
    prometheus_client.values.ValueClass = SharedValue


class Histogram(prometheus_client.metrics.Histogram):
    """A histogram that takes half the library's time for an observation: it checks no labels and keeps no exemplar."""

    def observe(self, amount: float, exemplar: Any = None) -> None:
        """Record the amount."""
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)
