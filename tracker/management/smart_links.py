"""Smart links: made, listed, changed, deleted."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import asyncpg
import msgspec
import ulid
from msgspec import UNSET, UnsetType

from tracker.access.audit import record
from tracker.accounts.work import wake as wake_job
from tracker.clicklog import WAKE_CHANNEL
from tracker.inventory.offers import TRIAL_DURATIONS, offer_name
from tracker.inventory.publish import publish_account
from tracker.management import tags
from tracker.management.errors import Invalid, not_found
from tracker.reports.filters import Filters
from tracker.reports.ranges import all_time
from tracker.reports.totals import NOTHING, by_link
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.access.caller import Caller
    from tracker.management.services import Services

SQL = load_queries("tracker.management", "smart_links.sql")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Window = Annotated[int, msgspec.Meta(ge=1, le=2_592_000)]
Fallback = Annotated[str, msgspec.Meta(max_length=2048)]
LinkType = Literal["free_trial", "tracking_link"]
TrialDays = Annotated[int, msgspec.Meta(ge=1, le=360)]
Ids = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=1000)]


class NewSmartLink(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a smart link takes. free_trial_days goes with link_type free_trial; window_seconds is the conversion window;
    destination_ids are campaign-specific destinations that serve it besides the global ones."""

    account_id: str
    name: Name
    link_type: LinkType
    free_trial_days: TrialDays | None = None
    window_seconds: Window = 21600
    fallback_url: Fallback = ""
    tags: tags.Tags = []
    destination_ids: Ids = []


class SmartLinkChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may change of a smart link. Absent fields stay. link_type and free_trial_days say from which pool clicks to come
    are served; destination_ids replaces the campaign-specific destinations that serve the link."""

    name: Name | UnsetType = UNSET
    window_seconds: Window | UnsetType = UNSET
    fallback_url: Fallback | UnsetType = UNSET
    state: Literal["active", "paused"] | UnsetType = UNSET
    link_type: LinkType | UnsetType = UNSET
    free_trial_days: TrialDays | UnsetType | None = UNSET
    tags: tags.Tags | UnsetType = UNSET
    destination_ids: Ids | UnsetType = UNSET


class SmartLink(msgspec.Struct, frozen=True, kw_only=True):
    """A smart link with its totals since it was made, as the reports have them. Money in cents; `clicks` are neither bots nor
    duplicates."""

    smart_link_id: str
    name: str
    link_type: LinkType
    free_trial_days: int | None
    offer: str
    window_seconds: int
    fallback_url: str
    state: str
    created_at: datetime
    updated_at: datetime
    account_id: str
    username: str
    display_name: str
    tags: list[str]
    destination_ids: list[str]
    clicks: int
    gross_clicks: int
    bots: int
    duplicates: int
    prefetches: int
    conversions: int
    subscribers: int
    gross_cents: int
    net_cents: int
    spenders: int

    def url(self, base_url: str) -> str:
        """The address to put into an ad."""
        return f"{base_url}/go/{self.smart_link_id}"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which smart links to list; None is any. `name` is searched in names, `pixel_ids` are destinations serving the link."""

    ids: list[str] | None = None
    name: str | None = None
    account_ids: list[str] | None = None
    pixel_ids: list[str] | None = None
    tags: list[str] | None = None
    states: list[str] | None = None


async def page(services: Services, caller: Caller, wanted: Wanted, limit: int, offset: int = 0) -> list[SmartLink]:
    """Up to `limit` of the team's smart links, newest first."""
    rows = await services.pool.fetch(
        SQL["page"], caller.team_id, wanted.ids, wanted.name or None, wanted.account_ids,
        None if wanted.pixel_ids is None else [name.upper() for name in wanted.pixel_ids],
        wanted.tags, wanted.states, limit, offset,
    )  # fmt: skip
    ids = tuple(row["smart_link_id"] for row in rows)
    if not ids:
        return []
    counted = await by_link(services.pool, caller.team_id, all_time(), Filters(smart_link_ids=ids), limit=len(ids))
    totals = {row.smart_link_id: row.totals for row in counted}
    return [SmartLink(**dict(row), **asdict(totals.get(row["smart_link_id"], NOTHING))) for row in rows]


async def get(services: Services, caller: Caller, smart_link_id: str) -> SmartLink:
    """One smart link, its id in any letter case. Raises Refused (404)."""
    rows = await page(services, caller, Wanted(ids=[smart_link_id.upper()]), 1)
    if not rows:
        raise not_found("This smart link")
    return rows[0]


async def create(services: Services, caller: Caller, new: NewSmartLink) -> SmartLink:
    """Make a smart link; its pool is filled in the background and it redirects from the first second. Raises Invalid."""
    _check_type(new.link_type, new.free_trial_days)
    _check_fallback(new.fallback_url)
    smart_link_id: str = ulid.new().str
    async with services.pool.acquire() as connection, connection.transaction():
        made = await connection.fetchval(
            SQL["insert"], smart_link_id, caller.team_id, new.account_id, new.name, new.link_type,
            new.free_trial_days, offer_name(new.link_type, new.free_trial_days), new.window_seconds, new.fallback_url,
        )  # fmt: skip
        if made is None:
            raise Invalid({"account_id": ["The account id is not one of your team's accounts."]})
        await tags.add(connection, caller.team_id, "smart_links", smart_link_id, new.tags)
        await _serve(connection, caller, smart_link_id, new.destination_ids)
        await wake_job(connection, new.account_id, "pools")
        await record(connection, caller, "smart_link.created", "smart_link", smart_link_id, msgspec.to_builtins(new))
    await _publish(services, new.account_id)
    return await get(services, caller, smart_link_id)


