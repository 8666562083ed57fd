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
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import plot
from loadtests.fans import WORLDS, Judged, Setting, mean, simulate

POOLS = (0.05, 0.10, 0.20, 0.40, 0.60, 0.80, 1.00, 1.20)
PAGE = Path("docs/decisions/0005-attribution-accuracy.md")
MARK = "<!-- written by python -m loadtests.attribution --write -->"


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
