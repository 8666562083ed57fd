"""How many links a pool needs: enough that 99.9 % of new clicks find one whose lease has ended. Pure.

The claim takes the link whose lease ends first (tracker/edge/claim.lua). With leases of one length that is round robin: a
click shares exactly when as many clicks as there are links came within one lease before it. Clicks arrive independently, so
that number is Poisson with mean (rate x lease length), and the share of shared leases is its tail. Erlang's B formula would
suit a pool that turns clicks away; ours never does, a shared click holds its link too, and B would promise about a tenth of
the sharing that a pool of a thousand links then sees (docs/decisions/0005-attribution-accuracy.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

SHARED_AT_MOST = 0.001
"""The promise of spec 3: 99.9 % of leases exclusive."""

AFTER_WINDOW = timedelta(seconds=60)
"""A lease outlives its window by this much: platform times are floored to the minute."""

AHEAD = 1.2
"""A pool grows to this many times what it needs now."""

_HOUR = 3600.0


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """The new clicks of a pool. `hours`: per hour, oldest first, the last one being the hour that runs.

    `last_hour`: within the last 60 minutes. `window`: the longest of its smart links. `stay`: seconds from a click to its
    latest visit, on average, because a duplicate restarts the lease.
    """

    hours: Sequence[int] = ()
    last_hour: int = 0
    window: timedelta
    stay: float = 0.0

    @property
    def lease(self) -> float:
        """How long a click holds a link, seconds."""
        return (self.window + AFTER_WINDOW).total_seconds() + self.stay

    @property
    def load(self) -> float:
        """Leases that run at once: as in the busiest stretch seen, or as the last hour's rate will bring about if it stays."""
        span = self.lease / _HOUR
        return max(busiest(self.hours, span), self.last_hour * span)


def busiest(hours: Sequence[int], span: float) -> float:
    """Most clicks in any stretch of `span` hours, from counts per hour; an hour's clicks are taken as spread evenly over it."""
    whole = int(span)
    best = 0.0
    for start in range(len(hours)):
        best = max(
            best, sum(hours[start : start + whole]) + sum(hours[start + whole : start + whole + 1]) * (span - whole)
        )
    return best


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool is to hold. `needed`: for 99.9 % exclusive leases; `target`: what the keeper makes; `short`: it has too few now."""

    needed: int
    target: int
    shared_share: float  # of leases, to be expected with the links there are
    short: bool


def forecast(demand: Demand, size: int, *, at_least: int, at_most: int) -> Forecast:
    """The forecast of a pool of `size` usable links. `at_least`, `at_most`: settings pool_target and pool_max.

    An operator who asks for more than pool_max as pool_target gets what was asked for.
    """
    load = demand.load
    needed = needed_links(load)
    target = max(at_least, min(math.ceil(needed * AHEAD), at_most))
    return Forecast(needed=needed, target=target, shared_share=shared_share(load, size), short=size < needed)


def needed_links(load: float, shared_at_most: float = SHARED_AT_MOST) -> int:
    """Fewest links with at most that share of shared leases, for `load` leases running at once. 0 without load."""
    if load <= 0:
        return 0
    low, high = 1, math.ceil(load + 10 * math.sqrt(load)) + 20
    while shared_share(load, high) > shared_at_most:
        high *= 2
    while low < high:
        middle = (low + high) // 2
        if shared_share(load, middle) <= shared_at_most:
            high = middle
        else:
            low = middle + 1
    return low


def shared_share(load: float, links: int) -> float:
    """Share of new leases that must share a link: P(at least `links` leases run), their number being Poisson(load).

    Exact to about nine digits for loads up to a million: terms are ratios of one that is taken from its logarithm.
    """
    if load <= 0:
        return 0.0 if links > 0 else 1.0
    if links <= 0:
        return 1.0
    if links > load:
        return _term(load, links) * _series(load / (links + turn) for turn in range(1, links + 1_000_000))
    below = _term(load, links - 1) * _series((links - turn) / load for turn in range(1, links))
    return max(0.0, 1.0 - below)


def _term(load: float, count: int) -> float:
    return math.exp(count * math.log(load) - load - math.lgamma(count + 1))


def _series(ratios: Iterable[float]) -> float:
    total = term = 1.0
    for ratio in ratios:
        term *= ratio
        total += term
        if term < total * 1e-13:
            break
    return total