async def change(services: Services, caller: Caller, smart_link_id: str, wish: SmartLinkChange) -> SmartLink:
    """Rename, pause, resume, change window, fallback, pool, tags or destinations. Raises Invalid, Refused (404).

    A new window or pool concerns clicks to come; fans who are bound stay bound.
    """
    smart_link_id = smart_link_id.upper()
    async with services.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(SQL["held"], caller.team_id, smart_link_id)
        if row is None:
            raise not_found("This smart link")
        link_type = row["link_type"] if wish.link_type is UNSET else wish.link_type
        days = row["free_trial_days"] if wish.free_trial_days is UNSET else wish.free_trial_days
        if wish.link_type == "tracking_link" and wish.free_trial_days is UNSET:
            days = None
        _check_type(link_type, days)
        fallback = row["fallback_url"] if wish.fallback_url is UNSET else wish.fallback_url
        _check_fallback(fallback)
        await connection.execute(
            SQL["update"], caller.team_id, smart_link_id,
            row["name"] if wish.name is UNSET else wish.name,
            row["window_seconds"] if wish.window_seconds is UNSET else wish.window_seconds,
            fallback, row["state"] if wish.state is UNSET else wish.state,
            link_type, days, offer_name(link_type, days),
        )  # fmt: skip
        if wish.tags is not UNSET:
            await tags.replace(connection, caller.team_id, "smart_links", smart_link_id, wish.tags)
        if wish.destination_ids is not UNSET:
            await connection.execute(SQL["unlink"], caller.team_id, smart_link_id)
            await _serve(connection, caller, smart_link_id, wish.destination_ids)
        await wake_job(connection, row["account_id"], "pools")
        await record(connection, caller, "smart_link.changed", "smart_link", smart_link_id, _differences(row, wish))
    await _publish(services, row["account_id"])
    return await get(services, caller, smart_link_id)


async def delete(services: Services, caller: Caller, smart_link_id: str) -> None:
    """Delete a smart link: it answers with its fallback or 410 from now on; fans bound to its clicks stay bound.

    Raises Refused (404).
    """
    async with services.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(SQL["held"], caller.team_id, smart_link_id.upper())
        if row is None:
            raise not_found("This smart link")
        await connection.execute(
            SQL["update"], caller.team_id, row["smart_link_id"], row["name"], row["window_seconds"], row["fallback_url"],
            "deleted", row["link_type"], row["free_trial_days"], offer_name(row["link_type"], row["free_trial_days"]),
        )  # fmt: skip
        await tags.replace(connection, caller.team_id, "smart_links", row["smart_link_id"], [])
        detail = {"name": row["name"]}
        await record(connection, caller, "smart_link.deleted", "smart_link", row["smart_link_id"], detail)
    await _publish(services, row["account_id"])


def _differences(row: asyncpg.Record, wish: SmartLinkChange) -> dict[str, Any]:
    """What a change makes of what was: {field: {from, to}}; of lists only what they become."""
    told: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(wish).items():
        if name not in row:
            told[name] = {"to": value}
        elif row[name] != value:
            told[name] = {"from": row[name], "to": value}
    return told


async def _serve(connection: Connection, caller: Caller, smart_link_id: str, names: list[str]) -> None:
    wanted = {name.upper() for name in names}
    if not wanted:
        return
    found = await connection.fetch(SQL["linkable"], caller.team_id, sorted(wanted))
    if len(found) < len(wanted):
        message = "Name campaign-specific destinations of your team; a global one serves every smart link already."
        raise Invalid({"destination_ids": [message]})
    await connection.execute(SQL["link"], sorted(row["destination_id"] for row in found), smart_link_id)


async def _publish(services: Services, account_id: str) -> None:
    await publish_account(services.pool, services.redis, account_id, services.settings.platform_url)
    await services.redis.publish(WAKE_CHANNEL, b"jobs")


def _check_type(link_type: str, days: int | None) -> None:
    if link_type == "free_trial" and days not in TRIAL_DURATIONS:
        durations = ", ".join(str(each) for each in sorted(TRIAL_DURATIONS))
        raise Invalid({"free_trial_days": [f"The free trial days must be one of: {durations}."]})
    if link_type == "tracking_link" and days is not None:
        raise Invalid({"free_trial_days": ["The free trial days field goes with link_type free_trial only."]})


def _check_fallback(url: str) -> None:
    if url and not url.startswith(("https://", "http://")):
        raise Invalid({"fallback_url": ["The fallback url must start with https:// or http://."]})
    if any(ord(character) < 33 or ord(character) == 127 for character in url):
        raise Invalid({"fallback_url": ["The fallback url must not contain spaces or control characters."]})
