"""Clicks, newest first, with their repeated visits as rows of their own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
import msgspec

from tracker.inventory.publish import first_ulid
from tracker.lists import cursors
from tracker.lists.links import chosen
from tracker.reports.filters import ALL, Filters
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.lists", "clicks.sql")
BATCH = 1000
FIRST, LAST = "0", "~"  # below and above every id

_ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}\Z", re.IGNORECASE)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which clicks. `since` and `until`: [since, until). `search`: a click's id, ecid, fbclid or address, exactly."""

    links: Filters = ALL
    since: datetime | None = None
    until: datetime | None = None
    include_bots: bool = True
    include_duplicates: bool = True
    search: str | None = None
    country: str | None = None
    device_type: str | None = None
    lease: str | None = None


async def page(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, limit: int, offset: int = 0, after: str | None = None
) -> list[asyncpg.Record]:
    """Up to `limit` rows: `id` (of the visit), `is_duplicate`, `visited_at` and the columns of the click.

    Raises Invalid naming `after`.
    """
    return await _page(db, await chosen(db, team_id, wanted.links), wanted, limit, offset, after)


async def iterate(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, after: str | None = None, batch: int = BATCH
) -> AsyncIterator[list[asyncpg.Record]]:
    """All rows, batch by batch, each read when it is asked for."""
    links = await chosen(db, team_id, wanted.links)
    while rows := await _page(db, links, wanted, batch, 0, after):
        yield rows
        after = cursor(rows[-1])


def cursor(row: asyncpg.Record) -> str:
    """Where the list goes on after this row."""
    return cursors.encode(row["id"])


async def _page(
    db: Pool | Connection, links: list[str], wanted: Wanted, limit: int, offset: int, after: str | None
) -> list[asyncpg.Record]:
    first = FIRST if wanted.since is None else first_ulid(wanted.since)
    last = LAST if wanted.until is None else first_ulid(wanted.until)
    key = cursors.decode(after, str)
    if key is not None:
        last = min(last, key[0])
    search = (wanted.search or "").strip() or None
    if search is not None and _ULID.match(search) and not wanted.include_duplicates:
        first, last = max(first, search.lower()), min(last, search.lower() + "0")
    return await db.fetch(
        SQL["page"], links, first, last, wanted.include_bots, wanted.include_duplicates, search,
        wanted.country, wanted.device_type, wanted.lease, limit, offset,
    )  # fmt: skip
