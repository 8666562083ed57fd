"""Cohort ARPS: what the subscribers won in a period have brought after so many days.

The vendor's `cohort-arps` of a smart link: `cohort_arps(pool, team_id, (id,), days(acquisition_start, acquisition_end, "UTC"), basis)`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tracker.reports.filters import SQL, Filters, Store, scopes
from tracker.reports.ranges import Range, Step, steps
from tracker.reports.spans import DAY, EPOCH
from tracker.reports.totals import Basis

WINDOWS = (0, 1, 3, 7, 14, 30, 60, 90, 180, 365)  # days


@dataclass(frozen=True)
class Cohort:
    """The fans acquired from `start` on.

    Per window in days: `matured`, those of the `subscribers` whose window is over; `cents`, what these brought in it. Window 0
    is a fan's first 24 hours, window n what came until n days after those were over.
    """

    start: datetime
    subscribers: int
    matured: dict[int, int]
    cents: dict[int, int]

    def arps_cents(self, window: int) -> float | None:
        """Cents per subscriber after that many days; None while nobody's window is over."""
        return self.cents[window] / self.matured[window] if self.matured[window] else None


@dataclass(frozen=True)
class Cohorts:
    """Per acquisition period, and over the whole range."""

    periods: list[Cohort]
    total: Cohort


def cohort_step(acquisition: Range) -> Step:
    """Days for up to 62 of them, else months."""
    return "day" if (acquisition.last_day - acquisition.first_day).days < 62 else "month"


async def cohort_arps(
    store: Store,
    team_id: str,
    smart_link_ids: tuple[str, ...] | None,
    acquisition: Range,
    basis: Basis = "gross",
    step: Step | None = None,
    now: datetime | None = None,
) -> Cohorts:
    """ARPS by days since subscribing, for the fans who subscribed through these smart links (None: all of the team) in the range.

    A fan is acquired once per smart link, with the first subscription through it, and brings what payments credited to that link
    bring from ten minutes before it on (spec 11: its own payment may be told that much earlier). Whether a window is over is told by
    the quarter of an hour in which the fan was acquired. Raises Invalid naming `step`.
    """
    starts = steps(acquisition, step or cohort_step(acquisition))
    chosen = await scopes(store, team_id, Filters(smart_link_ids=smart_link_ids))
    now = now or datetime.now(UTC)
    rows = await store.fetch(
        SQL["cohorts"], chosen, acquisition.start, acquisition.end, starts, _split(acquisition, starts, now), now
    )
    periods = [
        Cohort(start.astimezone(acquisition.zone), 0, dict.fromkeys(WINDOWS, 0), dict.fromkeys(WINDOWS, 0))
        for start in starts
    ]
    for row in rows:
        matured = {window: int(row[f"matured_{window}"] or 0) for window in WINDOWS}
        cents = {window: int(row[f"{basis}_{window}"] or 0) for window in WINDOWS}
        periods[row["point"] - 1] = replace(
            periods[row["point"] - 1], subscribers=row["subscribers"], matured=matured, cents=cents
        )
    total = Cohort(
        acquisition.start.astimezone(acquisition.zone),
        sum(period.subscribers for period in periods),
        {window: sum(period.matured[window] for period in periods) for window in WINDOWS},
        {window: sum(period.cents[window] for period in periods) for window in WINDOWS},
    )
    return Cohorts(periods, total)


def _split(acquisition: Range, starts: list[datetime], now: datetime) -> list[datetime]:
    """The days (UTC) that belong to a period, or are over for a window, only in part."""
    days = {moment - (moment - EPOCH) % DAY for moment in (*starts, acquisition.end) if (moment - EPOCH) % DAY}
    today = now - (now - EPOCH) % DAY
    return sorted(days | {today - timedelta(days=window + 1) for window in WINDOWS})
