"""An account's tracking and free-trial links in the vendor's shapes (upstream 1.3, 1.4)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tracker.access.caller import Caller
from tracker.api.envelope import Offset, envelope, next_page
from tracker.api.moments import span
from tracker.api.smart_links import NO_COST, JoinedTags, Tags, either
from tracker.api.stats import money
from tracker.management import inventory
from tracker.management.inventory import Link, NewTrackingLink, NewTrialLink, Wanted
from tracker.management.services import Services
from tracker.providers.base import LinkKind

Asked = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
StoredLimit = Annotated[int, QueryParameter(ge=1, le=1000)]
Search = Annotated[str | None, QueryParameter(name="filter[search]", max_length=255)]
IncludeSmart = Annotated[bool, QueryParameter(name="filter[include_smart_links]")]
Direction = FromQuery[Literal["asc", "desc"]]
Flag = FromQuery[Literal[0, 1]]
START_END = ("startDate", "endDate")
TRIAL_SORTS: dict[str, Any] = {
    "create_date": "created", "expire_date": "expires", "subscribe_counts": "limit", "subscribe_days": "days",
    "claims_count": "claims",
}  # fmt: skip


def of_link(end: str = "") -> list[str]:
    """The paths of a call that links of both kinds have."""
    return [f"/api/{{account:str}}/{kind}/{{link_id:str}}{end}" for kind in ("tracking-links", "trial-links")]


@get("/api/{account:str}/tracking-links", permission="smart-links.view")
async def list_tracking_links(
    request: Asked,
    account: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 10,
    offset: Offset = 0,
    sort: Direction = "desc",
    sortby: FromQuery[Literal["claims", "created_date"]] = "created_date",
    start: Annotated[str | None, QueryParameter(name="startDate")] = None,
    end: Annotated[str | None, QueryParameter(name="endDate")] = None,
    with_deleted: Flag = 1,
    pagination: Flag = 1,
    synchronous: FromQuery[bool] = False,
) -> dict[str, Any]:
    """An account's tracking links, pooled ones too, as the provider last told them. `pagination=0`: up to 1,000 at once."""
    since, until = span(start, end, START_END)
    wanted = Wanted(
        kind="tracking_link",
        gone=bool(with_deleted),
        since=since,
        until=until,
        sort="claims" if sortby == "claims" else "created",
        descending=sort == "desc",
    )
    return await _list(request, services, caller, account, wanted, limit if pagination else 1000, offset)


@get("/api/{account:str}/trial-links", permission="smart-links.view")
async def list_trial_links(
    request: Asked,
    account: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 10,
    offset: Offset = 0,
    sort: Direction = "desc",
    field: FromQuery[
        Literal["create_date", "expire_date", "subscribe_counts", "subscribe_days", "claims_count"]
    ] = "create_date",
    start: Annotated[str | None, QueryParameter(name="startDate")] = None,
    end: Annotated[str | None, QueryParameter(name="endDate")] = None,
    synchronous: FromQuery[bool] = False,
) -> dict[str, Any]:
    """An account's free-trial links, pooled ones too, as the provider last told them."""
    since, until = span(start, end, START_END)
    wanted = Wanted(kind="free_trial", since=since, until=until, sort=TRIAL_SORTS[field], descending=sort == "desc")
    return await _list(request, services, caller, account, wanted, limit, offset)


@get("/api/{account:str}/stored/tracking-links", permission="smart-links.view")
async def list_stored_tracking_links(
    request: Asked,
    account: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: StoredLimit = 10,
    offset: Offset = 0,
    tags: Tags = None,
    joined_tags: JoinedTags = None,
    search: Search = None,
    include_smart_links: IncludeSmart = False,
) -> dict[str, Any]:
    """Tracking links, removed ones too; those of smart links only when asked for."""
    wanted = Wanted(kind="tracking_link", pooled=include_smart_links, search=search, tags=either(tags, joined_tags))
    return await _list(request, services, caller, account, wanted, limit, offset)


@get("/api/{account:str}/stored/trial-links", permission="smart-links.view")
async def list_stored_trial_links(
    request: Asked,
    account: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: StoredLimit = 10,
    offset: Offset = 0,
    tags: Tags = None,
    joined_tags: JoinedTags = None,
    search: Search = None,
    include_smart_links: IncludeSmart = False,
) -> dict[str, Any]:
    """Free-trial links, ended ones too; those of smart links only when asked for."""
    wanted = Wanted(kind="free_trial", pooled=include_smart_links, search=search, tags=either(tags, joined_tags))
    return await _list(request, services, caller, account, wanted, limit, offset)


