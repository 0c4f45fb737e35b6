"""A histogram counts like the library's own."""

import prometheus_client.metrics
import pytest

from servicekit.metrics import Histogram


@pytest.mark.parametrize("amount", [-1.0, 0.0, 0.1, 0.5, 0.50001, 1, 1.5, float("inf")])
def test_observation_is_counted_in_the_same_bucket(amount: float) -> None:
    own, theirs = (
        kind("duration_seconds", "Durations.", ["route"], buckets=(0.5, 1.0), registry=None)
        for kind in (Histogram, prometheus_client.metrics.Histogram)
    )
    for histogram in (own, theirs):
        histogram.labels("/api/tasks").observe(0.2)
        histogram.labels("/api/tasks").observe(amount)

    def samples(histogram: prometheus_client.metrics.Histogram) -> list[tuple[str, dict[str, str], float]]:
        [metric] = histogram.collect()
        return [(s.name, s.labels, s.value) for s in metric.samples if not s.name.endswith("_created")]

    assert samples(own) == samples(theirs)
    assert ("duration_seconds_count", {"route": "/api/tasks"}, 2.0) in samples(own)
