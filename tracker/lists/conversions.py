"""Conversions, newest first, each with its fan and the click it is credited to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal

import asyncpg
import msgspec

from tracker.lists import cursors
from tracker.lists.links import chosen
from tracker.reports.filters import ALL, Filters
from tracker.reports.ranges import QUARTER
from tracker.reports.spans import EPOCH, EVER, NEVER, by_quarters
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.lists", "conversions.sql")
BATCH = 1000

Type = Literal[
    "new_subscriber",
    "new_transaction",
    "message_received",
    "fan_sent_1_message",
    "fan_sent_3_messages",
    "transaction_status",
]
USUAL = ("new_subscriber", "new_transaction", "message_received", "fan_sent_1_message", "fan_sent_3_messages")
"""What a list shows unless it is asked for something else: what the vendor knows. A later status of a payment is no conversion."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversions. `since` and `until`: [since, until). `fan_id`: the platform's id of the fan."""

    links: Filters = ALL
    since: datetime | None = None
    until: datetime | None = None
    types: tuple[str, ...] = USUAL
    fan_id: str | None = None
    include_bots: bool = True


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day (naive midnight) of a list. Revenue in cents, less what was taken back."""

    day: datetime
    conversions: int
    subscribers: int
    gross_cents: int


async def page(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, limit: int, offset: int = 0, after: str | None = None
) -> list[asyncpg.Record]:
    """Up to `limit` rows: the conversion's columns, `fan_username`, `fan_name` and the click's; the click's are null when it is
    not kept any more. Raises Invalid naming `after`."""
    return await _page(db, await chosen(db, team_id, wanted.links), wanted, limit, offset, after)


async def iterate(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, after: str | None = None, batch: int = BATCH
) -> AsyncIterator[list[asyncpg.Record]]:
    """All rows, batch by batch, each read when it is asked for."""
    links = await chosen(db, team_id, wanted.links)
    while rows := await _page(db, links, wanted, batch, 0, after):
        yield rows
        after = cursor(rows[-1])


async def days(db: Pool | Connection, team_id: str, wanted: Wanted) -> list[Day]:
    """The days of a list that have any conversion."""
    links = await chosen(db, team_id, wanted.links)
    since, until = wanted.since or EVER, wanted.until or NEVER
    on_quarters = not (since - EPOCH) % QUARTER and not (until - EPOCH) % QUARTER
    if wanted.types == USUAL and wanted.fan_id is None and wanted.include_bots and on_quarters:
        span = by_quarters(since, max(since, until))
        rows = await db.fetch(SQL["kept_days"], links, span.start, span.end, span.first_day, span.end_day)
        return [Day(**dict(row)) for row in rows]
    rows = await db.fetch(
        SQL["days"], links, wanted.since, wanted.until, list(wanted.types), wanted.fan_id, wanted.include_bots
    )
    return [Day(**dict(row)) for row in rows]


def cursor(row: asyncpg.Record) -> str:
    """Where the list goes on after this row."""
    return cursors.encode(row["conversion_at"], row["conversion_id"])


async def _page(
    db: Pool | Connection, links: list[str], wanted: Wanted, limit: int, offset: int, after: str | None
) -> list[asyncpg.Record]:
    key = cursors.decode(after, datetime, str) or [None, None]
    return await db.fetch(
        SQL["page"], links, wanted.since, wanted.until, list(wanted.types), wanted.fan_id, wanted.include_bots, *key,
        limit, offset,
    )  # fmt: skip
