"""Reading what roles say about themselves: Prometheus' text into numbers, and counters into rates and quantiles. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

WINDOW_SECONDS = 60.0
Buckets = dict[float, float]  # upper bound in seconds, inf last → how many were at most so long


def samples(text: str) -> list[Sample]:
    """All samples of a scrape. Raises ValueError for what is no such text."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(found: Iterable[Sample], name: str) -> float | None:
    """The sum of a metric over its labels; None when it is not told."""
    values = [sample.value for sample in found if sample.name == name]
    return sum(values) if values else None


def greatest(found: Iterable[Sample], name: str) -> float | None:
    """The greatest of a metric over its labels; None when it is not told."""
    return max((sample.value for sample in found if sample.name == name), default=None)


def buckets(found: Iterable[Sample], name: str) -> Buckets:
    """A histogram's cumulated buckets."""
    return {float(one.labels["le"]): one.value for one in found if one.name == f"{name}_bucket" and "le" in one.labels}


def quantile(counted: Mapping[float, float], share: float) -> float | None:
    """The value below which `share` (0 to 1) lies, evenly spread within a bucket; None when nothing was counted.

    What lies beyond the last bound is told as that bound.
    """
    whole = counted.get(math.inf, 0.0)
    if whole <= 0:
        return None
    wanted, lower, below = share * whole, 0.0, 0.0
    for bound in sorted(counted):
        here = counted[bound]
        if here >= wanted:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * ((wanted - below) / (here - below) if here > below else 1.0)
        lower, below = bound, here
    return lower


@dataclass(frozen=True)
class Count:
    """An edge process's counters at a moment (monotonic seconds)."""

    at: float
    requests: float
    claims: Buckets


class Window:
    """The counters of several processes over the last minute. A process that begins anew is another one."""

    def __init__(self) -> None:
        self._processes: dict[str, deque[Count]] = {}

    def note(self, process: str, count: Count) -> None:
        """A process told its counters."""
        self._processes.setdefault(process, deque()).append(count)

    def forget(self, now: float) -> None:
        """Drop what is older than the window; of a process that still tells, one older count stays to subtract from."""
        oldest = now - WINDOW_SECONDS
        for process, counts in list(self._processes.items()):
            while len(counts) > 1 and counts[1].at <= oldest:
                counts.popleft()
            if counts[-1].at < oldest:
                del self._processes[process]

    def rate(self) -> float | None:
        """Requests a second, all processes together; None before any has told twice."""
        pairs = [(counts[0], counts[-1]) for counts in self._processes.values() if counts[-1].at > counts[0].at]
        if not pairs:
            return None
        return sum(max(last.requests - first.requests, 0.0) / (last.at - first.at) for first, last in pairs)

    def claims(self) -> Buckets:
        """How long the claims of the window took."""
        summed: Buckets = {}
        for counts in self._processes.values():
            first, last = counts[0].claims, counts[-1].claims
            for bound, value in last.items():
                summed[bound] = summed.get(bound, 0.0) + max(value - first.get(bound, 0.0), 0.0)
        return summed
