"""Different fans who paid. They do not add up over ranges, but these sums do (docs/decisions/0009-reports.md).

A fan's payments on a link are rows that say when the same fan had paid there before: the fans of a range are its rows whose fan had
not paid within it. How many those are is kept per block of days and per quarter of an hour; rows are read at the ends of a range only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tracker.reports.filters import Store
from tracker.reports.ranges import QUARTER, Range, Step
from tracker.reports.spans import DAY, EPOCH, by_quarters, layers
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.reports", "spenders.sql")


async def spenders(store: Store, scopes: list[str], covered: Range) -> int:
    """How many different fans paid something in the range that was not taken back, through any of the scopes' smart links."""
    told = await _told(store, scopes, {1: (covered.start, covered.end)})
    twice = await _counted_twice(store, scopes, covered, [covered.start])
    return told.get(1, 0) - twice.get(1, 0)


async def spenders_by_link(store: Store, smart_link_ids: list[str], covered: Range) -> dict[str, int]:
    """The same for each of these smart links, where there are any."""
    parts = _parts({1: (covered.start, covered.end)})
    rows = await store.fetch(SQL["spenders_by_link"], smart_link_ids, *parts)
    return {row["scope_id"]: row["fans"] for row in rows if row["fans"]}


async def spenders_of_points(
    store: Store, scopes: list[str], covered: Range, starts: list[datetime], step: Step
) -> dict[int, int]:
    """The same from each of the moments (quarters of an hour, in order) to the next and to the end of the range, by number from 1."""
    if step == "hour":
        rows = await store.fetch(SQL["spenders_by_hour"], scopes, covered.start, covered.end, starts)
        told = {row["point"]: row["fans"] for row in rows}
    else:
        ends = [*starts[1:], covered.end]
        ranges = dict(enumerate(zip(starts, ends, strict=True), 1))
        days = {number: start for number, (start, end) in ranges.items() if end - start == DAY}
        others = {number: ends for number, ends in ranges.items() if number not in days}
        told = await _of_days(store, scopes, days) | await _told(store, scopes, others)
    twice = await _counted_twice(store, scopes, covered, starts)
    return {number: fans - twice.get(number, 0) for number, fans in told.items()}


async def _of_days(store: Store, scopes: list[str], days: dict[int, datetime]) -> dict[int, int]:
    """Of the 24 hours from each of these moments."""
    if not days:
        return {}
    into = {number: (start - EPOCH) % DAY for number, start in days.items()}
    midnights = [start - into[number] for number, start in days.items()]
    quarters = [rest // QUARTER + 1 for rest in into.values()]
    rows = await store.fetch(SQL["spenders_by_day"], scopes, midnights, quarters, list(days))
    return {row["point"]: row["fans"] for row in rows}


async def _told(store: Store, scopes: list[str], ranges: dict[int, tuple[datetime, datetime]]) -> dict[int, int]:
    """Of any ranges, added up over links."""
    if not ranges:
        return {}
    rows = await store.fetch(SQL["spenders"], scopes, *_parts(ranges))
    return {row["point"]: row["fans"] for row in rows}


async def _counted_twice(store: Store, scopes: list[str], covered: Range, starts: list[datetime]) -> dict[int, int]:
    """What adding up over links tells too many, because fans pay through several."""
    rows = await store.fetch(SQL["spenders_counted_twice"], scopes, covered.start, covered.end, starts)
    return {row["point"]: row["fans"] for row in rows}


def _parts(ranges: dict[int, tuple[datetime, datetime]]) -> tuple[list[Any], ...]:
    """The arguments $2 to $14 of `spenders`: blocks, ends and what the blocks tell too many, as columns."""
    blocks, ends, less = [], [], []
    for number, (start, end) in ranges.items():
        span = by_quarters(start, end)
        day = (span.first_day - EPOCH) // DAY
        blocks += [
            (number, layer.days, layer.since, layer.until, day) for layer in layers(span.first_day, span.end_day)
        ]
        ends += [
            (number, since, until, start)
            for since, until in ((start, span.first_day), (span.end_day, end))
            if since < until
        ]
        if start < span.first_day < span.end_day:
            less.append((number, start, span.first_day, span.end_day))
    return (*_columns(blocks, 5), *_columns(ends, 4), *_columns(less, 4))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[list[Any], ...]:
    return tuple([row[column] for row in rows] for column in range(width))
