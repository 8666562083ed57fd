"""Deliveries, newest first: what was to be told to which destination, what came of it, attempt by attempt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from tracker.lists import cursors
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.lists", "deliveries.sql")
BATCH = 1000
ATTEMPTS_SHOWN = 100

State = Literal["waiting", "delivered", "skipped", "dead"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries; None is any. `since` and `until` bound when they were written: [since, until)."""

    destination_ids: list[str] | None = None
    states: list[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    event_id: str | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at sending; `request` and `answer` hold no secrets, `verdict` is in words."""

    attempt_id: int
    attempt: int
    started_at: datetime
    duration_ms: int
    request: str
    status_code: int | None
    answer: str
    outcome: str
    verdict: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one destination. `facts`: what a template could have sent; match keys are left out. `tries` only where
    they were asked for."""

    event_id: str
    destination_id: str
    destination_number: int
    destination_name: str
    kind: str
    state: State
    due_at: datetime
    attempts: int
    verdict: str | None
    created_at: datetime
    finished_at: datetime | None
    event_type: str | None
    occurred_at: datetime | None
    facts: dict[str, str]
    tries: list[Attempt] = []

    @property
    def cursor(self) -> str:
        """Where the list goes on after this delivery."""
        return cursors.encode(self.created_at, self.event_id, self.destination_id)


async def page(
    db: Pool | Connection,
    team_id: str,
    wanted: Wanted,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
    with_attempts: bool = False,
) -> list[Delivery]:
    """Up to `limit` deliveries. Raises Invalid naming `after`."""
    key = cursors.decode(after, datetime, str, str) or [None, None, None]
    rows = await db.fetch(
        SQL["page"], team_id, wanted.destination_ids, wanted.states, wanted.since, wanted.until, *key, wanted.event_id,
        limit, offset,
    )  # fmt: skip
    return await _deliveries(db, rows, with_attempts)


async def one(db: Pool | Connection, team_id: str, event_id: str, destination_id: str | None = None) -> list[Delivery]:
    """The deliveries of one event with their attempts; empty when there are none of this team."""
    rows = await db.fetch(SQL["one"], team_id, event_id, destination_id and destination_id.upper())
    return await _deliveries(db, rows, True)


async def iterate(
    db: Pool | Connection, team_id: str, wanted: Wanted, *, after: str | None = None, batch: int = BATCH
) -> AsyncIterator[list[Delivery]]:
    """All deliveries, batch by batch, each read when it is asked for."""
    while found := await page(db, team_id, wanted, limit=batch, after=after):
        yield found
        after = found[-1].cursor


async def _deliveries(db: Pool | Connection, rows: Sequence[asyncpg.Record], with_attempts: bool) -> list[Delivery]:
    tries: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    if with_attempts and rows:
        events = [row["event_id"] for row in rows]
        for told in await db.fetch(SQL["attempts"], events, [row["destination_id"] for row in rows]):
            fields: dict[str, Any] = dict(told)
            name = (fields.pop("event_id"), fields.pop("destination_id"))
            tries[name].append(Attempt(**fields))
    return [
        Delivery(
            event_id=row["event_id"],
            destination_id=row["destination_id"],
            destination_number=row["destination_number"],
            destination_name=row["destination_name"],
            kind=row["kind"],
            state=row["state"],
            due_at=row["due_at"],
            attempts=row["attempts"],
            verdict=row["verdict"],
            created_at=row["created_at"],
            finished_at=row["finished_at"],
            event_type=row["event_type"],
            occurred_at=row["occurred_at"],
            facts={name: value for name, value in (row["facts"] or {}).items() if not name.startswith("_")},
            tries=tries[row["event_id"], row["destination_id"]][-ATTEMPTS_SHOWN:],
        )
        for row in rows
    ]