@post("/api/{account:str}/tracking-links", status_code=201, permission="smart-links.manage")
async def create_tracking_link(
    account: FromPath[str],
    data: JSONBody[NewTrackingLink],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Make a tracking link on the platform by hand; no pool takes it. The vendor answers with a list of one."""
    link = await inventory.create(services, caller, account, data)
    row = {
        **link_row(link, services, account),
        "countSubscribers": link.subscribers_seen,
        "countTransitions": link.clicks_seen,
    }
    return envelope([row])


@post("/api/{account:str}/trial-links", status_code=201, permission="smart-links.manage")
async def create_trial_link(
    account: FromPath[str],
    data: JSONBody[NewTrialLink],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Make a free-trial link on the platform by hand; no pool takes it."""
    link = await inventory.create(services, caller, account, data)
    return {**envelope(link_row(link, services, account)), "_pagination": {"next_page": None}}


@get(
    of_link(),
    permission="smart-links.view",
)
async def get_link(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """One link. Of a tracking link the vendor tells no counters here."""
    link = await inventory.get(services, caller, account, kind_of(request), link_id)
    row = link_row(link, services, account)
    if link.kind == "tracking_link":
        row |= {"clicksCount": None, "subscribersCount": None}
    return envelope({**row, "cost": NO_COST})


@delete(
    of_link(),
    status_code=200,
    permission="smart-links.manage",
)
async def delete_link(
    request: Asked,
    account: FromPath[str],
    link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Delete a link on the platform. One that smart links give out is refused (409)."""
    await inventory.delete(services, caller, account, kind_of(request), link_id)
    return envelope({"success": True})


def link_row(link: Link, services: Services, account: str) -> dict[str, Any]:
    """A link as the vendor shows it, and our role and state."""
    kind = "trial-links" if link.kind == "free_trial" else "tracking-links"
    base = f"{services.settings.api_base_url}/api/{account}/{kind}/{link.provider_link_id}"
    number = int(link.provider_link_id) if link.provider_link_id.isdecimal() else link.provider_link_id
    shared = {
        "id": number,
        "createdAt": link.created_at.isoformat(),
        "tags": link.tags,
        "revenue": _revenue(link),
        "links": {"related": {"subscribers": f"{base}/subscribers", "spenders": f"{base}/spenders"}},
        "role": link.role,
        "state": link.state,
        "retired_reason": link.retired_reason,
    }
    if link.kind == "free_trial":
        return {
            **shared,
            "trialLinkName": link.name,
            "url": link.url,
            "subscribeDays": link.trial_days,
            "subscribeCounts": link.claim_limit or 0,
            "claimCounts": link.subscribers_seen,
            "clicksCounts": link.clicks_seen,
            "expiredAt": link.expires_at and link.expires_at.isoformat(),
            "isFinished": link.state == "retired",
        }
    code = (link.url or "").rpartition("/c")[2]
    return {
        **shared,
        "campaignCode": int(code) if code.isdecimal() else None,
        "campaignName": link.name,
        "campaignUrl": link.url,
        "subscribersCount": link.subscribers_seen,
        "clicksCount": link.clicks_seen,
        "endDate": link.retired_at and link.retired_at.isoformat(),
    }


def _revenue(link: Link) -> dict[str, Any]:
    per_subscriber = link.gross_cents // link.subscribers_seen if link.subscribers_seen else 0
    told = {
        "total": money(link.gross_cents),
        "revenuePerSubscriber": money(per_subscriber),
        "spendersCount": link.spenders,
        "chargebacks": money(link.taken_cents),
        "calculatedAt": datetime.now(UTC).isoformat(),
        "isLoading": False,
    }
    if link.kind == "tracking_link":
        told["revenuePerClick"] = money(link.gross_cents // link.clicks_seen if link.clicks_seen else 0)
    return told


def kind_of(request: Asked) -> LinkKind:
    """Both kinds have the same calls; the path says which is meant."""
    return "free_trial" if request.url.path.split("/")[3] == "trial-links" else "tracking_link"


async def _list(
    request: Asked, services: Services, caller: Caller, account: str, wanted: Wanted, limit: int, offset: int
) -> dict[str, Any]:
    rows = await inventory.page(services, caller, account, wanted, limit + 1, offset)
    more = len(rows) > limit
    following = next_page(request, limit=limit, offset=offset + limit) if more else None
    data = {"list": [link_row(row, services, account) for row in rows[:limit]], "hasMore": more}
    return {**envelope(data), "_pagination": {"next_page": following}}
