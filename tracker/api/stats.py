"""A smart link's figures in the vendor's shapes (upstream 1.2): stats, and ARPS by cohort."""

from __future__ import annotations

from typing import Any, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from tracker.access.caller import Caller
from tracker.api.envelope import envelope
from tracker.api.moments import covered
from tracker.management import smart_links
from tracker.management.services import Services
from tracker.reports.cohorts import WINDOWS, Cohort, cohort_arps
from tracker.reports.filters import Filters
from tracker.reports.series import Point, series
from tracker.reports.totals import total

Basis = Literal["net", "gross"]
ACQUISITION = ("acquisition_start", "acquisition_end")


@get("/api/smart-links/{smart_link_id:str}/stats", permission="reports.view")
async def smart_link_stats(
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
) -> dict[str, Any]:
    """Totals with a daily and a monthly series (UTC) of a smart link; dates default to the last 30 days. Revenue is gross."""
    period = covered(date_start, date_end)
    link = await smart_links.get(services, caller, smart_link_id)
    filters = Filters(smart_link_ids=(link.smart_link_id,))
    daily = await series(services.pool, caller.team_id, period, "day", filters)
    monthly = await series(services.pool, caller.team_id, period, "month", filters)
    totals = await total(services.pool, caller.team_id, period, filters)
    return envelope(
        {
            "summary": {
                "clicks_total": totals.clicks,
                "subs_total": totals.subscribers,
                "revenue_total": money(totals.gross_cents),
                "spenders_total": totals.spenders,
            },
            "daily_metrics": [metric(point) for point in daily],
            "monthly_metrics": [metric(point) for point in monthly],
        }
    )


@get("/api/smart-links/{smart_link_id:str}/cohort-arps", permission="reports.view")
async def smart_link_cohorts(
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    acquisition_start: FromQuery[str | None] = None,
    acquisition_end: FromQuery[str | None] = None,
    revenue_basis: FromQuery[Basis] = "net",
) -> dict[str, Any]:
    """Revenue per subscriber 0 to 365 days after subscribing, for those acquired in a period, per acquisition day or month.

    The vendor does not document its answer; `arps` is null while nobody's window is over.
    """
    period = covered(acquisition_start, acquisition_end, ACQUISITION)
    link = await smart_links.get(services, caller, smart_link_id)
    found = await cohort_arps(services.pool, caller.team_id, (link.smart_link_id,), period, revenue_basis)
    return envelope(
        {
            "revenue_basis": revenue_basis,
            "acquisition_start": period.start.isoformat(),
            "acquisition_end": period.end.isoformat(),
            "summary": cohort(found.total),
            "cohorts": [cohort(each) for each in found.periods if each.subscribers],
        }
    )


def cohort(found: Cohort) -> dict[str, Any]:
    """One cohort: its subscribers, and per window in days how many have had it and what they brought each."""
    return {
        "timestamp": found.start.isoformat(),
        "subscribers": found.subscribers,
        "windows": [
            {
                "days": window,
                "subscribers": found.matured[window],
                "revenue": money(found.cents[window]),
                "arps": None if (cents := found.arps_cents(window)) is None else round(cents / 100, 2),
            }
            for window in WINDOWS
        ],
    }


def metric(point: Point) -> dict[str, Any]:
    """One day or month as the vendor shows it."""
    return {
        "timestamp": point.start.isoformat(),
        "clicks": point.totals.clicks,
        "subs": point.totals.subscribers,
        "revenue": money(point.totals.gross_cents),
        "spenders": point.totals.spenders,
    }


def money(cents: int) -> int | float:
    """Dollars as a JSON number; whole dollars as a whole number, as the vendor's typed clients expect."""
    return cents // 100 if cents % 100 == 0 else cents / 100
