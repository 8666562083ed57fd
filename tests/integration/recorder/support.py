"""Log entries as the edge writes them, and what the tables hold, for the recorder's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tracker.clicklog import KIND_CLICK, Visit, log_key
from tracker.recorder import ulids
from tracker.recorder.entry import LATEST_MS
from tracker.recorder.geo import Geo
from tracker.recorder.metrics import Metrics
from tracker.recorder.shard import ShardRecorder
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

START_MS = 1_795_300_000_000
SMART_LINK = "01KAY0SMARTLINK00000000000"
ACCOUNT = "acct_one"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
    " Instagram 334.0.4.32.98 (iPhone14,5; iOS 17_5_1; en_US; en; scale=3.00; 1170x2532; 609775437)"
)


def ulid(number: int, at_ms: int = START_MS) -> str:
    """The click id of that number; its time is `at_ms`."""
    return ulids.prefix(at_ms) + f"{number:016d}"


def fields(
    number: int,
    kind: str = KIND_CLICK,
    *,
    of: int | None = None,
    of_ms: int | None = None,
    at_ms: int | None = None,
    visitor: str = "visitor-1",
    by: str = "new",
    link: int | None = 7,
    lease: str = "exclusive",
    spilled: bool = False,
    **visit: Any,
) -> dict[str, bytes | str]:
    """The fields of an entry: visit `number` at START_MS + number seconds, a duplicate of click `of` when given."""
    at_ms = START_MS + number * 1000 if at_ms is None else at_ms
    visit_id = ulid(number, min(at_ms, LATEST_MS))
    owner_ms = (START_MS + of * 1000 if of_ms is None else of_ms) if of is not None else 0
    values: dict[str, Any] = {"smart_link_id": SMART_LINK, "account_id": ACCOUNT, "ip": "8.8.8.8", "user_agent": PHONE}
    entry: dict[str, bytes | str] = {
        "r": msgspec.msgpack.encode(Visit(visit_id=visit_id, at_ms=at_ms, **(values | visit))),
        "k": kind,
        "c": visit_id if of is None else ulid(of, owner_ms),
        "v": visitor,
        "y": by,
        "m": f"{link}|https://example.com/c{link}" if link is not None else "",
        "l": lease,
    }
    if spilled:
        entry["s"] = "1"
    return entry


def click_id(number: int) -> str:
    """The id `fields(number)` gives its click."""
    return ulid(number, START_MS + number * 1000)


async def append(redis: Client, *entries: dict[str, Any], shard: int = 0) -> list[bytes]:
    """Append entries to a shard's log; the stream ids."""
    return [bytes(await redis.xadd(log_key(shard), entry)) for entry in entries]  # type: ignore[arg-type]


def shard_recorder(
    pool: Pool, redis: Client, *, shard: int = 0, batch: int = 100
) -> tuple[ShardRecorder, asyncio.Event]:
    """A recorder of one shard, and the event that stops it."""
    stop = asyncio.Event()
    return (
        ShardRecorder(
            shard,
            pool,
            redis,
            geo=Geo(),
            batch=batch,
            metrics=Metrics(),
            stop=stop,
            turns=asyncio.Semaphore(2),
        ),
        stop,
    )


@asynccontextmanager
async def recording(pool: Pool, redis: Client, *, shard: int = 0, batch: int = 100) -> AsyncIterator[ShardRecorder]:
    """A recorder of one shard at work."""
    recorder, stop = shard_recorder(pool, redis, shard=shard, batch=batch)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        stop.set()
        await task


async def drained(redis: Client, *shards: int) -> None:
    """Wait until everything in the logs is recorded and trimmed."""
    for shard in shards or (0,):
        while await redis.xlen(log_key(shard)):
            await asyncio.sleep(0.005)


async def record(pool: Pool, redis: Client, *entries: dict[str, Any], batch: int = 100) -> None:
    """Append the entries and record what is in the log of shard 0."""
    await append(redis, *entries)
    async with recording(pool, redis, batch=batch):
        await drained(redis)


async def hours(pool: Pool, smart_link_id: str = SMART_LINK) -> tuple[int, int, int, int]:
    """(clicks, gross clicks, bots, prefetches) of a smart link over all hours."""
    row = await pool.fetchrow(
        "SELECT coalesce(sum(clicks), 0)::int, coalesce(sum(gross_clicks), 0)::int, coalesce(sum(bots), 0)::int,"
        " coalesce(sum(prefetches), 0)::int FROM click_hours WHERE smart_link_id = $1",
        smart_link_id,
    )
    assert row is not None
    return row[0], row[1], row[2], row[3]


async def stored(pool: Pool) -> dict[str, tuple[int, int | None, str, bool]]:
    """click id -> (gross clicks, inventory link, lease, spilled)."""
    found = await pool.fetch("SELECT click_id, gross_clicks, inventory_link_id, lease, spilled FROM clicks")
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in found}


async def later_visits(pool: Pool) -> dict[str, tuple[str, int | None]]:
    """visit id -> (click id, inventory link)."""
    found = await pool.fetch("SELECT visit_id, click_id, inventory_link_id FROM visits")
    return {row[0]: (row[1], row[2]) for row in found}
