"""Totals over a range: of everything the filters choose, and per smart link.

The vendor's `stats` of a smart link: `summary` is `total(pool, team_id, covered, Filters(smart_link_ids=(id,)))`, its daily and
monthly metrics are `series(…, step="day")` and `series(…, step="month")` of the same range and filters. A smart link as such (its
counters since ever): `by_link(pool, team_id, ranges.all_time(), filters, …)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from tracker.management.errors import Invalid
from tracker.reports.filters import ALL, SQL, Filters, Store, scopes
from tracker.reports.ranges import Range

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


COUNTERS = tuple(field.name for field in fields(Totals))
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


def totals_of(row: Mapping[str, Any]) -> Totals:
    """The totals a query's row holds; absent counters are 0."""
    found = {name: int(row[name] or 0) for name in COUNTERS if name in row.keys()}  # noqa: SIM118 - a record's keys
    found["gross_clicks"] = found.get("clicks", 0) + found.get("duplicates", 0)
    return Totals(**found)


async def total(store: Store, team_id: str, covered: Range, filters: Filters = ALL) -> Totals:
    """The totals of all chosen smart links together."""
    chosen = await scopes(store, team_id, filters)
    row = await store.fetchrow(SQL["total"], chosen, covered.start, covered.end)
    return totals_of(row) if row else NOTHING


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
    rows = await store.fetch(
        SQL["by_link"], team_id, *filters.arguments(), covered.start, covered.end, sort, descending, limit, offset
    )
    return [
        LinkRow(row["smart_link_id"], row["name"], row["account_id"], row["state"], row["created_at"], totals_of(row))
        for row in rows
    ]
