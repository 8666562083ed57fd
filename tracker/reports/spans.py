"""A range in the parts that counters are kept for: days in the middle, hours or quarters of an hour at its ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tracker.reports.ranges import QUARTER, Range

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVER, NEVER = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)  # before and after all there is
BLOCKS = (8, 64)  # days that breakdowns are kept for together, once they are over


class Span(NamedTuple):
    """`start` ≤ `first_day` ≤ `end_day` ≤ `end`: whole days (UTC) from `first_day` to `end_day`, smaller parts around them.

    Without a whole day the three later moments are the same. `rest`: the parts of an hour before `start` and after `end`.
    """

    start: datetime
    first_day: datetime
    end_day: datetime
    end: datetime
    rest: tuple[tuple[datetime, datetime], ...] = ()


def by_quarters(start: datetime, end: datetime) -> Span:
    """Days, and quarters of an hour around them."""
    return _split(start, end)


def by_hours(covered: Range) -> Span:
    """Days, and hours around them; what is no whole hour is left over as `rest`."""
    start, end = _up(covered.start, HOUR), _down(covered.end, HOUR)
    if start > end:
        return Span(start, start, start, start, ((covered.start, covered.end),))
    pieces = ((covered.start, start), (end, covered.end))
    return _split(start, end)._replace(rest=tuple(piece for piece in pieces if piece[0] < piece[1]))


class Blocks(NamedTuple):
    """The days from `since` to `until` as blocks: how many days each has, and where it starts."""

    since: datetime
    until: datetime
    days: list[int]
    starts: list[datetime]


def in_blocks(first_day: datetime, end_day: datetime, closed: Mapping[int, datetime | None]) -> Blocks:
    """The fewest blocks, of those made up to `closed`, for as many days between these midnights (UTC) as they can tell."""
    small, large = (timedelta(days=days) for days in BLOCKS)
    at = since = _up(first_day, small)
    days, starts = [], []
    while True:
        for size in (large, small):
            until = closed.get(size.days)
            if until is not None and at == _down(at, size) and at + size <= min(until, end_day):
                days.append(size.days)
                starts.append(at)
                at += size
                break
        else:
            return Blocks(since, at, days, starts) if starts else Blocks(end_day, end_day, [], [])


class Layer(NamedTuple):
    """Blocks of `days` each, from `since` to `until`."""

    days: int
    since: datetime
    until: datetime


def layers(first_day: datetime, end_day: datetime) -> list[Layer]:
    """The days between these midnights (UTC) as the fewest blocks; blocks of one size lie together in at most two pieces."""
    found, size = [], 1
    for larger in BLOCKS:
        since, until = _up(first_day, timedelta(days=larger)), _down(end_day, timedelta(days=larger))
        if since >= until:
            break
        found += [Layer(size, first_day, since), Layer(size, until, end_day)]
        first_day, end_day, size = since, until, larger
    found.append(Layer(size, first_day, end_day))
    return [layer for layer in found if layer.since < layer.until]


def quarters_between(since: list[datetime], until: list[datetime]) -> tuple[list[datetime], list[int], list[int]]:
    """Pieces of a day (UTC) each, as the day, and from the end of which of its 96 quarters (0: midnight) to the end of which."""
    days = [_down(start, DAY) for start in since]
    return (
        days,
        [(start - day) // QUARTER for start, day in zip(since, days, strict=True)],
        [(end - day) // QUARTER for end, day in zip(until, days, strict=True)],
    )


def around(moments: list[datetime]) -> tuple[list[datetime], list[datetime], list[datetime], list[int]]:
    """The midnight (UTC) nearest to each moment, and what lies between: since, until, and 1 where the midnight comes first, else -1."""
    nearest = [_down(moment + DAY / 2 - timedelta.resolution, DAY) for moment in moments]
    between = [(min(pair), max(pair), 1 if pair[0] <= pair[1] else -1) for pair in zip(nearest, moments, strict=True)]
    return nearest, [each[0] for each in between], [each[1] for each in between], [each[2] for each in between]


def _split(start: datetime, end: datetime) -> Span:
    first, last = _up(start, DAY), _down(end, DAY)
    return Span(start, first, last, end) if first < last else Span(start, end, end, end)


def _down(moment: datetime, unit: timedelta) -> datetime:
    return moment - (moment - EPOCH) % unit


def _up(moment: datetime, unit: timedelta) -> datetime:
    return _down(moment + unit - timedelta.resolution, unit)
