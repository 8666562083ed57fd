"""Partitions ahead of time: months for what the click log fills, days for what deliveries fill.

A range that already has rows in its default partition (`*_rest`) stays there: moving them would block writers. A new
partition is made as a table of its own and then attached, which blocks neither readers nor writers of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import asyncpg
import structlog

from tracker.recorder import ulids
from tracker.stores.postgres import Connection, locked

log = structlog.get_logger()

PARTITIONS_LOCK = 0x436C6270  # "Clbp": one process makes partitions at a time
MONTHS_AHEAD = 2
DAYS_AHEAD = 3
BY_MONTH = (("clicks", "click_id"), ("visits", "visit_id"), ("prefetches", "visit_id"))
BY_DAY = (("deliveries", "day"), ("delivery_events", "day"), ("attempts", "day"))


class Partition(NamedTuple):
    """A partition of `table` for keys in [lower, upper)."""

    name: str
    table: str
    key: str
    lower: str
    upper: str


def wanted(today: date) -> Iterator[Partition]:
    """The partitions there should be on that day (UTC): this month's and the next two, today's and the next three."""
    months = [_add_months(today, number) for number in range(MONTHS_AHEAD + 2)]
    for table, key in BY_MONTH:
        for first, following in pairwise(months):
            name = f"{table}_{first:%Y_%m}"
            yield Partition(name, table, key, _first_id(first), _first_id(following))
    for table, key in BY_DAY:
        for number in range(DAYS_AHEAD + 1):
            day = today + timedelta(days=number)
            yield Partition(f"{table}_{day:%Y_%m_%d}", table, key, f"{day}", f"{day + timedelta(days=1)}")


async def ensure(connection: Connection, today: date | None = None) -> list[str]:
    """Make the partitions that are missing. Returns the names made; ones that could not be made now are logged and left.

    Does nothing while another process is at it. Raises asyncpg errors and OSError when PostgreSQL is away.
    """
    made: list[str] = []
    async with locked(connection, PARTITIONS_LOCK) as held:
        if not held:
            return made
        for partition in wanted(today or datetime.now(UTC).date()):
            if await connection.fetchval("SELECT to_regclass($1)", partition.name):
                continue
            try:
                if await _make(connection, partition):
                    made.append(partition.name)
            except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as error:
                log.warning("partitions.busy", partition=partition.name, error=type(error).__name__)
    return made


async def _make(connection: Connection, partition: Partition) -> bool:
    name, table, key, lower, upper = partition
    async with connection.transaction():
        # The default partition is read once while attaching; if that takes long, or a long transaction is in the way, give up
        # and try again later rather than have writers queue behind us.
        await connection.execute("SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10s'")
        bounds = f"{key} >= '{lower}' AND {key} < '{upper}'"
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table}_rest WHERE {bounds})"):  # noqa: S608
            log.warning("partitions.left_in_rest", partition=name)
            return False
        await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY)")
        await connection.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{lower}') TO ('{upper}')"
        )
    return True


def _add_months(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def _first_id(day: date) -> str:
    return ulids.prefix(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000))
