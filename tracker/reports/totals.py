"""Totals over a range: of everything the filters choose, and per smart link.

The vendor's `stats` of a smart link: `summary` is `total(pool, team_id, covered, Filters(smart_link_ids=(id,)))`, its daily and
monthly metrics are `series(…, step="day")` and `series(…, step="month")` of the same range and filters. A smart link as such (its
counters since ever): `by_link(pool, team_id, ranges.all_time(), filters, …)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from tracker.management.errors import Invalid
from tracker.reports.filters import ALL, SQL, Filters, Store, scopes
from tracker.reports.ranges import Range
from tracker.reports.spans import by_quarters
from tracker.reports.spenders import spenders, spenders_by_link

Basis = Literal["gross", "net"]
SORTS = (
    "name", "created_at", "clicks", "gross_clicks", "bots", "duplicates", "prefetches", "subscribers", "conversions",
    "gross_cents", "net_cents", "spenders", "cr", "arps_gross", "arps_net",
)  # fmt: skip


@dataclass(frozen=True)
class Totals:
    """Counters of one report row (spec 9). Money is integer cents; revenue is what was paid less what was taken back.

    `clicks`: neither bots nor duplicates. `duplicates`: later visits of a click, counted when they came. `gross_clicks`: both.
    `spenders`: different fans who paid something that was not taken back; they do not add up over rows.
    """

    clicks: int = 0
    gross_clicks: int = 0
    bots: int = 0
    duplicates: int = 0
    prefetches: int = 0
    subscribers: int = 0
    conversions: int = 0
    gross_cents: int = 0
    net_cents: int = 0
    spenders: int = 0

    @property
    def cr(self) -> float | None:
        """Subscribers per click, 0.05 for 5 %; None without clicks."""
        return self.subscribers / self.clicks if self.clicks else None

    def cents(self, basis: Basis) -> int:
        """Revenue, gross or net."""
        return self.gross_cents if basis == "gross" else self.net_cents

    def arps_cents(self, basis: Basis = "gross") -> float | None:
        """Average revenue per subscriber in cents; None without subscribers."""
        return self.cents(basis) / self.subscribers if self.subscribers else None


STORED = ("clicks", "duplicates", "bots", "prefetches", "subscribers", "conversions", "gross_cents", "net_cents")
NOTHING = Totals()


@dataclass(frozen=True)
class LinkRow:
    """One smart link's totals."""

    smart_link_id: str
    name: str
    account_id: str
    state: str
    created_at: datetime
    totals: Totals


def totals_of(row: Mapping[str, Any], fans: int = 0) -> Totals:
    """The totals a query's row holds, and its spenders; absent counters are 0."""
    found = {name: int(row[name] or 0) for name in STORED if name in row}
    return Totals(**found, gross_clicks=found.get("clicks", 0) + found.get("duplicates", 0), spenders=fans)


async def total(store: Store, team_id: str, covered: Range, filters: Filters = ALL) -> Totals:
    """The totals of all chosen smart links together."""
    chosen = await scopes(store, team_id, filters)
    row = await store.fetchrow(SQL["total"], chosen, *by_quarters(covered.start, covered.end)[:4])
    return totals_of(dict(row or {}), await spenders(store, chosen, covered))


async def by_link(
    store: Store,
    team_id: str,
    covered: Range,
    filters: Filters = ALL,
    sort: str = "gross_cents",
    descending: bool = True,
    limit: int = 50,
    offset: int = 0,
) -> list[LinkRow]:
    """The chosen smart links with their totals; links deleted since only if they have any. `sort`: one of SORTS.

    Raises Invalid naming `sort`.
    """
    if sort not in SORTS:
        raise Invalid({"sort": [f"The sort must be one of: {', '.join(SORTS)}; a minus before it turns it round."]})
    links = await store.fetch(SQL["links"], team_id, *filters.arguments())
    ids = [link["smart_link_id"] for link in links]
    rows = await store.fetch(SQL["totals_by_link"], ids, *by_quarters(covered.start, covered.end)[:4])
    found = {row["scope_id"]: totals_of(dict(row)) for row in rows}
    if sort == "spenders":  # they are counted for the page alone, unless the page depends on them
        found = await _with_spenders(store, covered, ids, found)
    listed = [
        LinkRow(
            link["smart_link_id"],
            link["name"],
            link["account_id"],
            link["state"],
            link["created_at"],
            found.get(link["smart_link_id"], NOTHING),
        )
        for link in links
        if link["state"] != "deleted" or link["smart_link_id"] in found
    ]
    page = ordered(listed, sort, descending)[offset : offset + limit]
    if sort != "spenders":
        found = await _with_spenders(store, covered, [row.smart_link_id for row in page], found)
        page = [replace(row, totals=found.get(row.smart_link_id, NOTHING)) for row in page]
    return page


def ordered(rows: list[LinkRow], sort: str, descending: bool) -> list[LinkRow]:
    """Rows by one of SORTS, what has no value last; then the newest link first."""
    rows = sorted(rows, key=lambda row: (row.created_at, row.smart_link_id), reverse=True)
    valued = [(value, row) for row in rows if (value := _value(row, sort)) is not None]
    valued.sort(key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in valued] + [row for row in rows if _value(row, sort) is None]


def _value(row: LinkRow, sort: str) -> Any:
    if sort == "name":
        return row.name.casefold()
    if sort == "created_at":
        return row.created_at
    if sort == "cr":
        return row.totals.cr
    if sort in ("arps_gross", "arps_net"):
        return row.totals.arps_cents("gross" if sort == "arps_gross" else "net")
    return getattr(row.totals, sort)


async def _with_spenders(store: Store, covered: Range, ids: list[str], found: dict[str, Totals]) -> dict[str, Totals]:
    told = await spenders_by_link(store, ids, covered)
    return found | {link_id: replace(found.get(link_id, NOTHING), spenders=fans) for link_id, fans in told.items()}
