"""The outbox: deliveries written in the transaction of what caused them, so that neither exists without the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from postbacks.events import Event
from postbacks.queries import load_queries
from postbacks.redaction import storable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

SQL = load_queries("outbox.sql")
FACT_CAP = 4096  # characters kept of one fact


async def enqueue(connection: Connection, events: Sequence[Event]) -> int:
    """Write the deliveries of these events in the caller's transaction; returns how many are new.

    Each event goes to every destination of its team that is not deleted, wants its type, and is global or linked to its
    smart link. Asking again changes nothing. Set the dispatcher's wake event after the commit.
    """
    if not events:
        return 0
    status = await connection.execute(
        SQL["enqueue"],
        [event.event_id for event in events],
        [event.event_type for event in events],
        [event.occurred_at for event in events],
        [event.team_id for event in events],
        [event.smart_link_id for event in events],
        [_encode(event.facts) for event in events],
    )
    return _count(status)


async def abandon(connection: Connection, destination_id: str) -> int:
    """Give up what still waits for a deleted destination; returns how many deliveries that were."""
    return _count(await connection.execute(SQL["abandon"], destination_id))


def _encode(facts: dict[str, str]) -> str:
    # What jsonb cannot hold (NUL, lone surrogates) must not fail the conversion that carries it.
    return msgspec.json.encode({name: storable(value, FACT_CAP) for name, value in facts.items() if value}).decode()


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
