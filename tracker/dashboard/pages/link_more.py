"""A smart link's cohorts, the health of its pool, and the history of its changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tracker.access import audit
from tracker.access.caller import Caller
from tracker.dashboard.address import address
from tracker.dashboard.pages.link import frame
from tracker.dashboard.period import PRESETS, ZONES, known_zone
from tracker.dashboard.rendering import page
from tracker.dashboard.report import asked
from tracker.inventory import pools
from tracker.management import smart_links
from tracker.management.services import Services
from tracker.reports.cohorts import WINDOWS, Cohort, cohort_arps, cohort_step

SHADES = 6
MOST_ENTRIES = 100


@get("/links/{smart_link_id:str}/cohorts", permission="reports.view", include_in_schema=False)
async def link_cohorts(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """What the subscribers won in the period have brought, each, after so many days: a heat map."""
    link = await smart_links.get(services, caller, smart_link_id)
    report = asked(request)
    found = await cohort_arps(services.pool, caller.team_id, (link.smart_link_id,), report.range, report.basis)
    periods = [cohort for cohort in found.periods if cohort.subscribers]
    return page(
        request, "link/cohorts.html", title=f"Cohorts of {link.name}", caller=caller, services=services,
        **await frame(services, caller, link, "/cohorts"), report=report, where=report.address, presets=PRESETS, zones=ZONES,
        windows=WINDOWS, periods=periods, whole=found.total, step=cohort_step(report.range), shade=shades(periods),
    )  # fmt: skip


@get("/links/{smart_link_id:str}/pool", permission="smart-links.view", include_in_schema=False)
async def link_pool(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """How full the pool is that the link's clicks are served from, and how full it should be."""
    link = await smart_links.get(services, caller, smart_link_id)
    found = await pools.report(services.pool, services.redis, services.settings, caller.team_id, datetime.now(UTC))
    pool = next((one for one in found if one.account_id == link.account_id and one.offer == link.offer), None)
    return page(
        request, "link/pool.html", title=f"Pool of {link.name}", caller=caller, services=services,
        **await frame(services, caller, link, "/pool"), pool=pool,
    )  # fmt: skip


@get("/links/{smart_link_id:str}/history", permission="audit-log.view", include_in_schema=False)
async def link_history(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Who changed what, newest first."""
    link = await smart_links.get(services, caller, smart_link_id)
    where = address(request)
    wanted = audit.Wanted(object_kind="smart_link", object_id=link.smart_link_id)
    before = where.number("before", 0, 10**9) or None
    entries = await audit.entries(services.pool, caller.team_id, wanted, before, MOST_ENTRIES + 1)
    return page(
        request, "link/history.html", title=f"History of {link.name}", caller=caller, services=services,
        **await frame(services, caller, link, "/history"), where=where, entries=entries[:MOST_ENTRIES], more=len(entries) > MOST_ENTRIES,
        zone=ZoneInfo(known_zone(request.cookies.get("zone", ""))),
    )  # fmt: skip


def shades(cohorts: list[Cohort]) -> Any:
    """How dark an amount is drawn, from 0 to 6, against the greatest of the map."""
    most = max((cohort.arps_cents(window) or 0 for cohort in cohorts for window in WINDOWS), default=0)

    def shade(value: float | None) -> int:
        return 0 if not value or value < 0 or not most else max(1, round(SHADES * value / most))

    return shade


HANDLERS = (link_cohorts, link_pool, link_history)
