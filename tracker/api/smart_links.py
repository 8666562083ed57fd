"""Smart links: the vendor's shapes (upstream 1.2) and our fields beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import asyncpg
import msgspec
import ulid
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tracker.accounts.jobs import wake as wake_job
from tracker.api.auth import SQL, Caller
from tracker.api.envelope import envelope, page
from tracker.api.errors import Invalid, not_found
from tracker.api.services import Services
from tracker.attribution.credits import dollars
from tracker.clicklog import WAKE_CHANNEL
from tracker.inventory.offers import TRIAL_DURATIONS, offer_name
from tracker.inventory.publish import publish_account

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Window = Annotated[int, msgspec.Meta(ge=1, le=2_592_000)]
Fallback = Annotated[str, msgspec.Meta(max_length=2048)]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Offset = Annotated[int, QueryParameter(ge=0)]


class NewSmartLink(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a smart link takes; free_trial_days goes with link_type free_trial."""

    account_id: str
    name: Name
    link_type: Literal["free_trial", "tracking_link"]
    free_trial_days: Annotated[int, msgspec.Meta(ge=1, le=360)] | None = None
    window_seconds: Window = 21600
    fallback_url: Fallback = ""


class SmartLinkChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may change of a smart link. Absent fields stay."""

    name: Name | None = None
    window_seconds: Window | None = None
    fallback_url: Fallback | None = None
    state: Literal["active", "paused"] | None = None


@post("/api/smart-links", status_code=201)
async def create_smart_link(
    data: JSONBody[NewSmartLink], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Make a smart link; its pool is filled in the background and it redirects from the first second."""
    if data.link_type == "free_trial" and data.free_trial_days not in TRIAL_DURATIONS:
        durations = ", ".join(str(days) for days in sorted(TRIAL_DURATIONS))
        raise Invalid({"free_trial_days": [f"The free trial days must be one of: {durations}."]})
    if data.link_type == "tracking_link" and data.free_trial_days is not None:
        raise Invalid({"free_trial_days": ["The free trial days field goes with link_type free_trial only."]})
    _check_fallback(data.fallback_url)
    smart_link_id = ulid.new().str
    async with services.pool.acquire() as connection, connection.transaction():
        made = await connection.fetchval(
            SQL["insert_smart_link"], smart_link_id, caller.team_id, data.account_id, data.name, data.link_type,
            data.free_trial_days, offer_name(data.link_type, data.free_trial_days), data.window_seconds, data.fallback_url,
        )  # fmt: skip
        if made is None:
            raise Invalid({"account_id": ["The account id is not one of your team's accounts."]})
        await wake_job(connection, data.account_id, "pools")
    await _publish(services, data.account_id)
    return envelope(await _one(services, caller, smart_link_id))


@get("/api/smart-links")
async def list_smart_links(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
    name: FromQuery[str | None] = None,
    account_ids: FromQuery[str | None] = None,
) -> dict[str, Any]:
    """The team's smart links, newest first."""
    accounts = [part for part in account_ids.split(",") if part] if account_ids else None
    rows = await services.pool.fetch(SQL["smart_links"], caller.team_id, None, name, accounts, limit + 1, offset)
    return page(request, [smart_link(row, services.settings.base_url) for row in rows], limit, offset)


