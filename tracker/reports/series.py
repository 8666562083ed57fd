"""Totals over time: one point per hour, local day or local month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tracker.reports.filters import ALL, SQL, Filters, Store, scopes
from tracker.reports.ranges import Range, Step, steps
from tracker.reports.spans import around, quarters_between
from tracker.reports.spenders import spenders_of_points
from tracker.reports.totals import NOTHING, Totals, totals_of


@dataclass(frozen=True)
class Point:
    """The totals from `start` (aware, in the range's zone) to the next point. Its spenders are those of that time alone."""

    start: datetime
    totals: Totals


async def series(store: Store, team_id: str, covered: Range, step: Step, filters: Filters = ALL) -> list[Point]:
    """A point for every step of the range, with or without traffic. Raises Invalid naming `step` when there are too many."""
    starts = steps(covered, step)
    if not starts:
        return []
    chosen = await scopes(store, team_id, filters)
    if step == "hour":
        rows = await store.fetch(SQL["series_by_quarter"], chosen, covered.start, covered.end, starts)
    else:
        moments = [*starts, covered.end]
        nearest, since, until, signs = around(moments)
        rows = await store.fetch(SQL["series_by_days_around"], chosen, nearest, signs, *quarters_between(since, until))
    fans = await spenders_of_points(store, chosen, covered, starts, step)
    found = {row["point"]: totals_of(dict(row), fans.get(row["point"], 0)) for row in rows}
    return [Point(start.astimezone(covered.zone), found.get(number, NOTHING)) for number, start in enumerate(starts, 1)]
