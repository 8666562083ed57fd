"""Smart links: the vendor's shapes (upstream 1.2) and our fields beside them."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tracker.access import audit
from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, csv, envelope, page
from tracker.attribution.credits import dollars
from tracker.management import smart_links
from tracker.management.services import Services
from tracker.management.smart_links import NewSmartLink, SmartLink, SmartLinkChange, Wanted

NO_COST = {
    "inputMode": None, "inputValue": None, "perClick": None, "perSub": None, "perPromo": None,
    "clickSourceCount": 0, "subscriberSourceCount": 0,
}  # fmt: skip
# Lists come as `filter[tags][]=a&filter[tags][]=b` or, from the vendor's Python client, as `filter[tags]=a,b`.
Tags = Annotated[list[str] | None, QueryParameter(name="filter[tags][]", max_items=50)]
JoinedTags = Annotated[str | None, QueryParameter(name="filter[tags]", max_length=5000)]


@post("/api/smart-links", status_code=201, permission="smart-links.manage")
async def create_smart_link(
    data: JSONBody[NewSmartLink], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Make a smart link; its pool is filled in the background and it redirects from the first second."""
    return envelope(smart_link(await smart_links.create(services, caller, data), services.settings.base_url))


@get("/api/smart-links", permission="smart-links.view")
async def list_smart_links(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
    name: FromQuery[str | None] = None,
    account_ids: FromQuery[str | None] = None,
    pixel_ids: FromQuery[str | None] = None,
    tags: Tags = None,
    joined_tags: JoinedTags = None,
) -> dict[str, Any]:
    """The team's smart links, newest first. account_ids and pixel_ids are comma-separated; a link with any of the tags."""
    wanted = Wanted(name=name, account_ids=csv(account_ids), pixel_ids=csv(pixel_ids), tags=either(tags, joined_tags))
    rows = await smart_links.page(services, caller, wanted, limit + 1, offset)
    return page(request, [smart_link(row, services.settings.base_url) for row in rows], limit, offset)


@get("/api/smart-links/{smart_link_id:str}", permission="smart-links.view")
async def get_smart_link(
    smart_link_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One smart link with its totals."""
    return envelope(smart_link(await smart_links.get(services, caller, smart_link_id), services.settings.base_url))


@patch("/api/smart-links/{smart_link_id:str}", permission="smart-links.manage")
async def change_smart_link(
    smart_link_id: FromPath[str],
    data: JSONBody[SmartLinkChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Rename, pause, resume, change window, fallback, pool, tags or destinations."""
    changed = await smart_links.change(services, caller, smart_link_id, data)
    return envelope(smart_link(changed, services.settings.base_url))


@delete("/api/smart-links/{smart_link_id:str}", status_code=200, permission="smart-links.manage")
async def delete_smart_link(
    smart_link_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Delete a smart link: it answers with its fallback or 410 from now on; fans bound to its clicks stay bound."""
    await smart_links.delete(services, caller, smart_link_id)
    return envelope({"success": True})


@get("/api/smart-links/{smart_link_id:str}/history", permission="audit-log.view")
async def smart_link_history(
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    before: Annotated[int | None, QueryParameter(ge=1, le=audit.MAX_ID)] = None,
) -> dict[str, Any]:
    """Who changed what of a smart link, newest first; `before` is the id of the last entry of the page before."""
    wanted = audit.Wanted(object_kind="smart_link", object_id=smart_link_id.upper())
    rows = await audit.entries(services.pool, caller.team_id, wanted, before, limit)
    if not rows:
        await smart_links.get(services, caller, smart_link_id)  # nothing known of it: 404 unless it is the team's
    return envelope(
        [
            {
                "id": row.audit_id,
                "at": row.at.isoformat(),
                "actor": row.actor,
                "action": row.action,
                "detail": row.detail,
            }
            for row in rows
        ]
    )


def either(tags: list[str] | None, joined: str | None) -> list[str] | None:
    """The tags asked for in either way; None when there are none."""
    return [*(tags or ()), *(csv(joined) or ())] or None


def smart_link(link: SmartLink, base_url: str) -> dict[str, Any]:
    """A smart link as the vendor shows it, and our counters."""
    return {
        "id": link.smart_link_id,
        "name": link.name,
        "link_type": link.link_type,
        "free_trial_days": link.free_trial_days,
        "traffic_redirect_url": link.url(base_url),
        "clicks_count": link.clicks,
        "gross_clicks_count": link.gross_clicks,
        "bots_count": link.bots,
        "prefetches": link.prefetches,
        "conversions_count": link.conversions,
        "subscribers_count": link.subscribers,
        "spenders_count": link.spenders,
        "revenue": dollars(link.gross_cents),
        "revenue_net": dollars(link.net_cents),
        "cost": NO_COST,
        "window_seconds": link.window_seconds,
        "fallback_url": link.fallback_url,
        "state": link.state,
        "tags": link.tags,
        "destination_ids": link.destination_ids,
        "account": {"id": link.account_id, "display_name": link.display_name, "username": link.username},
        "created_at": link.created_at.isoformat(),
        "updated_at": link.updated_at.isoformat(),
    }
