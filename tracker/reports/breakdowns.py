"""Totals per value of one dimension of the click: country, device, campaign, …"""

from __future__ import annotations

from dataclasses import dataclass

from tracker.management.errors import Invalid
from tracker.reports.filters import ALL, SQL, Filters, Store, scopes
from tracker.reports.ranges import Range
from tracker.reports.spans import by_hours, in_blocks
from tracker.reports.totals import SORTS, Totals, totals_of

DIMENSIONS = (
    "country", "device", "browser", "os", "referrer",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "aff_s1", "aff_s2", "aff_s3", "aff_s4", "aff_s5", "ecid", "lease",
)  # fmt: skip
SORTED_BY = ("value", *(sort for sort in SORTS if sort not in ("name", "created_at", "prefetches", "spenders")))


@dataclass(frozen=True)
class Row:
    """The totals of the clicks with one value, and of the conversions credited to such clicks.

    `value`: '' where the click has none; None for all values beyond a link's first 2,000 of this dimension together.
    Prefetches and spenders are not told by value and stay 0.
    """

    value: str | None
    totals: Totals


async def breakdown(
    store: Store,
    team_id: str,
    covered: Range,
    dimension: str,
    filters: Filters = ALL,
    sort: str = "clicks",
    descending: bool = True,
    limit: int = 50,
    offset: int = 0,
) -> list[Row]:
    """The values of a dimension that had any traffic. Raises Invalid naming `dimension` or `sort`."""
    if dimension not in DIMENSIONS:
        raise Invalid({"dimension": [f"The dimension must be one of: {', '.join(DIMENSIONS)}."]})
    if sort not in SORTED_BY:
        raise Invalid({"sort": [f"The sort must be one of: {', '.join(SORTED_BY)}; a minus before it turns it round."]})
    chosen = await scopes(store, team_id, filters)
    span, number = by_hours(covered), DIMENSIONS.index(dimension) + 1
    odd = []
    if span.rest:
        since, until = [piece[0] for piece in span.rest], [piece[1] for piece in span.rest]
        query = SQL["breakdown_rest"].replace("{value}", SQL["click_value"])
        odd = await store.fetch(query, chosen, number, since, until)
    parts = ([row["value"] for row in odd], [row["counter"] for row in odd], [row["amount"] for row in odd])
    closed = {row["days"]: row["until"] for row in await store.fetch(SQL["closed"])}
    blocks = in_blocks(span.first_day, span.end_day, closed)
    query = SQL["breakdown"].replace("{cells}", "summed" if len(chosen) > 1 else "cells")
    rows = await store.fetch(query, chosen, *span[:4], number, *parts, sort, descending, limit, offset, *blocks)
    return [Row(row["value"], totals_of(dict(row))) for row in rows]
