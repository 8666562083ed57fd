"""What every role measures alike: its memory and processor time, its version, its store connections."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tracker import __version__
from tracker.stores.postgres import Pool


def new_registry(role: str) -> CollectorRegistry:
    """A registry with the process's own figures (`process_resident_memory_bytes`, …) and `clickbind_info{role, version}`."""
    registry = CollectorRegistry()
    add_process(registry, role)
    return registry


def add_process(registry: CollectorRegistry, role: str) -> None:
    """The same for a registry that a role has already."""
    ProcessCollector(registry=registry)
    Info("clickbind", "What runs here.", registry=registry).info({"role": role, "version": __version__})


class PoolUse(Collector):
    """How many of a role's PostgreSQL connections are open and how many are at work."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        family = GaugeMetricFamily(
            "clickbind_postgres_connections", "This process's connections to PostgreSQL.", labels=["state"]
        )
        family.add_metric(["used"], size - idle)
        family.add_metric(["idle"], idle)
        yield family
        yield GaugeMetricFamily(
            "clickbind_postgres_connections_limit",
            "Most connections this process opens; when all are used, work waits.",
            self._pool.get_max_size(),
        )
