"""Fans credited to smart links, and the spenders among them. What is counted of a fan is what these links are credited with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from tracker.lists import cursors, link_fans
from tracker.lists.links import chosen
from tracker.reports.filters import ALL, Filters
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.lists", "fans.sql")
BATCH = 1000

Sort = Literal["revenue_net", "revenue_gross", "tips_net", "messages_sent_by_fan", "converted_at"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which fans; None is any. Money in cents. `since` and `until` bound when they were won: [since, until)."""

    links: Filters = ALL
    fan_id: str | None = None
    has_messages: bool | None = None
    min_messages: int | None = None
    min_net_cents: int | None = None
    min_tips_cents: int | None = None
    previously_subscribed: bool | None = None
    promo: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All fans of a list together. Money in cents."""

    fans: int
    fans_1_message: int
    fans_3_messages: int
    net_cents: int
    gross_cents: int
    tips_cents: int


async def page(
    db: Pool | Connection,
    team_id: str,
    wanted: Wanted,
    *,
    sort: Sort = "revenue_net",
    descending: bool = True,
    limit: int,
    offset: int = 0,
    after: str | None = None,
) -> list[asyncpg.Record]:
    """Up to `limit` fans: `fan_id`, `username`, `name`, `account_id`, `smart_link_id`, `converted_at`, `conversion_id`, `click_id`,
    `ecid`, `messages`, `gross_cents`, `net_cents`, `tips_cents`, `previously_subscribed`, `promo`, `bound_here` (still this
    link's), `price_cents` of the subscription. Raises Invalid naming `after`."""
    key = cursors.decode(after, int, str, str)
    links = await chosen(db, team_id, wanted.links)
    if _kept(links, wanted):
        return await link_fans.page(
            db, links[0], wanted, SQL["details"], sort=sort, descending=descending, limit=limit, offset=offset,
            after=None if key is None else (key[0], key[1], key[2]),
        )  # fmt: skip
    query = f"{SQL['found']}\n{SQL['page']}\n{SQL['details']}"
    key = key or [None, None, None]
    return await db.fetch(query, links, *_arguments(wanted), sort, 1 if descending else -1, *key, limit, offset)


async def summary(db: Pool | Connection, team_id: str, wanted: Wanted) -> Summary:
    """All fans of the list together."""
    links = await chosen(db, team_id, wanted.links)
    if _kept(links, wanted):
        return Summary(**dict(await link_fans.summary(db, links[0], wanted)))
    row = await db.fetchrow(f"{SQL['found']}\n{SQL['summary']}", links, *_arguments(wanted))
    assert row is not None
    return Summary(**dict(row))


async def spenders(
    db: Pool | Connection, team_id: str, filters: Filters, *, min_cents: int = 1, limit: int, offset: int = 0
) -> list[asyncpg.Record]:
    """Fans who paid at least `min_cents` gross (less what was taken back), most first."""
    links = await chosen(db, team_id, filters)
    if _kept(links, Wanted()):
        return await link_fans.spenders(db, links[0], min_cents=min_cents, limit=limit, offset=offset)
    return await db.fetch(f"{SQL['found']}\n{SQL['spenders']}", links, *_arguments(Wanted()), min_cents, limit, offset)


async def iterate(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, after: str | None = None, batch: int = BATCH
) -> AsyncIterator[list[asyncpg.Record]]:
    """All fans, newest first, batch by batch, each read when it is asked for."""
    while rows := await page(db, team_id, wanted, sort="converted_at", limit=batch, after=after):
        yield rows
        after = cursor(rows[-1])


def cursor(row: asyncpg.Record) -> str:
    """Where the list goes on after this row, in the same order."""
    return cursors.encode(row["key"], row["account_id"], row["fan_id"])


def _kept(links: list[str], wanted: Wanted) -> bool:
    """Whether it is kept ready: of one link, whatever its fans were won by (which promotion they used is looked up)."""
    return len(links) == 1 and wanted.fan_id is None and wanted.promo is None


def _arguments(wanted: Wanted) -> tuple[Any, ...]:
    return (
        wanted.fan_id, wanted.has_messages, wanted.min_messages, wanted.min_net_cents, wanted.min_tips_cents,
        wanted.previously_subscribed, wanted.promo, wanted.since, wanted.until,
    )  # fmt: skip