@get("/api/smart-links/{smart_link_id:str}")
async def get_smart_link(
    smart_link_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One smart link with its totals."""
    return envelope(await _one(services, caller, smart_link_id.upper()))


@patch("/api/smart-links/{smart_link_id:str}")
async def change_smart_link(
    smart_link_id: FromPath[str],
    data: JSONBody[SmartLinkChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Rename, pause, resume, change window or fallback."""
    _check_fallback(data.fallback_url or "")
    await _update(
        services, caller, smart_link_id.upper(), data.name, data.window_seconds, data.fallback_url, data.state
    )
    return envelope(await _one(services, caller, smart_link_id.upper()))


@delete("/api/smart-links/{smart_link_id:str}", status_code=200)
async def delete_smart_link(
    smart_link_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Delete a smart link: it answers with its fallback or 410 from now on; fans bound to its clicks stay bound."""
    await _update(services, caller, smart_link_id.upper(), None, None, None, "deleted")
    return envelope({"success": True})


@get("/api/smart-links/{smart_link_id:str}/stats")
async def smart_link_stats(
    smart_link_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    date_start: FromQuery[datetime | None] = None,
    date_end: FromQuery[datetime | None] = None,
) -> dict[str, Any]:
    """Totals and daily series (UTC days) of a smart link; dates default to the last 30 days."""
    row = await _row(services, caller, smart_link_id.upper())
    end = _utc(date_end) if date_end else datetime.now(UTC) + timedelta(days=1)
    start = _utc(date_start) if date_start else end - timedelta(days=31)
    if start > end:
        raise Invalid({"date_start": ["The date start must be before the date end."]})
    days = await services.pool.fetch(SQL["daily"], row["smart_link_id"], start, end)
    return envelope(
        {
            "summary": {
                "clicks_total": sum(day["clicks"] for day in days),
                "subs_total": sum(day["subs"] for day in days),
                "revenue_total": sum(day["cents"] for day in days) / 100,
                "spenders_total": row["spenders"],
            },
            "daily_metrics": [
                {
                    "timestamp": day["day"].replace(tzinfo=UTC).isoformat(),
                    "clicks": day["clicks"],
                    "subs": day["subs"],
                    "revenue": day["cents"] / 100,
                    "spenders": day["spenders"],
                }
                for day in days
            ],
        }
    )


async def _update(
    services: Services,
    caller: Caller,
    smart_link_id: str,
    name: str | None,
    window: int | None,
    fallback: str | None,
    state: str | None,
) -> None:
    account_id = await services.pool.fetchval(
        SQL["update_smart_link"], caller.team_id, smart_link_id, name, window, fallback, state
    )
    if account_id is None:
        raise not_found("This smart link")
    await _publish(services, account_id)


async def _publish(services: Services, account_id: str) -> None:
    await publish_account(services.pool, services.redis, account_id, services.settings.platform_url)
    await services.redis.publish(WAKE_CHANNEL, b"jobs")


async def _one(services: Services, caller: Caller, smart_link_id: str) -> dict[str, Any]:
    return smart_link(await _row(services, caller, smart_link_id), services.settings.base_url)


async def _row(services: Services, caller: Caller, smart_link_id: str) -> asyncpg.Record:
    row = await services.pool.fetchrow(SQL["smart_links"], caller.team_id, smart_link_id, None, None, 1, 0)
    if row is None:
        raise not_found("This smart link")
    return row


def _check_fallback(url: str) -> None:
    if url and not url.startswith(("https://", "http://")):
        raise Invalid({"fallback_url": ["The fallback url must start with https:// or http://."]})
    if any(ord(character) < 33 or ord(character) == 127 for character in url):
        raise Invalid({"fallback_url": ["The fallback url must not contain spaces or control characters."]})


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def smart_link(row: asyncpg.Record, base_url: str) -> dict[str, Any]:
    """A smart link as the vendor shows it, and our counters."""
    return {
        "id": row["smart_link_id"],
        "name": row["name"],
        "link_type": row["link_type"],
        "free_trial_days": row["free_trial_days"],
        "traffic_redirect_url": f"{base_url}/go/{row['smart_link_id']}",
        "clicks_count": row["clicks"],
        "gross_clicks_count": row["gross_clicks"],
        "bots_count": row["bots"],
        "prefetches": row["prefetches"],
        "conversions_count": row["conversions"],
        "subscribers_count": row["subscribers"],
        "spenders_count": row["spenders"],
        "revenue": dollars(row["gross_cents"]),
        "revenue_net": dollars(row["net_cents"]),
        "window_seconds": row["window_seconds"],
        "fallback_url": row["fallback_url"],
        "state": row["state"],
        "account": {"id": row["account_id"], "display_name": row["display_name"], "username": row["username"]},
        "created_at": row["created_at"].isoformat(),
        "updated_at": row["updated_at"].isoformat(),
    }
