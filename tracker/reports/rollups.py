"""The rollup job: keeps the counters that reports read (docs/decisions/0009-reports.md).

Recorder and attribution note what they changed in the transaction that changes it; this job counts the notes and deletes them in
one transaction, from one snapshot, one job at a time. So each row is counted once, whatever crashes and however often.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import NamedTuple

import structlog

from tracker.reports.filters import Store
from tracker.reports.spans import BLOCKS
from tracker.stores.postgres import AWAY, Connection, Pool, locked
from tracker.stores.queries import load_queries

log = structlog.get_logger()
SQL = {
    name: query
    for file in ("rollups.sql", "spenders.sql", "courses.sql", "fans.sql")
    for name, query in load_queries("tracker.reports", file).items()
}

ROLLUP_LOCK = 0x436C6272  # "Clbr": one rollup job at a time
LISTED_VALUES = 2000  # per smart link and dimension; see report_listed
NOTES_AT_ONCE = 30  # some 60,000 clicks
MARKS_AT_ONCE = 5000
FANS_AT_ONCE = 5000
REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 30.0
REST_RATIO = 9  # rests nine times as long as a run took: while it keeps up, it takes at most a tenth of a core
RUN_TIMEOUT_SECONDS = 600.0
WORKSPACE = ("workspace", "spenders_workspace", "fans_workspace")
SEE = (
    "see_clicks", "see_visits", "see_prefetches", "see_clicks_anew", "see_visits_anew", "see_conversions", "see_revenue",
    "see_payers", "see_spent", "forget_spenders", "tell_spenders", "order_spenders", "share_spenders", "tell_spent",
)  # fmt: skip
ADD = (
    "number_values", "list_values", "key", "plan_freely", "add_quarters", "add_days", "tell_courses", "add_spender_days",
    "add_spender_courses", "add_breakdown_hours", "add_breakdown_days", "add_breakdown_blocks",
)  # fmt: skip
FANS = (
    "see_cohorts", "forget_fans", "tell_fans", "add_cohort_quarters", "add_cohort_days",
    "see_fans", "forget_link_fans", "tell_link_fans", "add_fan_days",
)  # fmt: skip


class Settled(NamedTuple):
    """What one run counted. `more`: there was more than it took; `busy`: another job was at it."""

    notes: int = 0
    marks: int = 0
    more: bool = False
    busy: bool = False


async def run_rollups(pool: Pool, *, stop: asyncio.Event) -> None:
    """Keep the rollups until `stop` is set; a store that is away is waited for."""
    while not stop.is_set():
        started, settled = time.monotonic(), Settled()
        try:
            if await pool.fetchval(SQL["waiting"]):
                settled = await settle(pool)
        except AWAY as error:
            log.warning("rollups.failed", error=type(error).__name__, detail=str(error)[:200])
        taken = time.monotonic() - started
        if settled.more:
            continue
        try:
            await asyncio.wait_for(stop.wait(), min(max(REST_SECONDS, taken * REST_RATIO), LONGEST_REST_SECONDS))
        except TimeoutError:
            continue


async def settle(pool: Pool, *, notes: int = NOTES_AT_ONCE, marks: int = MARKS_AT_ONCE) -> Settled:
    """One run: count up to that many notes and marks. All or nothing. Raises asyncpg errors and OSError when it could not."""
    async with pool.acquire() as connection, locked(connection, ROLLUP_LOCK) as held:
        if not held:
            return Settled(busy=True)
        for name in WORKSPACE:
            await connection.execute(SQL[name])
        # Everything is judged from one snapshot, taken after the lock: what a note or mark tells is in the rows it sees.
        async with connection.transaction(isolation="repeatable_read"):
            return await _run(connection, notes, marks)


async def settle_all(pool: Pool, *, notes: int = NOTES_AT_ONCE, marks: int = MARKS_AT_ONCE) -> None:
    """Count everything noted up to now."""
    while (await settle(pool, notes=notes, marks=marks)).more:
        pass


async def as_of(store: Store) -> datetime:
    """Everything recorded up to this moment is in the reports."""
    found: datetime = await store.fetchval(SQL["as_of"])
    return found


async def _run(connection: Connection, notes: int, marks: int) -> Settled:
    await connection.fetchrow(SQL["plan_by_index"])
    taken_notes: int = await connection.fetchval(SQL["take_notes"], notes, timeout=RUN_TIMEOUT_SECONDS)
    taken_marks: int = await connection.fetchval(
        SQL["take_marks"], marks, taken_notes < notes, timeout=RUN_TIMEOUT_SECONDS
    )
    taken_fans: int = await connection.fetchval(SQL["take_fans"], FANS_AT_ONCE, timeout=RUN_TIMEOUT_SECONDS)
    if taken_fans:
        for name in FANS:
            await connection.execute(SQL[name], timeout=RUN_TIMEOUT_SECONDS)
    if taken_notes or taken_marks:
        for name in SEE:
            await connection.execute(SQL[name], timeout=RUN_TIMEOUT_SECONDS)
        await connection.execute(SQL["count"], timeout=RUN_TIMEOUT_SECONDS)
        await connection.execute(SQL["value"], timeout=RUN_TIMEOUT_SECONDS)
        await connection.execute(SQL["choose_values"], LISTED_VALUES, timeout=RUN_TIMEOUT_SECONDS)
        for name in ADD:
            await connection.execute(SQL[name], timeout=RUN_TIMEOUT_SECONDS)
    closed = await _close(connection)
    more = closed or taken_notes >= notes or taken_marks >= marks or taken_fans >= FANS_AT_ONCE
    return Settled(taken_notes, taken_marks, more=more)


async def _close(connection: Connection) -> bool:
    """Make the courses of days that are over, and the next blocks; whether there were any blocks."""
    found = False
    if row := await connection.fetchrow(SQL["courses_to_close"]):
        await connection.execute(SQL["plan_freely"])
        await connection.execute(SQL["close_courses"], row["since"], row["until"], timeout=RUN_TIMEOUT_SECONDS)
        await connection.execute(SQL["closed"], 1, row["until"])
    for days in BLOCKS:
        if row := await connection.fetchrow(SQL["closable"], days):
            await connection.execute(SQL["plan_freely"])
            await connection.execute(SQL[f"close_{days}"], row["since"], row["until"], timeout=RUN_TIMEOUT_SECONDS)
            await connection.execute(SQL["closed"], days, row["until"])
            found = True
    return found
