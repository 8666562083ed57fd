"""Who came through one tracking or trial link and what they brought, and its tags, in the vendor's shapes (upstream 1.3, 1.4)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, envelope, next_page
from tracker.api.inventory import Asked, kind_of, of_link
from tracker.api.link_tags import TagList
from tracker.api.moments import covered
from tracker.api.stats import ACQUISITION, Basis, cohort, money
from tracker.management import earnings, inventory
from tracker.management.services import Services

MinSpend = Annotated[float, QueryParameter(name="minSpend", ge=0, le=10_000_000)]


@get(
    of_link("/subscribers"),
    permission="reports.view",
)
async def list_link_subscribers(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 10,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Who came through a link, newest first, as far as its list was read. Tracking links tell no time to the vendor."""
    link = await inventory.get(services, caller, account, kind_of(request), link_id)
    rows = await inventory.subscribers(services, link, limit + 1, offset)
    more = len(rows) > limit
    found = []
    for row in rows[:limit]:
        number = int(row["fan_id"]) if row["fan_id"].isdecimal() else row["fan_id"]
        fan = {
            "id": number,
            "username": row["username"],
            "name": row["name"],
            "displayName": row["name"],
            "subscribedOn": True,
        }
        if link.kind == "free_trial":
            fan["subscribedOnData"] = {"subscribeAt": row["at"].isoformat()}
        found.append(fan)
    following = next_page(request, limit=limit, offset=offset + limit) if more else None
    data = {"list": found, "hasMore": more, "marker": None}
    return {**envelope(data), "_pagination": {"next_page": following}}


@get(
    of_link("/spenders"),
    permission="reports.view",
)
async def list_link_spenders(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
    min_spend: MinSpend = 1,
) -> dict[str, Any]:
    """A link's subscribers who paid at least so many dollars since (gross, less what was taken back), most first."""
    link = await inventory.get(services, caller, account, kind_of(request), link_id)
    rows = earnings.spenders(await earnings.payments(services, link), round(min_spend * 100))
    now = datetime.now(UTC).isoformat()
    shown = [
        {
            "onlyfans_id": row.fan_id,
            "username": row.username,
            "revenue": {"total": money(row.gross_cents), "chargebacks": money(row.taken_cents), "calculated_at": now},
        }
        for row in rows[offset : offset + limit]
    ]
    following = next_page(request, limit=limit, offset=offset + limit) if len(rows) > offset + limit else None
    return {**envelope(shown), "_pagination": {"next_page": following}}


@get(
    of_link("/stats"),
    permission="reports.view",
)
async def link_stats(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
) -> dict[str, Any]:
    """Totals with a daily and a monthly series (UTC) of a link; dates default to the last 30 days. Revenue is gross."""
    period = covered(date_start, date_end)
    link = await inventory.get(services, caller, account, kind_of(request), link_id)
    found = await earnings.stats(services, link, period)
    return envelope(
        {
            "summary": {
                "clicks_total": found.clicks,
                "subs_total": found.subscribers,
                "revenue_total": money(found.gross_cents),
                "spenders_total": found.spenders,
                "chargebacks_total": money(found.taken_cents),
                "revenue_cached_at": datetime.now(UTC).isoformat(),
            },
            "daily_metrics": [_metric(each) for each in found.daily],
            "monthly_metrics": [_metric(each) for each in found.monthly],
        }
    )


@get(
    of_link("/cohort-arps"),
    permission="reports.view",
)
async def link_cohorts(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    acquisition_start: FromQuery[str | None] = None,
    acquisition_end: FromQuery[str | None] = None,
    revenue_basis: FromQuery[Basis] = "net",
) -> dict[str, Any]:
    """Revenue per subscriber of a link 0 to 365 days after subscribing, per acquisition day or month."""
    period = covered(acquisition_start, acquisition_end, ACQUISITION)
    link = await inventory.get(services, caller, account, kind_of(request), link_id)
    paid = await earnings.payments(services, link)
    found = earnings.cohorts(paid, period, revenue_basis, datetime.now(UTC))
    return envelope(
        {
            "revenue_basis": revenue_basis,
            "acquisition_start": period.start.isoformat(),
            "acquisition_end": period.end.isoformat(),
            "summary": cohort(found.total),
            "cohorts": [cohort(each) for each in found.periods if each.subscribers],
        }
    )


@get(
    of_link("/tags"),
    permission="smart-links.view",
)
async def list_inventory_tags(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """A link's tags."""
    return envelope({"tags": await inventory.tagged(services, caller, account, kind_of(request), link_id)})


@post(
    of_link("/tags"),
    status_code=200,
    permission="smart-links.manage",
)
async def add_inventory_tags(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    data: JSONBody[TagList],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Put tags on a link. Answers with all of them."""
    kind = kind_of(request)
    return envelope({"tags": await inventory.tagged(services, caller, account, kind, link_id, more=data.tags)})


@delete(
    of_link("/tags"),
    status_code=200,
    permission="smart-links.manage",
)
async def remove_inventory_tags(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    data: JSONBody[TagList],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Take tags off a link. Answers with those left."""
    kind = kind_of(request)
    return envelope({"tags": await inventory.tagged(services, caller, account, kind, link_id, less=data.tags)})


def _metric(figures: earnings.Figures) -> dict[str, Any]:
    return {
        "timestamp": figures.start.isoformat(),
        "clicks": figures.clicks,
        "subs": figures.subscribers,
        "revenue": money(figures.gross_cents),
        "spenders": figures.spenders,
    }
