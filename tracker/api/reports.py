"""Reports over HTTP: totals, smart links, series, breakdowns and cohorts of a range of days in a time zone (spec 9).

Common parameters: `date_start` and `date_end` (days, both included; the last 30 days), `time_zone` (IANA name, UTC), and what the
report is of: `account_ids` and `smart_link_ids` (comma-separated), `filter[tags][]`, `filter[platforms][]` ('onlyfans', 'fansly'),
`filter[states][]` ('active', 'paused', 'deleted'), `name`. Money is dollars with two decimals. `as_of`: everything recorded up to
that moment is counted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter

from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, csv, envelope, page
from tracker.attribution.credits import dollars
from tracker.management.errors import Invalid
from tracker.management.services import Services
from tracker.reports import rollups
from tracker.reports.breakdowns import breakdown
from tracker.reports.cohorts import WINDOWS, Cohort, cohort_arps
from tracker.reports.filters import Filters
from tracker.reports.ranges import Range, Step, days, previous
from tracker.reports.series import series
from tracker.reports.totals import Basis, Totals, by_link, total

Csv = Annotated[str | None, QueryParameter(max_length=30_000)]
Names = Annotated[list[str] | None, QueryParameter(name="filter[tags][]", max_items=50)]
Platforms = Annotated[list[str] | None, QueryParameter(name="filter[platforms][]", max_items=2)]
States = Annotated[list[str] | None, QueryParameter(name="filter[states][]", max_items=3)]
PLATFORMS, STATES = ("onlyfans", "fansly"), ("active", "paused", "deleted")


@dataclass(frozen=True)
class Asked:
    """What every report is asked: the range, and the smart links it is of."""

    covered: Range
    filters: Filters


async def asked(
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
    time_zone: FromQuery[str] = "UTC",
    account_ids: Csv = None,
    smart_link_ids: Csv = None,
    tags: Names = None,
    platforms: Platforms = None,
    states: States = None,
    name: FromQuery[str | None] = None,
) -> Asked:
    """The common parameters. Raises Invalid naming the one that is wrong."""
    covered = days(_day("date_start", date_start), _day("date_end", date_end), time_zone)
    links = _csv("smart_link_ids", smart_link_ids)
    return Asked(
        covered,
        Filters(
            smart_link_ids=None if links is None else tuple(link.upper() for link in links),
            account_ids=_csv("account_ids", account_ids),
            tags=tuple(tags) if tags else None,
            platforms=_some_of("filter[platforms][]", platforms, PLATFORMS),
            states=_some_of("filter[states][]", states, STATES),
            name=name or None,
        ),
    )


ASKED = {"report": Provide(asked)}


@get("/api/reports/totals", permission="reports.view", dependencies=ASKED)
async def report_totals(
    report: NamedDependency[Asked],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    basis: FromQuery[Basis] = "gross",
    compare: FromQuery[bool] = False,
) -> dict[str, Any]:
    """The totals of a range; with `compare=true` those of as many days right before, too."""
    found = await total(services.pool, caller.team_id, report.covered, report.filters)
    answer = await _head(services, report, basis) | {"totals": figures(found, basis)}
    if compare:
        before = previous(report.covered)
        earlier = await total(services.pool, caller.team_id, before, report.filters)
        answer["previous"] = {**_dates(before), "totals": figures(earlier, basis)}
    return envelope(answer)


@get("/api/reports/links", permission="reports.view", dependencies=ASKED)
async def report_links(
    request: Request[Any, Any, Any],
    report: NamedDependency[Asked],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    basis: FromQuery[Basis] = "gross",
    sort: FromQuery[str] = "-revenue",
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The smart links with their totals. `sort`: name, created_at or one of the figures; a minus before it: largest first."""
    key, descending = _sort(sort, basis)
    rows = await by_link(
        services.pool, caller.team_id, report.covered, report.filters, key, descending, limit + 1, offset
    )
    told = [
        {
            "smart_link_id": row.smart_link_id,
            "name": row.name,
            "account_id": row.account_id,
            "state": row.state,
            "created_at": row.created_at.isoformat(),
            **figures(row.totals, basis),
        }
        for row in rows
    ]
    return page(request, told, limit, offset)


@get("/api/reports/series", permission="reports.view", dependencies=ASKED)
async def report_series(
    report: NamedDependency[Asked],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    step: FromQuery[Step] = "day",
    basis: FromQuery[Basis] = "gross",
) -> dict[str, Any]:
    """One point per hour, day or month of the time zone, empty ones included; at most 2,500."""
    points = await series(services.pool, caller.team_id, report.covered, step, report.filters)
    told = [{"timestamp": point.start.isoformat(), **figures(point.totals, basis)} for point in points]
    return envelope(await _head(services, report, basis) | {"step": step, "points": told})


