"""How right the credits are: days of simulated traffic whose ground truth is known, through the product's own decisions.

    python -m loadtests.attribution [--seed N] [--subscriptions N] [--write]

Clicks arrive at random and are leased by the rule of tracker/edge/claim.lua (least lease end first, duplicates restart the
lease); some of them lead to a subscription after a while, whose time the platform tells floored to the minute or to the
second; some subscriptions come through a link that was passed on. tracker.attribution.fold.choose then credits them.
Pools hold from 5 % to 120 % of the links that tracker.inventory.planning asks for. `--write` puts the tables into
docs/decisions/0005-attribution-accuracy.md and the plot beside it.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from loadtests import plot
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
POOLS = (0.05, 0.10, 0.20, 0.40, 0.60, 0.80, 1.00, 1.20)
PAGE = Path("docs/decisions/0005-attribution-accuracy.md")
MARK = "<!-- written by python -m loadtests.attribution --write -->"


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


@dataclass(frozen=True)
class Bin:
    """Uncertain credits whose stated confidence lies in one tenth: how many, what was said, what came true."""

    count: int
    said: float
    right: float


def reliability(judged: Iterable[Judged]) -> list[Bin]:
    """Bins of a tenth each, empty ones left out; credits that claim certainty stand apart."""
    bins: dict[int, list[Judged]] = defaultdict(list)
    for one in judged:
        if one.credit.click is not None and one.credit.confidence < 1:
            bins[int(one.credit.confidence * 10)].append(one)
    return [
        Bin(len(found), mean(one.credit.confidence for one in found), mean(one.right for one in found))
        for _, found in sorted(bins.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: the mean distance of what was said from what came true, weighted by credits."""
    return sum(abs(one.said - one.right) * one.count for one in bins) / max(1, sum(one.count for one in bins))


def study(subscriptions: int, seed: int) -> dict[str, list[Setting]]:
    """Every world with every pool size."""
    return {name: [simulate(share, world, subscriptions, seed) for share in POOLS] for name, world in WORLDS.items()}


def tables(results: Mapping[str, Sequence[Setting]]) -> str:
    """The results as Markdown."""
    lines = []
    for name, settings in results.items():
        world = WORLDS[name]
        lines += [
            f"### {name.capitalize()} fans: median {world.median:g} min (sigma {world.sigma:g}), {world.slow_share:.0%} later, "
            f"{world.slow_mean:g} min on average",
            "",
            "| pool, % of need | links | leases shared | credits | precision | recall | certain credits | of them right | shared credits | of them right |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for one in settings:
            sure, unsure = one.credited(certain=True), one.credited(certain=False)
            lines.append(
                f"| {one.share:.0%} | {one.links} | {one.shared / one.leases:.1%} | {len(one.credited())} | {_percent(one.precision())}"
                f" | {_percent(one.recall())} | {len(sure)} | {_percent(one.precision(certain=True))}"
                f" | {len(unsure)} | {_percent(one.precision(certain=False))} |"
            )
        lines.append("")
    lines += ["### Does a confidence come true?", "", "Shared credits of all pool sizes: said → right (credits).", ""]
    binned = {
        name: reliability(one for setting in settings for one in setting.judged) for name, settings in results.items()
    }
    for name, bins in binned.items():
        told = ", ".join(f"{one.said:.0%} → {one.right:.0%} ({one.count})" for one in bins)
        lines.append(f"- **{name}**: {told}. Expected calibration error {calibration_error(bins):.3f}.")
    return "\n".join(lines) + "\n"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def draw(results: Mapping[str, Sequence[Setting]]) -> str:
    """Two panels as SVG: precision and recall by pool size in the typical world; what was said against what came true."""
    typical = next(iter(results.values()))
    left = [
        plot.Line("precision", [(one.share * 100, one.precision() * 100) for one in typical]),
        plot.Line("recall", [(one.share * 100, one.recall() * 100) for one in typical], dashed=True),
        plot.Line(
            "precision of shared credits",
            [(one.share * 100, one.precision(certain=False) * 100) for one in typical if one.credited(certain=False)],
        ),
    ]
    right = [plot.Line("as it should be", [(0, 0), (100, 100)], dashed=True)]
    for name, settings in results.items():
        bins = reliability(one for setting in settings for one in setting.judged)
        right.append(plot.Line(name, [(one.said * 100, one.right * 100) for one in bins if one.count >= 30]))
    return plot.svg(
        plot.Panel("Typical fans", "pool, % of the links needed", "% right", (0, 120), (70, 100), left),
        plot.Panel("Confidence of shared credits", "said, %", "came true, %", (0, 100), (0, 100), right),
    )


def main() -> None:
    """Run the study; print it, and write it down when asked."""
    parser = argparse.ArgumentParser(description="Precision, recall and calibration of credits against ground truth.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--subscriptions", type=int, default=5000, help="subscriptions per setting (default 5000)")
    parser.add_argument("--write", action="store_true", help="write tables and plot to docs/decisions")
    options = parser.parse_args()
    results = study(options.subscriptions, options.seed)
    text = tables(results)
    print(text)
    if options.write:
        page = PAGE.read_text()
        PAGE.write_text(page[: page.index(MARK)] + f"{MARK}\n\n{text}")
        PAGE.with_suffix(".svg").write_text(draw(results))


if __name__ == "__main__":
    main()
