"""A smart link's clicks, conversions and fans, a page at a time."""

from __future__ import annotations

from typing import Any, get_args

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tracker.access.caller import Caller
from tracker.dashboard.pages.link import frame
from tracker.dashboard.period import PRESETS, ZONES
from tracker.dashboard.rendering import page
from tracker.dashboard.report import asked, read_sort
from tracker.lists import clicks, conversions, fans
from tracker.management import smart_links
from tracker.management.services import Services
from tracker.reports.filters import Filters

PAGE_SIZE = 50
FAN_SORTS: dict[str, fans.Sort] = {
    "revenue": "revenue_gross",
    "net": "revenue_net",
    "tips": "tips_net",
    "messages": "messages_sent_by_fan",
    "won": "converted_at",
}
TYPES = {
    "new_subscriber": "New subscriber",
    "new_transaction": "New transaction",
    "message_received": "Message received",
    "fan_sent_1_message": "First message",
    "fan_sent_3_messages": "Third message",
    "transaction_status": "Payment status",
}
assert tuple(TYPES) == get_args(conversions.Type), "every type has words"


@get("/links/{smart_link_id:str}/clicks", permission="reports.view", include_in_schema=False)
async def link_clicks(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Clicks, newest first; machines and repeated visits when asked for."""
    link = await smart_links.get(services, caller, smart_link_id)
    report = asked(request)
    where = report.address
    wanted = clicks.Wanted(
        links=Filters(smart_link_ids=(link.smart_link_id,)),
        since=report.range.start,
        until=report.range.end,
        include_bots=where.get("bots") == "show",
        include_duplicates=where.get("duplicates") == "show",
        search=where.get("search") or None,
    )
    rows = await clicks.page(
        services.pool, caller.team_id, wanted, limit=PAGE_SIZE + 1, after=where.get("after") or None
    )
    return page(
        request, "link/clicks.html", title=f"Clicks of {link.name}", caller=caller, services=services,
        **await frame(services, caller, link, "/clicks"), report=report, where=where, presets=PRESETS, zones=ZONES,
        rows=rows[:PAGE_SIZE], following=clicks.cursor(rows[PAGE_SIZE - 1]) if len(rows) > PAGE_SIZE else "",
    )  # fmt: skip


@get("/links/{smart_link_id:str}/conversions", permission="reports.view", include_in_schema=False)
async def link_conversions(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Conversions credited to the link, newest first."""
    link = await smart_links.get(services, caller, smart_link_id)
    report = asked(request)
    where = report.address
    kind = where.get("type")
    wanted = conversions.Wanted(
        links=Filters(smart_link_ids=(link.smart_link_id,)),
        since=report.range.start,
        until=report.range.end,
        types=(kind,) if kind in TYPES else conversions.USUAL,
        include_bots=where.get("bots") != "hide",
    )
    rows = await conversions.page(
        services.pool, caller.team_id, wanted, limit=PAGE_SIZE + 1, after=where.get("after") or None
    )
    return page(
        request, "link/conversions.html", title=f"Conversions of {link.name}", caller=caller, services=services,
        **await frame(services, caller, link, "/conversions"), report=report, where=where, presets=PRESETS, zones=ZONES, types=TYPES,
        rows=rows[:PAGE_SIZE], following=conversions.cursor(rows[PAGE_SIZE - 1]) if len(rows) > PAGE_SIZE else "",
    )  # fmt: skip


@get("/links/{smart_link_id:str}/fans", permission="reports.view", include_in_schema=False)
async def link_fans(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Fans won through the link in the period, and what each has brought since."""
    link = await smart_links.get(services, caller, smart_link_id)
    report = asked(request)
    where = report.address
    wanted = fans.Wanted(
        links=Filters(smart_link_ids=(link.smart_link_id,)),
        since=report.range.start,
        until=report.range.end,
        min_net_cents=1 if where.get("spent") == "yes" else None,
    )
    sort, descending = read_sort(where, tuple(FAN_SORTS), "revenue")
    number = where.number("page", 1, 10_000)
    first = (number - 1) * PAGE_SIZE
    rows = await fans.page(
        services.pool,
        caller.team_id,
        wanted,
        sort=FAN_SORTS[sort],
        descending=descending,
        limit=PAGE_SIZE + 1,
        offset=first,
    )
    return page(
        request, "link/fans.html", title=f"Fans of {link.name}", caller=caller, services=services,
        **await frame(services, caller, link, "/fans"), report=report, where=where, presets=PRESETS, zones=ZONES,
        rows=rows[:PAGE_SIZE], more=len(rows) > PAGE_SIZE, number=number, first=first + 1, sort=sort, descending=descending,
        summary=await fans.summary(services.pool, caller.team_id, wanted),
    )  # fmt: skip


HANDLERS = (link_clicks, link_conversions, link_fans)
