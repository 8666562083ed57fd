"""A database with teams, destinations and events, as the dispatcher's tests need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp.abc import AbstractResolver

from postbacks.breaker import BreakerPolicy
from postbacks.configuration import DispatcherConfig
from postbacks.dispatcher import run_dispatcher
from postbacks.events import Event
from postbacks.facts import SAMPLE
from postbacks.outbox import enqueue
from postbacks.retry import RetryPolicy
from tracker.stores.postgres import Pool

LOOPBACK = ("127.0.0.0/8",)
FAST_RETRY = RetryPolicy(schedule=(0.02, 0.02, 0.02), overload_floor=0.02, ours_first=0.02, ours_longest=0.05)
FAST_BREAKER = BreakerPolicy(threshold=3, cooldown=0.05, longest_cooldown=0.2)
FAST = DispatcherConfig(
    timeout=2.0,
    retry=FAST_RETRY,
    breaker=FAST_BREAKER,
    egress_allow=LOOPBACK,
    idle_poll=0.02,
    lease_margin=1.0,
)
SETTLED = "NOT EXISTS (SELECT FROM deliveries WHERE state = 'waiting')"
HAPPENED = datetime(2026, 1, 31, 13, 37, tzinfo=UTC)


def event(number: int | str, **changes: Any) -> Event:
    """A conversion of team `t1` on smart link `SL1`; `conversion_id` is `evt-<number>`."""
    event_id = f"evt-{number}"
    facts = {**SAMPLE, "conversion_id": event_id, **changes.pop("facts", {})}
    values: dict[str, Any] = {
        "event_id": event_id,
        "event_type": "new_transaction",
        "occurred_at": HAPPENED,
        "team_id": "t1",
        "smart_link_id": "SL1",
        "facts": facts,
    }
    return Event(**(values | changes))


async def add_destination(
    pool: Pool,
    destination_id: str,
    url: str,
    *,
    team_id: str = "t1",
    event_types: Sequence[str] = ("new_transaction",),
    state: str = "active",
    links: Sequence[str] = (),
    config: dict[str, Any] | None = None,
) -> None:
    """A postback destination; with `links` it is campaign-specific."""
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, scope, event_types, state)"
        " VALUES ($1, $2, 'postback', $3, $4, $5, $6)",
        destination_id,
        team_id,
        {"url": url, **(config or {})},
        "campaign_specific" if links else "global",
        list(event_types),
        state,
    )
    for link in links:
        await pool.execute("INSERT INTO destination_links VALUES ($1, $2)", destination_id, link)


async def enqueue_all(pool: Pool, events: Sequence[Event]) -> int:
    """Enqueue in a transaction of its own."""
    async with pool.acquire() as connection, connection.transaction():
        return await enqueue(connection, events)


@asynccontextmanager
async def dispatching(
    pool: Pool, config: DispatcherConfig = FAST, resolver: AbstractResolver | None = None
) -> AsyncIterator[asyncio.Event]:
    """A dispatcher running in the background; yields its wake event and stops it gracefully."""
    wake, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run_dispatcher(pool, config=config, wake=wake, stop=stop, resolver=resolver))
    try:
        yield wake
    finally:
        stop.set()
        await task


async def until(pool: Pool, condition: str, *values: Any, seconds: float = 20.0) -> None:
    """Wait for a SQL condition to hold. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await pool.fetchval(f"SELECT {condition}", *values):
            await asyncio.sleep(0.02)


async def states(pool: Pool) -> dict[str, int]:
    """How many deliveries are in which state."""
    return {row[0]: row[1] for row in await pool.fetch("SELECT state, count(*) FROM deliveries GROUP BY state")}
