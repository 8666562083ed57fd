"""Sending dead deliveries again, when a person asks: one, a time range, or all of a destination."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from postbacks.outbox import SQL

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_BATCH = 1000


class ReplayError(Exception):
    """The replay is refused; the message says why and what to do first."""


class ReplayForecast(msgspec.Struct, frozen=True):
    """What a replay would do: `dead` deliveries sent again, `beyond_dedup` of them older than the 48 hours in which ad
    platforms recognise a repeated event id, so that they may count twice."""

    dead: int
    beyond_dedup: int


async def replay_one(connection: Connection, event_id: str, destination_id: str) -> bool:
    """Send one dead delivery again; False when there is none (it is waiting already, or was delivered).

    The event id stays, attempt numbers go on, the schedule starts again. Raises ReplayError if the destination is off.
    """
    await _check(connection, destination_id)
    return await connection.fetchval(SQL["replay_one"], event_id, destination_id) is not None


async def replay_range(
    connection: Connection, destination_id: str, *, since: datetime = _BEGINNING, until: datetime | None = None
) -> int:
    """Send a destination's dead deliveries again, those written in [since, until); returns how many.

    Runs in batches, each its own statement, so the queue stays usable. Raises ReplayError if the destination is off.
    """
    asked_at = await _check(connection, destination_id)
    total = 0
    while True:
        status = await connection.execute(
            SQL["replay_range"], destination_id, since, until or asked_at, asked_at, _BATCH
        )
        moved = int(status.rpartition(" ")[2])
        total += moved
        if moved == 0:
            return total


async def forecast(
    connection: Connection, destination_id: str, *, since: datetime = _BEGINNING, until: datetime | None = None
) -> ReplayForecast:
    """What `replay_range` would do now."""
    row = await connection.fetchrow(SQL["replay_ages"], destination_id, since, until or datetime.now(UTC))
    assert row is not None
    return ReplayForecast(row["dead"], row["beyond_dedup"])


async def _check(connection: Connection, destination_id: str) -> datetime:
    row = await connection.fetchrow(SQL["destination_state"], destination_id)
    if row is None or row["state"] == "deleted":
        raise ReplayError("There is no such destination.")
    if row["state"] == "disabled":
        raise ReplayError(f"The destination is disabled ({row['state_reason']}). Enable it first.")
    asked_at: datetime = row["asked_at"]
    return asked_at
