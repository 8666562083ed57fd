"""What the edge counts. Plain integers on the click path; turned into Prometheus metrics when they are asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # seconds


class Metrics(Collector):
    """Counters of one edge process."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()  # by outcome
        self.unrecorded = 0
        self.spilled = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._claim_seconds = 0.0
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        """Add a value that is read when metrics are asked for."""
        self._gauges.append((name, help, read))

    def observe_claims(self, seconds: float, commands: int) -> None:
        """Note that `commands` sent together were answered after `seconds`."""
        self._buckets[bisect_left(BUCKETS, seconds)] += commands
        self._claim_seconds += seconds * commands

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        requests = CounterMetricFamily("clickbind_edge_requests", "Requests to /go/ by outcome.", labels=["outcome"])
        for outcome, count in self.requests.items():
            requests.add_metric([outcome], count)
        yield requests
        yield CounterMetricFamily(
            "clickbind_edge_clicks_unrecorded", "Clicks redirected but neither logged nor spilled.", self.unrecorded
        )
        yield CounterMetricFamily("clickbind_edge_clicks_spilled", "Clicks written to the local spill.", self.spilled)
        total, cumulated = 0, []
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], self._buckets, strict=True):
            total += count
            cumulated.append((bound, float(total)))
        histogram = HistogramMetricFamily("clickbind_edge_claim_seconds", "Time from sending a claim to its answer.")
        histogram.add_metric([], cumulated, self._claim_seconds)
        yield histogram
        for name, text, read in self._gauges:
            yield GaugeMetricFamily(name, text, read())

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
