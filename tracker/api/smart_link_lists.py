"""A smart link's clicks, conversions, fans and spenders in the vendor's shapes (upstream 1.2), and our columns beside them."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, envelope, page
from tracker.api.moments import covered, moment
from tracker.api.rows import click_row, conversion_row, fan_row, spender_row
from tracker.api.stats import money
from tracker.lists import clicks, conversions, fans
from tracker.management import smart_links
from tracker.management.services import Services
from tracker.management.smart_links import SmartLink
from tracker.reports.filters import Filters
from tracker.reports.ranges import Range
from tracker.reports.series import series

FanSort = Literal[
    "revenue_net", "-revenue_net", "tips_net", "-tips_net", "messages_sent_by_fan", "-messages_sent_by_fan",
    "converted_at", "-converted_at",
]  # fmt: skip
Dollars = Annotated[float | None, QueryParameter(ge=0, le=10_000_000)]


@get("/api/smart-links/{smart_link_id:str}/clicks", permission="reports.view")
async def smart_link_clicks(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
    limit: Limit = 100,
    offset: Offset = 0,
    include_bots: FromQuery[bool] = True,
    include_duplicates: FromQuery[bool] = True,
) -> dict[str, Any]:
    """Clicks, newest first; a repeated visit is a row of its own. Without dates: since the link was made."""
    link = await smart_links.get(services, caller, smart_link_id)
    period = _period(link, date_start, date_end)
    only = Filters(smart_link_ids=(link.smart_link_id,))
    wanted = clicks.Wanted(
        links=only,
        since=period.start,
        until=period.end,
        include_bots=include_bots,
        include_duplicates=include_duplicates,
    )
    rows = await clicks.page(services.pool, caller.team_id, wanted, limit=limit + 1, offset=offset)
    days = [
        (
            point.start,
            point.totals.clicks
            + (point.totals.bots if include_bots else 0)
            + (point.totals.duplicates if include_duplicates else 0),
        )
        for point in await series(services.pool, caller.team_id, period, "day", only)
    ]
    data = {
        "summary": {"clicks_total": sum(count for _, count in days)},
        "chart": [{"timestamp": start.isoformat(), "clicks": count} for start, count in days],
        "filters": {
            **_echo(period, limit, offset),
            "include_bots": include_bots,
            "include_duplicates": include_duplicates,
        },
        "rows": [click_row(row) for row in rows[:limit]],
    }
    return {**envelope(data), "_pagination": page(request, rows, limit, offset)["_pagination"]}


@get("/api/smart-links/{smart_link_id:str}/conversions", permission="reports.view")
async def smart_link_conversions(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
    limit: Limit = 100,
    offset: Offset = 0,
    conversion_type: FromQuery[conversions.Type | None] = None,
    onlyfans_user_id: FromQuery[str | None] = None,
    include_bots: FromQuery[bool] = True,
    include_duplicates: FromQuery[bool] = True,
) -> dict[str, Any]:
    """Conversions, newest first, each with its fan and click. Without dates: since the link was made."""
    link = await smart_links.get(services, caller, smart_link_id)
    period = _period(link, date_start, date_end)
    wanted = conversions.Wanted(
        links=Filters(smart_link_ids=(link.smart_link_id,)),
        since=period.start,
        until=period.end,
        types=conversions.USUAL if conversion_type is None else (conversion_type,),
        fan_id=onlyfans_user_id or None,
        include_bots=include_bots,
    )
    rows = await conversions.page(services.pool, caller.team_id, wanted, limit=limit + 1, offset=offset)
    days = await conversions.days(services.pool, caller.team_id, wanted)
    data = {
        "summary": {
            "conversions_total": sum(day.conversions for day in days),
            "subscribers_total": sum(day.subscribers for day in days),
            "revenue_total": money(sum(day.gross_cents for day in days)),
        },
        "chart": [
            {"timestamp": day.day.replace(tzinfo=UTC).isoformat(), "conversions": day.conversions} for day in days
        ],
        "filters": {
            **_echo(period, limit, offset),
            "conversion_type": conversion_type,
            "onlyfans_user_id": onlyfans_user_id,
            "include_bots": include_bots,
            "include_duplicates": include_duplicates,
        },
        "rows": [conversion_row(row, services.settings.platform_url) for row in rows[:limit]],
    }
    return {**envelope(data), "_pagination": page(request, rows, limit, offset)["_pagination"]}


@get("/api/smart-links/{smart_link_id:str}/fans", permission="reports.view")
async def smart_link_fans(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 100,
    offset: Offset = 0,
    sort: FromQuery[FanSort] = "-revenue_net",
    has_messages: FromQuery[bool | None] = None,
    min_messages_sent_by_fan: Annotated[int | None, QueryParameter(ge=0, le=2**31)] = None,
    min_revenue_net: Dollars = None,
    min_tips_net: Dollars = None,
    previously_subscribed: FromQuery[bool | None] = None,
    subscribed_using_promo: FromQuery[bool | None] = None,
) -> dict[str, Any]:
    """Fans credited to the smart link, with what they brought through it."""
    link = await smart_links.get(services, caller, smart_link_id)
    wanted = fans.Wanted(
        links=Filters(smart_link_ids=(link.smart_link_id,)),
        has_messages=has_messages,
        min_messages=min_messages_sent_by_fan,
        min_net_cents=_cents(min_revenue_net),
        min_tips_cents=_cents(min_tips_net),
        previously_subscribed=previously_subscribed,
        promo=subscribed_using_promo,
    )
    key: Any = sort.removeprefix("-")
    rows = await fans.page(
        services.pool,
        caller.team_id,
        wanted,
        sort=key,
        descending=sort.startswith("-"),
        limit=limit + 1,
        offset=offset,
    )
    told = await fans.summary(services.pool, caller.team_id, wanted)
    data = {
        "summary": {
            "fans_total": told.fans,
            "fans_with_1_plus_messages_total": told.fans_1_message,
            "fans_with_3_plus_messages_total": told.fans_3_messages,
            "revenue_net_total": money(told.net_cents),
            "tips_net_total": money(told.tips_cents),
        },
        "filters": {
            "limit": limit,
            "offset": offset,
            "sort": sort,
            "has_messages": _text(has_messages),
            "min_messages_sent_by_fan": _text(min_messages_sent_by_fan),
            "min_revenue_net": _text(min_revenue_net),
            "min_tips_net": _text(min_tips_net),
            "previously_subscribed": _text(previously_subscribed),
            "subscribed_using_promo": _text(subscribed_using_promo),
        },
        "rows": [fan_row(row) for row in rows[:limit]],
    }
    return {**envelope(data), "_pagination": page(request, rows, limit, offset)["_pagination"]}


@get("/api/smart-links/{smart_link_id:str}/spenders", permission="reports.view")
async def smart_link_spenders(
    request: Request[Any, Any, Any],
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
    min_spend: Annotated[float, QueryParameter(name="minSpend", ge=0, le=10_000_000)] = 1,
) -> dict[str, Any]:
    """Fans who paid at least so many dollars through the smart link (gross, less what was taken back), most first."""
    link = await smart_links.get(services, caller, smart_link_id)
    only = Filters(smart_link_ids=(link.smart_link_id,))
    rows = await fans.spenders(
        services.pool, caller.team_id, only, min_cents=_cents(min_spend) or 0, limit=limit + 1, offset=offset
    )
    return page(request, [spender_row(row) for row in rows], limit, offset)


def _period(link: SmartLink, date_start: str | None, date_end: str | None) -> Range:
    """The asked range; without a start from the link's first day on."""
    if date_start is None:
        last = moment(date_end, "date_end", end=True)
        first = link.created_at if last is None else min(link.created_at, last)
        date_start = first.date().isoformat()
    return covered(date_start, date_end)


def _echo(period: Range, limit: int, offset: int) -> dict[str, Any]:
    return {
        "date_start": period.start.isoformat(),
        "date_end": period.end.isoformat(),
        "limit": limit,
        "offset": offset,
    }


def _cents(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * 100)


def _text(value: object) -> str | None:
    return None if value is None else str(value).lower()
