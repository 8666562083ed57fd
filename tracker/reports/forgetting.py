"""Erasing a visitor from the reports: their counts stay, what their clicks said that tells who they are goes.

Both functions are for whoever erases (tracker/protection), inside its transaction. They hold the rollup job's lock until that ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tracker.reports import rollups
from tracker.stores.postgres import Connection
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.reports", "forgetting.sql")
PATIENCE = "20s"  # for a run of the job to end


async def take_back(connection: Connection, account_ids: Sequence[str], visitor: str, until: datetime) -> None:
    """Count the visitor's clicks until then, and what was credited to them, under "no value" of referrer, aff_* and ecid.

    To be followed, in the same transaction, by taking these values from the clicks. Exact also in thinned months, where counting
    anew would not be. Raises asyncpg.LockNotAvailableError when the job is at work for longer than that.
    """
    await _hold(connection)
    await connection.execute(rollups.SQL["workspace"])
    await connection.fetchrow(rollups.SQL["plan_by_index"])
    await connection.execute(SQL["take_back"], list(account_ids), visitor, until)
    for name in ("value", "key", "plan_freely", "add_breakdown_hours", "add_breakdown_days", "add_breakdown_blocks"):
        await connection.execute(rollups.SQL[name])
    for table in ("seen", "valued", "keyed"):  # a transaction may erase several visitors
        await connection.execute(f"TRUNCATE {table}")


async def forget_values(connection: Connection, account_ids: Sequence[str], visitors: Sequence[str]) -> int:
    """Blank the values that only these visitors had, by the names their clicks have now; returns how many. Any number of times.

    Raises asyncpg.LockNotAvailableError like `take_back`.
    """
    await _hold(connection)
    status = await connection.execute(SQL["forget_values"], list(account_ids), list(visitors), timeout=300)
    return int(status.rpartition(" ")[2])


async def _hold(connection: Connection) -> None:
    await connection.execute(SQL["patience"], PATIENCE)
    await connection.execute(SQL["hold"], rollups.ROLLUP_LOCK)
