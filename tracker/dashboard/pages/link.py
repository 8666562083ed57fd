"""A smart link's page: its address for each network, its numbers, their course and their breakdown."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tracker.access.caller import Caller
from tracker.dashboard.choices import choices
from tracker.dashboard.networks import VARIANTS, variant
from tracker.dashboard.pages.overview import earlier, tiles
from tracker.dashboard.period import PRESETS, ZONES
from tracker.dashboard.qr import qr_code
from tracker.dashboard.rendering import page
from tracker.dashboard.report import asked, chart, filters, read_sort, so_far
from tracker.management import smart_links
from tracker.management.services import Services
from tracker.management.smart_links import SmartLink
from tracker.reports.breakdowns import DIMENSIONS, breakdown
from tracker.reports.series import series
from tracker.reports.totals import total

TABS = {
    "": "Performance",
    "/clicks": "Clicks",
    "/conversions": "Conversions",
    "/fans": "Fans",
    "/cohorts": "Cohorts",
    "/pool": "Pool",
    "/history": "History",
}
NEEDED = {"/history": "audit-log.view"} | dict.fromkeys(
    ("/clicks", "/conversions", "/fans", "/cohorts"), "reports.view"
)
LABELS = {
    "country": "Country",
    "device": "Device",
    "browser": "Browser",
    "os": "System",
    "referrer": "Referrer",
    "ecid": "ecid",
    "lease": "Lease",
} | {name: name.replace("utm_", "utm ").replace("aff_", "aff ") for name in DIMENSIONS if "_" in name}
SORTS = ("value", "clicks", "subscribers", "cr", "revenue", "arps", "bots")
PAGE_SIZE = 25


@get("/links/{smart_link_id:str}", permission="smart-links.view", include_in_schema=False)
async def link_page(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Address and numbers."""
    link = await smart_links.get(services, caller, smart_link_id)
    report = asked(request)
    where = report.address
    wanted = filters(where, [link.smart_link_id])
    dimension = where.get("by") if where.get("by") in DIMENSIONS else "country"
    sort, descending = read_sort(where, SORTS, "clicks")
    column = {"revenue": f"{report.basis}_cents", "arps": f"arps_{report.basis}"}.get(sort, sort)
    number = where.number("page", 1, 10_000)
    db, team = services.pool, caller.team_id
    now, before, points, rows = await asyncio.gather(
        total(db, team, report.range, wanted),
        earlier(services, caller, report, wanted),
        series(db, team, report.range, report.period.step, wanted),
        breakdown(
            db, team, report.range, dimension, wanted, column, descending, PAGE_SIZE + 1, (number - 1) * PAGE_SIZE
        ),
    )
    points = so_far(points)
    network = variant(where.get("network"))
    url = link.url(services.settings.base_url)
    return page(
        request,
        "link/performance.html",
        title=link.name,
        caller=caller,
        services=services,
        **await frame(services, caller, link, ""),
        report=report,
        where=where,
        tiles=tiles(report, now, before, points),
        total=now,
        chart=chart(points, report),
        presets=PRESETS,
        zones=ZONES,
        network=network,
        networks=VARIANTS,
        ad_url=network.address(url),
        qr=qr_code(url, "QR code of the plain address"),
        dimension=dimension,
        dimensions=LABELS,
        rows=rows[:PAGE_SIZE],
        most=max((row.totals.clicks for row in rows), default=0) or 1,
        more=len(rows) > PAGE_SIZE,
        number=number,
        first=(number - 1) * PAGE_SIZE + 1,
        sort=sort,
        descending=descending,
        notice="made" if where.get("made") else "changed" if where.get("changed") else "",
    )


async def frame(services: Services, caller: Caller, link: SmartLink, tab: str) -> dict[str, Any]:
    """What every tab of a smart link shows around itself."""
    return {
        "link": link,
        "account": (await choices(services.pool, caller.team_id)).label(link.account_id),
        "tabs": {end: label for end, label in TABS.items() if caller.may(NEEDED.get(end, "smart-links.view"))},
        "tab": tab,
        "home": f"/links/{link.smart_link_id}",
    }


HANDLERS = (link_page,)
