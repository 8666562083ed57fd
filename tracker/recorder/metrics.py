"""What the recorder says about itself: a registry for `/metrics`, and the same as plain values for health checks."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_BUCKETS = (1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000, 10_000)


class Metrics:
    """One recorder process's gauges and counters, per shard."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._lag_entries = Gauge(
            "clickbind_recorder_lag_entries", "Log entries not recorded yet.", ["shard"], registry=self.registry
        )
        self._lag_seconds = Gauge(
            "clickbind_recorder_lag_seconds",
            "Age of the oldest entry not recorded yet.",
            ["shard"],
            registry=self.registry,
        )
        self._committed_at = Gauge(
            "clickbind_recorder_last_commit_timestamp_seconds",
            "When a batch was last stored.",
            ["shard"],
            registry=self.registry,
        )
        self._held = Gauge("clickbind_recorder_shards", "Shards this process records.", registry=self.registry)
        self._recorded = Counter("clickbind_recorder_rows", "Rows stored, by table.", ["table"], registry=self.registry)
        self._batches = Histogram(
            "clickbind_recorder_batch_rows",
            "Rows one recording transaction added.",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self._failures = Counter(
            "clickbind_recorder_failures",
            "Batches that could not be stored or read and are tried again.",
            registry=self.registry,
        )
        self._shards: dict[int, dict[str, Any]] = {}

    def lag(self, shard: int, entries: int, oldest_ms: int | None) -> None:
        """`entries` wait in the shard's log, the oldest since `oldest_ms` (Unix ms)."""
        seconds = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        self._lag_entries.labels(shard).set(entries)
        self._lag_seconds.labels(shard).set(seconds)
        self._shards.setdefault(shard, {}).update(lag_entries=entries, lag_seconds=round(seconds, 3))

    def committed(self, shard: int, clicks: int, visits: int, prefetches: int, rejects: int) -> None:
        """A batch of the shard is stored."""
        now = time.time()
        self._committed_at.labels(shard).set(now)
        self._batches.observe(clicks + visits + prefetches + rejects)
        self._shards.setdefault(shard, {})["last_commit_at"] = now
        for table, count in (
            ("clicks", clicks),
            ("visits", visits),
            ("prefetches", prefetches),
            ("log_rejects", rejects),
        ):
            if count:
                self._recorded.labels(table).inc(count)

    def failed(self) -> None:
        """A read or a write failed and will be tried again."""
        self._failures.inc()

    def held(self, shards: set[int]) -> None:
        """The shards this process records now."""
        self._held.set(len(shards))
        for shard in self._shards.keys() - shards:
            values = self._shards.pop(shard)
            if "lag_entries" in values:
                self._lag_entries.remove(shard)
                self._lag_seconds.remove(shard)
            if "last_commit_at" in values:
                self._committed_at.remove(shard)
        for shard in shards:
            self._shards.setdefault(shard, {})

    def health(self) -> dict[str, Any]:
        """`{"shards": {shard: {"lag_entries", "lag_seconds", "last_commit_at"}}}` of the shards held."""
        return {"shards": {shard: dict(values) for shard, values in sorted(self._shards.items())}}
