"""What is kept how long: old partitions are dropped, old clicks made nameless. Counters and rollups stay for ever.

Clicks that credits rest on must outlive their month: a fold that did not find them any more would take the credits back. So a
month of clicks is thinned, not dropped: its partition is replaced by one with only the clicks in whose lease somebody
subscribed and those that credits name, and the visits of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import asyncpg
import structlog

from tracker.protection.tombstones import SQL
from tracker.recorder import ulids
from tracker.reports.rollups import ROLLUP_LOCK
from tracker.settings import Settings
from tracker.stores.postgres import Connection, Pool

log = structlog.get_logger()

THINNED = "thinned"
BATCH = 1000
PATIENCE = "2s"  # for a lock: whoever reads is not made to wait behind us for longer
PAUSE_BUSY = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError)
_NAME = re.compile(r"_(\d{4})_(\d{2})(?:_(\d{2}))?$")

_NEEDED = {
    "clicks": """EXISTS (SELECT FROM bindings b WHERE b.click_id = o.click_id)
 OR EXISTS (SELECT FROM conversions v WHERE v.click_id = o.click_id)
 OR EXISTS (SELECT FROM (SELECT o.inventory_link_id UNION SELECT v.inventory_link_id FROM visits v WHERE v.click_id = o.click_id) l
            JOIN platform_events e ON e.inventory_link_id = l.inventory_link_id AND e.kind = 'link_subscriber'
            WHERE e.at BETWEEN o.clicked_at - interval '5 minutes' AND o.last_visit_at + make_interval(secs => {window} + 300))""",
    "visits": "EXISTS (SELECT FROM clicks c WHERE c.click_id = o.click_id)",
}


class Partition(NamedTuple):
    """A partition and the first moment after everything in it."""

    name: str
    bounds: str
    end: datetime
    thinned: bool


def expired(partitions: Iterable[Partition], now: datetime, days: int) -> list[Partition]:
    """Those that hold nothing younger than `days` (0: for ever). Pure."""
    if days == 0:
        return []
    return [one for one in partitions if one.end <= now - timedelta(days=days)]


def end_of(name: str) -> datetime | None:
    """When a partition ends, by its name: a month `…_2026_11` or a day `…_2026_11_22`. Pure."""
    found = _NAME.search(name)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2]), int(found[3] or 0)
    following = (
        date(year, month, day) + timedelta(days=1)
        if day
        else (date(year, month, 1) + timedelta(days=32)).replace(day=1)
    )
    return datetime(following.year, following.month, following.day, tzinfo=UTC)


async def partitions(connection: Connection, table: str) -> list[Partition]:
    """The partitions of a table, oldest first, without its default one."""
    found = []
    for row in await connection.fetch(SQL["partitions"], table):
        end = end_of(row["name"])
        if end is not None:
            found.append(Partition(row["name"], row["bounds"], end, row["remark"] == THINNED))
    return found


async def retain(pool: Pool, settings: Settings, now: datetime | None = None) -> dict[str, int]:
    """Drop and thin what is past its time; returns what was done: partitions by table, and rows of what has none."""
    now = now or datetime.now(UTC)
    done: dict[str, int] = {}
    async with pool.acquire() as connection:
        for table, days in (
            ("prefetches", settings.retention_prefetches_days),
            ("attempts", settings.retention_attempts_days),
        ):
            for one in expired(await partitions(connection, table), now, days):
                done[table] = done.get(table, 0) + await _drop(connection, table, one)
        for one in expired(await partitions(connection, "deliveries"), now, settings.retention_deliveries_days):
            done["deliveries"] = done.get("deliveries", 0) + await _drop_day(connection, one)
        window = await connection.fetchval(SQL["longest_window"])
        for table in ("clicks", "visits"):  # the visits of a click stay with it, so clicks come first
            for one in expired(await partitions(connection, table), now, settings.retention_clicks_days):
                if not one.thinned:
                    done[table] = done.get(table, 0) + await _thin(connection, table, one, window)
        for query, days in (
            ("old_webhooks", settings.retention_webhooks_days),
            ("old_rejects", settings.retention_webhooks_days),
            ("old_audit", settings.retention_audit_days),
        ):
            if days:
                done[query] = await _in_batches(connection, query, now - timedelta(days=days))
    if settings.retention_events_days:
        done["old_events"] = await _old_events(pool, now - timedelta(days=settings.retention_events_days))
    done = {name: count for name, count in done.items() if count}
    if done:
        log.info("retention.done", **done)
    return done


async def _drop(connection: Connection, table: str, one: Partition) -> int:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {one.name}")
            await connection.execute(f"DROP TABLE {one.name}")
    except PAUSE_BUSY as error:
        log.warning("retention.busy", partition=one.name, error=type(error).__name__)
        return 0
    return 1


async def _drop_day(connection: Connection, one: Partition) -> int:
    """A day of deliveries with its facts, unless some still wait (for a paused destination): they are not ours to lose."""
    waits = f"SELECT EXISTS (SELECT FROM {one.name} WHERE state = 'waiting')"  # noqa: S608
    if await connection.fetchval(waits):
        return 0
    dropped = await _drop(connection, "deliveries", one)
    facts = one.name.replace("deliveries_", "delivery_events_")
    if dropped and await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", facts):
        await _drop(connection, "delivery_events", one._replace(name=facts))
    return dropped


async def _thin(connection: Connection, table: str, one: Partition, window: int) -> int:
    """Replace a month by the rows of it that are still needed."""
    staged = f"{one.name}_kept"
    needed = _NEEDED[table].format(window=int(window))
    try:
        await connection.execute(f"DROP TABLE IF EXISTS {staged}")
        await connection.execute(f"CREATE TABLE {staged} (LIKE {table} INCLUDING ALL)")
        status = await connection.execute(
            f"INSERT INTO {staged} SELECT o.* FROM {one.name} o WHERE {needed}",  # noqa: S608
            timeout=3600,
        )
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'; SET LOCAL statement_timeout = '60s'")
            # Reports count what is here first: hours of a thinned month are never counted anew.
            await connection.execute(SQL["bar"], ROLLUP_LOCK)
            if await connection.fetchval(SQL["uncounted"], one.end):
                log.warning("retention.not_counted_yet", partition=one.name)
                await connection.execute(f"DROP TABLE {staged}")
                return 0
            await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {one.name}")
            await connection.execute(f"DROP TABLE {one.name}")
            if status.endswith(" 0"):
                await connection.execute(f"DROP TABLE {staged}")
            else:
                await connection.execute(f"ALTER TABLE {staged} RENAME TO {one.name}")
                await connection.execute(f"ALTER TABLE {table} ATTACH PARTITION {one.name} {one.bounds}")
                await connection.execute(f"COMMENT ON TABLE {one.name} IS '{THINNED}'")
    except PAUSE_BUSY as error:
        log.warning("retention.busy", partition=one.name, error=type(error).__name__)
        return 0
    return 1


async def _in_batches(connection: Connection, query: str, before: datetime) -> int:
    total = 0
    while True:
        status = await connection.execute(SQL[query], before, BATCH)
        deleted = int(status.rpartition(" ")[2])
        total += deleted
        if deleted < BATCH:
            return total


async def _old_events(pool: Pool, before: datetime) -> int:
    account_id, fan_id, total = "", "", 0
    while True:
        row = await pool.fetchrow(SQL["old_events"], account_id, fan_id, before, BATCH)
        if row is None:
            return total
        account_id, fan_id, total = row["account_id"], row["fan_id"], total + row["deleted"]


async def anonymise(pool: Pool, settings: Settings, now: datetime | None = None, batch: int = BATCH) -> int:
    """Cut addresses to networks and remove user agents where nobody needs them any more; returns how many rows changed.

    Needed: until the longest window is over, and then for as long as platforms take an event and a delivery can be replayed
    (`anonymise_days`). Walks the clicks once in the order of their ids, and a second time a month later, for what a spill
    brought in behind the first walk.
    """
    now = now or datetime.now(UTC)
    window = await pool.fetchval(SQL["longest_window"])
    until = now - timedelta(seconds=window, days=settings.anonymise_days)
    changed = 0
    for job, lag in (("anonymise clicks", 0), ("anonymise clicks again", 30)):
        bound = ulids.prefix(max(0, int((until - timedelta(days=lag)).timestamp() * 1000)))
        position = await pool.fetchval(SQL["progress"], job) or ""
        while True:
            async with pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(SQL["anonymise"], position, bound, batch)
                if row is None or row["last"] is None:
                    break
                position, changed = row["last"], changed + row["changed"]
                await connection.execute(SQL["advance"], job, position)
    return changed + await _anonymise_facts(pool, until.date())


async def _anonymise_facts(pool: Pool, until: date) -> int:
    job, changed = "anonymise facts", 0
    day = date.fromisoformat(await pool.fetchval(SQL["progress"], job) or "2000-01-01")
    while (following := await pool.fetchval(SQL["oldest_facts"], day, until)) is not None:
        async with pool.acquire() as connection, connection.transaction():
            status = await connection.execute(SQL["anonymise_facts"], following, timeout=600)
            await connection.execute(SQL["advance"], job, following.isoformat())
        changed += int(status.rpartition(" ")[2])
        day = following
    return changed
