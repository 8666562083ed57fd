"""Simulated fans whose ground truth is known: clicks arrive and are leased, some lead to a subscription, and the product credits it.

Times are milliseconds.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tracker.attribution.facts import EXACT, FLOORED, MINUTE, Click, ClickVisit, Credit, LinkSubscriber
from tracker.attribution.fold import choose
from tracker.inventory.planning import Demand, needed_links

HOUR = 60 * MINUTE
WINDOW = 6 * HOUR
START = 1_760_011_200_000
CLICKS_PER_HOUR = 300
EVENING = 0.6  # the busiest hour of a day has so much more than the mean, the quietest so much less
CONVERTING = 0.05
RETURNING = 0.08  # visitors who come back once before they decide
LEAKED = 0.01  # subscriptions by somebody the link was passed on to
EXACT_TIMES = 0.5  # subscriptions whose time is known to the second


@dataclass(frozen=True)
class Delays:
    """From the latest visit to the subscription: a lognormal of minutes, and a share who come back within hours."""

    median: float = 3.0  # minutes
    sigma: float = 1.0
    slow_share: float = 0.2
    slow_mean: float = 120.0  # minutes

    def draw(self, source: random.Random) -> int:
        """One delay, milliseconds."""
        if source.random() < self.slow_share:
            return round(source.expovariate(1 / self.slow_mean) * MINUTE)
        return round(source.lognormvariate(math.log(self.median), self.sigma) * MINUTE)


WORLDS = {
    "typical": Delays(),
    "quicker": Delays(median=1.5, sigma=0.8, slow_share=0.12),
    "slower": Delays(median=6.0, sigma=1.1, slow_share=0.3, slow_mean=180.0),
    "more regular": Delays(median=4.0, sigma=0.5, slow_share=0.1, slow_mean=60.0),
}


class LeasePool:
    """claim.lua's rule: the link whose lease ends first is taken; exclusive when that end has passed."""

    def __init__(self, links: int) -> None:
        self.ends = [0] * links
        self._heap = [(0, link) for link in range(links)]

    def take(self, now: int) -> tuple[int, str]:
        """A link for a new click and its lease."""
        while self._heap[0][0] != self.ends[self._heap[0][1]]:
            heapq.heappop(self._heap)  # refreshed since
        end, link = self._heap[0]
        self.hold(link, now)
        return link, "exclusive" if end <= now else "shared"

    def hold(self, link: int, now: int) -> None:
        """A visit restarts its link's lease."""
        self.ends[link] = max(self.ends[link], now + WINDOW + MINUTE)
        heapq.heappush(self._heap, (self.ends[link], link))


@dataclass
class Judged:
    """One subscription, its credit, and the click that really led to it (None: a stranger's)."""

    credit: Credit
    truth: str | None

    @property
    def right(self) -> bool:
        """Whether the click that led to it got the credit."""
        return self.credit.click is not None and self.credit.click.click_id == self.truth


@dataclass
class Setting:
    """What came of one pool size."""

    share: float
    links: int
    leases: int = 0
    shared: int = 0
    judged: list[Judged] = field(default_factory=list)

    def credited(self, *, certain: bool | None = None) -> list[Judged]:
        """Subscriptions credited to a click; of those, the certain or the uncertain ones."""
        found = [one for one in self.judged if one.credit.click is not None]
        return found if certain is None else [one for one in found if (one.credit.confidence == 1) is certain]

    def precision(self, *, certain: bool | None = None) -> float:
        """Right among the credited."""
        return mean(one.right for one in self.credited(certain=certain))

    def recall(self) -> float:
        """Right among those that a click of ours led to."""
        return mean(one.right for one in self.judged if one.truth is not None)


def mean(values: Iterable[float]) -> float:
    """The mean; NaN of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else math.nan


def arrivals(clicks: int, source: random.Random) -> Iterator[int]:
    """Times of new clicks: independent of each other, more in the evening than in the morning."""
    now = float(START)
    for _ in range(clicks):
        while True:  # thinning: draw at the highest rate, keep in proportion to the rate of the moment
            now += source.expovariate(CLICKS_PER_HOUR * (1 + EVENING)) * HOUR
            wave = 1 + EVENING * math.sin(2 * math.pi * (now - START) / (24 * HOUR))
            if source.random() * (1 + EVENING) < wave:
                break
        yield round(now)


def need(times: Sequence[int]) -> int:
    """The links the product would ask for, from the clicks per hour."""
    hours = [0] * (1 + (times[-1] - START) // HOUR)
    for at in times:
        hours[(at - START) // HOUR] += 1
    return needed_links(Demand(hours=hours, window=timedelta(milliseconds=WINDOW)).load)


def simulate(share: float, delays: Delays, subscriptions: int, seed: int, leaked: float = LEAKED) -> Setting:
    """One pool size against one world. The same seed gives every pool size the same visitors.

    `leaked`: the share of subscriptions by somebody the link was passed on to.
    """
    source = random.Random(seed)
    times = list(arrivals(round(subscriptions / CONVERTING), source))
    setting = Setting(share, max(1, round(share * need(times))))
    pool = LeasePool(setting.links)
    visits: list[tuple[int, str, bool]] = []
    ends: dict[str, int] = {}  # click → its subscription
    for number, now in enumerate(times):
        name, last = f"{number:026d}", now
        visits.append((now, name, True))
        if source.random() < RETURNING:
            last += round(source.expovariate(1 / 15) * MINUTE)
            visits.append((last, name, False))
        if source.random() < CONVERTING:
            ends[name] = last + delays.draw(source)
    held: dict[str, tuple[int, str]] = {}
    seen: dict[str, list[int]] = defaultdict(list)
    for at, name, first in sorted(visits):
        if first:
            held[name] = pool.take(at)
        else:
            pool.hold(held[name][0], at)
        seen[name].append(at)
    leases: dict[int, list[Click]] = defaultdict(list)
    for name, (link, lease) in held.items():
        marks = tuple(ClickVisit(at, link, True) for at in seen[name])
        leases[link].append(Click(name, "ad", name, lease, WINDOW, "", marks))
    warm = START + WINDOW
    counted = [lease for name, (_, lease) in held.items() if seen[name][0] >= warm]
    setting.leases, setting.shared = len(counted), counted.count("shared")
    for name, at in ends.items():
        if seen[name][0] < warm:
            continue
        truth: str | None = name
        if source.random() < leaked:
            at, truth = seen[name][0] + round(source.random() * 2 * WINDOW), None
        setting.judged.append(Judged(_credit(held[name][0], at, leases, source), truth))
    return setting


def _credit(link: int, at: int, leases: dict[int, list[Click]], source: random.Random) -> Credit:
    precision, step = (EXACT, 1000) if source.random() < EXACT_TIMES else (FLOORED, MINUTE)
    told = at - at % step
    return choose([LinkSubscriber("link", told, precision, told, link)], leases)[0]
