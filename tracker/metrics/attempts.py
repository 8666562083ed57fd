"""How deliveries go out, as this worker sends them: attempts by kind of destination and outcome, and the time each took."""

from __future__ import annotations

from collections import Counter as Counts

from prometheus_client import CollectorRegistry, Counter, Histogram

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)  # seconds


class Attempts:
    """Counters of one dispatcher. `observe` is what `DispatcherConfig.observe` wants."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = Counter(
            "clickbind_delivery_attempts", "Attempts by kind and outcome, one per event.", ["kind", "outcome"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "clickbind_delivery_attempt_seconds", "Time of one attempt, request to judged answer.", ["kind"],
            buckets=BUCKETS, registry=registry,
        )  # fmt: skip

    def observe(self, kind: str, outcomes: list[str], seconds: float) -> None:
        """One attempt of `kind` took `seconds` and ended so for each of its events."""
        self._seconds.labels(kind).observe(seconds)
        for outcome, count in Counts(outcomes).items():
            self._outcomes.labels(kind, outcome).inc(count)
