"""Fans and spenders of a single smart link, read from what the rollup job keeps of them; who is marked, from their conversions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from tracker.reports.spans import EPOCH, EVER, NEVER, by_quarters
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

if TYPE_CHECKING:
    from tracker.lists.fans import Sort, Wanted

SQL = load_queries("tracker.lists", "link_fans.sql")
COLUMNS = {
    "revenue_net": "net_cents", "revenue_gross": "gross_cents", "tips_net": "tips_cents", "messages_sent_by_fan": "messages",
    "converted_at": "converted_at",
}  # fmt: skip
MOST = 2**63 - 1
# What comes after a row in the list: the greatest first, or the smallest; both times the later name first.
AFTER = {
    True: "({column}, account_id, fan_id) < ($9::{kind}, $10::text, $11::text)",
    False: "{column} >= $9::{kind} AND ({column} > $9::{kind} OR (account_id, fan_id) < ($10::text, $11::text))",
}


async def page(
    db: Pool | Connection, link: str, wanted: Wanted, details: str, *, sort: Sort, descending: bool, limit: int, offset: int,
    after: tuple[int, str, str] | None,
) -> list[asyncpg.Record]:  # fmt: skip
    """As `fans.page`; `details` is the query that looks up the rest of its columns, `after` what its cursor holds."""
    column = COLUMNS[sort]
    kind = "timestamptz" if column == "converted_at" else "bigint"
    number = "(extract(epoch FROM converted_at) * 1000000)::bigint" if column == "converted_at" else f"{column}::bigint"
    text = SQL["page"].format(
        column=column,
        order="DESC" if descending else "ASC",
        key=number if descending else f"-{number}",
        after=AFTER[descending].format(column=column, kind=kind),
        wanted=SQL["wanted"],
    )
    query = f"{SQL['fresh']}\n{text}\n{details}"
    return await db.fetch(
        query, [link], *_arguments(wanted), *_bound(after, descending, column == "converted_at"), limit, offset
    )


async def summary(db: Pool | Connection, link: str, wanted: Wanted) -> asyncpg.Record:
    """As `fans.summary`, a row of its columns."""
    since, until, *others = _arguments(wanted)
    if any(other is not None for other in others):
        text = SQL["summary"].format(wanted=SQL["wanted"])
        row = await db.fetchrow(f"{SQL['fresh']}\n{text}", [link], since, until, *others)
    else:
        span = by_quarters(since, max(since, until))
        row = await db.fetchrow(
            f"{SQL['fresh']}\n{SQL['summary_by_days']}", [link], span.start, span.end, span.first_day, span.end_day
        )
    assert row is not None
    return row


async def spenders(
    db: Pool | Connection, link: str, *, min_cents: int, limit: int, offset: int
) -> list[asyncpg.Record]:
    """As `fans.spenders`."""
    return await db.fetch(f"{SQL['fresh']}\n{SQL['spenders']}", [link], min_cents, limit, offset)


def _arguments(wanted: Wanted) -> tuple[Any, ...]:
    return (
        wanted.since or EVER, wanted.until or NEVER, wanted.has_messages, wanted.min_messages, wanted.min_net_cents,
        wanted.min_tips_cents, wanted.previously_subscribed,
    )  # fmt: skip


def _bound(after: tuple[int, str, str] | None, descending: bool, is_time: bool) -> tuple[Any, str, str]:
    """What the next row comes after, in the column's own terms."""
    if after is None:
        return (NEVER if descending else EVER) if is_time else (MOST if descending else -MOST), "", ""
    key, account_id, fan_id = after
    value = max(-MOST, min(key if descending else -key, MOST))
    if not is_time:
        return value, account_id, fan_id
    return max(EVER, min(EPOCH + timedelta(microseconds=max(-(10**17), min(value, 10**17))), NEVER)), account_id, fan_id