@get("/api/reports/breakdown", permission="reports.view", dependencies=ASKED)
async def report_breakdown(
    request: Request[Any, Any, Any],
    report: NamedDependency[Asked],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    dimension: FromQuery[str] = "",
    basis: FromQuery[Basis] = "gross",
    sort: FromQuery[str] = "-clicks",
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Totals per value of a dimension of the click: country, device, browser, os, referrer, utm_source, …, aff_s1, …, ecid, lease.

    `value` is '' for clicks without one, null for all values beyond a smart link's first 2,000 together.
    """
    key, descending = _sort(sort, basis)
    rows = await breakdown(
        services.pool, caller.team_id, report.covered, dimension, report.filters, key, descending, limit + 1, offset
    )
    told = [{"value": row.value, **figures(row.totals, basis)} for row in rows]
    for row in told:
        del row["prefetches"], row["spenders"]
    return page(request, told, limit, offset)


@get("/api/reports/cohorts", permission="reports.view", dependencies=ASKED)
async def report_cohorts(
    report: NamedDependency[Asked],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    step: FromQuery[Literal["day", "month"] | None] = None,
    basis: FromQuery[Basis] = "gross",
) -> dict[str, Any]:
    """Revenue per subscriber 0 to 365 days after subscribing, for those who subscribed in the range, per day or month of that."""
    links = None
    if not report.filters.empty:
        listed = await by_link(services.pool, caller.team_id, report.covered, report.filters, limit=100_000)
        links = tuple(row.smart_link_id for row in listed)
    found = await cohort_arps(services.pool, caller.team_id, links, report.covered, basis, step)
    return envelope(
        {
            **_dates(report.covered),
            "basis": basis,
            "total": _cohort(found.total),
            "cohorts": [_cohort(period) for period in found.periods if period.subscribers],
        }
    )


def figures(totals: Totals, basis: Basis) -> dict[str, Any]:
    """Totals as the API shows them; CR in percent, `revenue` and `arps` of the basis asked for."""
    shown = asdict(totals)
    gross, net = shown.pop("gross_cents"), shown.pop("net_cents")
    arps = totals.arps_cents(basis)
    return {
        **shown,
        "revenue": dollars(totals.cents(basis)),
        "revenue_gross": dollars(gross),
        "revenue_net": dollars(net),
        "cr": None if totals.cr is None else round(totals.cr * 100, 2),
        "arps": None if arps is None else dollars(round(arps)),
    }


def _cohort(cohort: Cohort) -> dict[str, Any]:
    windows = [
        {
            "days": window,
            "subscribers": cohort.matured[window],
            "revenue": dollars(cohort.cents[window]),
            "arps": None if (arps := cohort.arps_cents(window)) is None else dollars(round(arps)),
        }
        for window in WINDOWS
    ]
    return {"timestamp": cohort.start.isoformat(), "subscribers": cohort.subscribers, "windows": windows}


async def _head(services: Services, report: Asked, basis: Basis) -> dict[str, Any]:
    as_of = await rollups.as_of(services.pool)
    return {**_dates(report.covered), "basis": basis, "as_of": as_of.isoformat()}


def _dates(covered: Range) -> dict[str, str]:
    return {
        "date_start": covered.first_day.isoformat(),
        "date_end": covered.last_day.isoformat(),
        "time_zone": covered.zone.key,
    }


def _sort(sort: str, basis: Basis) -> tuple[str, bool]:
    key = sort.removeprefix("-")
    named = {
        "revenue": f"{basis}_cents", "revenue_gross": "gross_cents", "revenue_net": "net_cents", "arps": f"arps_{basis}",
    }  # fmt: skip
    return named.get(key, key), sort.startswith("-")


def _day(field: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise Invalid({field: ["The date must be a day such as 2026-11-22."]}) from None


def _some_of(field: str, given: list[str] | None, known: tuple[str, ...]) -> tuple[str, ...] | None:
    if given and not set(given) <= set(known):
        raise Invalid({field: [f"Each must be one of: {', '.join(known)}."]})
    return tuple(given) if given else None


def _csv(field: str, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    parts = tuple(csv(text) or ())
    if len(parts) > 1000:
        raise Invalid({field: ["At most 1,000 ids can be asked for."]})
    return parts


ROUTES = (report_totals, report_links, report_series, report_breakdown, report_cohorts)
