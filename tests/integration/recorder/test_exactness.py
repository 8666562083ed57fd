"""Counters stay exact whatever is read twice, cut short, killed or failed over."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.recorder.support import (
    append,
    click_id,
    drained,
    fields,
    hours,
    record,
    recording,
    shard_recorder,
    stored,
)
from tests.unit.recorder.model import Tables, expected, logs
from tracker.clicklog import KIND_BOT, KIND_DUPLICATE, log_key
from tracker.recorder import rows, shard, writer
from tracker.recorder.entry import Entry, decode
from tracker.recorder.geo import Geo
from tracker.recorder.stream import ClickLog
from tracker.recorder.writer import Batch, Position, PositionMovedError
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

STEPS = ("_known", "_store", "_change", "_store_prefetches", "_count_hours")


class Crash(Exception):
    """The recorder dies here."""


@asynccontextmanager
async def crash_at(step: str) -> AsyncIterator[None]:
    """Die right after that step of a batch's transaction, or, for 'commit', right after the transaction."""
    module, name = (shard, "write") if step == "commit" else (writer, step)
    original = getattr(module, name)

    async def dying(*arguments: Any, **options: Any) -> Any:
        await original(*arguments, **options)
        raise Crash(step)

    setattr(module, name, dying)
    try:
        yield
    finally:
        setattr(module, name, original)


async def tables(pool: Pool) -> Tables:
    """The contents of the tables as the model says them."""
    ms = "(extract(epoch FROM {}) * 1000)::bigint"
    clicks = await pool.fetch(
        f"SELECT click_id, gross_clicks, {ms.format('last_visit_at')}, inventory_link_id, lease, spilled, is_bot FROM clicks"
    )
    visits = await pool.fetch("SELECT visit_id, click_id, inventory_link_id FROM visits")
    prefetches = await pool.fetch("SELECT visit_id FROM prefetches")
    counted = await pool.fetch(
        "SELECT smart_link_id, extract(epoch FROM hour)::bigint / 3600, clicks, gross_clicks, bots, prefetches FROM click_hours"
        " WHERE (clicks, gross_clicks, bots, prefetches) <> (0, 0, 0, 0)"
    )
    return Tables(
        {row[0]: (row[1], row[2], row[3], row[4], row[5], row[6]) for row in clicks},
        {row[0]: (row[1], row[2]) for row in visits},
        {row[0] for row in prefetches},
        {(row[0], row[1]): (row[2], row[3], row[4], row[5]) for row in counted},
    )


async def write_batch(pool: Pool, entries: list[Entry], number: int) -> None:
    """Write a batch from wherever the position is."""
    geo = Geo()
    tails = {e.entry_id: rows.click_tail(e, geo) for e in entries}
    before = await writer.load_position(pool, 0)
    await writer.write(pool, 0, before, Batch(Position("primary", f"{number}-0"), entries, tails, []))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=logs(), crashes=st.lists(st.sampled_from(["", *STEPS]), max_size=6))
async def test_interleavings_with_crashes_give_the_tables_of_the_model(
    pool: Pool, batches: list[list[Entry]], crashes: list[str]
) -> None:
    for table in ("clicks", "visits", "prefetches", "click_hours", "stream_positions"):
        await pool.execute(f"DELETE FROM {table}")
    for number, batch in enumerate(batches):
        if number < len(crashes) and crashes[number]:
            async with crash_at(crashes[number]):
                with pytest.raises(Crash):
                    await write_batch(pool, batch, number)
        await write_batch(pool, batch, number)
    assert await tables(pool) == expected([entry for batch in batches for entry in batch])


def a_day(size: int = 60) -> list[dict[str, bytes | str]]:
    """A log with some of everything."""
    rng = random.Random(4)
    made = [fields(0)]
    for number in range(1, size):
        roll = rng.random()
        if roll < 0.5:
            made.append(fields(number, by=rng.choice(["new", "cookie"]), link=rng.randrange(1, 9)))
        elif roll < 0.7:
            made.append(fields(number, KIND_DUPLICATE, of=0))
        elif roll < 0.8:
            made.append(fields(number, KIND_BOT, link=None))
        else:
            made += [fields(number, link=1), fields(number, link=2, lease="reserve", spilled=True)]
    return made


def model_of(entries: list[dict[str, bytes | str]]) -> Tables:
    """The model's tables of raw entries."""
    decoded = []
    for number, entry in enumerate(entries):
        raw = {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in entry.items()}
        found = decode(f"{number}-0".encode(), raw)
        assert isinstance(found, Entry)
        decoded.append(found)
    return expected(decoded)


@pytest.mark.parametrize("step", [*STEPS, "commit"])
async def test_a_crash_anywhere_loses_nothing_and_counts_nothing_twice(pool: Pool, redis: Client, step: str) -> None:
    day = a_day()
    await append(redis, *day)
    async with crash_at(step):
        recorder, _ = shard_recorder(pool, redis, batch=17)
        with pytest.raises(Crash):
            await recorder.run()
    assert await redis.xlen(log_key(0)) == len(day)  # not trimmed before everything is done
    async with recording(pool, redis, batch=17):
        await drained(redis)
    assert await tables(pool) == model_of(day)


async def test_the_whole_log_twice(pool: Pool, redis: Client) -> None:
    day = a_day()
    await record(pool, redis, *day, batch=13)
    await record(pool, redis, *day, batch=29)
    assert await tables(pool) == model_of(day)


async def test_a_new_primary_is_read_from_the_beginning(pool: Pool, redis: Client) -> None:
    """Its ids may lie below the position: what was recorded under another replication id says nothing about them."""
    await record(pool, redis, fields(1))
    await pool.execute("UPDATE stream_positions SET replication_id = 'the old primary', entry_id = '99999999999999-0'")
    await record(pool, redis, fields(1), fields(2))
    assert sorted(await stored(pool)) == [click_id(1), click_id(2)]
    assert await hours(pool) == (2, 2, 0, 0)
    row = await pool.fetchrow("SELECT replication_id, entry_id FROM stream_positions")
    assert row is not None
    assert row["replication_id"] != "the old primary"
    assert row["entry_id"] < "99999999999999-0"


async def test_a_failover_under_the_recorder_is_noticed(
    pool: Pool, redis: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one read to the next the primary is another, and its ids run behind."""
    original = ClickLog.read
    failed_over = asyncio.Event()

    async def read(self: Any, after: str, count: int, block_ms: int | None) -> Any:
        chunk = await original(self, after, count, block_ms)
        return chunk._replace(replication_id="second") if failed_over.is_set() else chunk

    monkeypatch.setattr(ClickLog, "read", read)
    monkeypatch.setattr(ClickLog, "trim", lambda *_: asyncio.sleep(0))
    await append(redis, fields(1))
    async with recording(pool, redis):
        while len(await stored(pool)) < 1:
            await asyncio.sleep(0.01)
        failed_over.set()
        await redis.delete(log_key(0))
        await redis.xadd(log_key(0), fields(2), id="5-0")  # type: ignore[arg-type]
        while len(await stored(pool)) < 2:
            await asyncio.sleep(0.01)
    position = await writer.load_position(pool, 0)
    assert position == Position("second", "5-0")


async def test_of_two_recorders_of_a_shard_one_finds_the_batch_not_its_own(pool: Pool) -> None:
    batch = Batch(Position("p", "9-0"), [], {}, [])
    before = await writer.load_position(pool, 0)
    await writer.write(pool, 0, before, batch)
    with pytest.raises(PositionMovedError):
        await writer.write(pool, 0, before, batch)


async def test_store_outages_under_load(pool: Pool, redis: Client, database_url: str) -> None:
    """Sessions of both stores are cut again and again while the log fills: nothing lost, nothing twice."""
    day = a_day(400)
    other = await asyncpg.connect(database_url)
    filling = asyncio.create_task(append(redis, *day))
    rng = random.Random(1)
    async with recording(pool, redis, batch=11):
        for _ in range(12):
            await asyncio.sleep(rng.uniform(0.0, 0.15))
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND application_name = 'clickbind'"
            )
            if filling.done():
                await redis.client_kill_filter(_type="normal", skipme=True)
        await filling
        await drained(redis)
    await other.close()
    assert await tables(pool) == model_of(day)


async def start_recorder(env: dict[str, str], folder: Path) -> asyncio.subprocess.Process:
    """The recorder role in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tracker.cli.main", "recorder", env=env, cwd=folder
    )


async def test_a_killed_process_and_its_successor(
    pool: Pool, redis: Client, database_url: str, redis_url: str, tmp_path: Path, repo_root: Path
) -> None:
    """`kill -9` at random moments, started again each time."""
    env = dict(os.environ) | {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "CLICKBIND_DATA_DIR": str(tmp_path),
        "CLICKBIND_RECORDER_BATCH": "7",
        "CLICKBIND_SHARDS": "1",
        "CLICKBIND_LOG_LEVEL": "warning",
    }
    day = a_day(1500)
    rng = random.Random(2)
    filling = asyncio.create_task(append(redis, *day))
    for _ in range(4):
        before = await pool.fetchval("SELECT count(*) FROM clicks")
        process = await start_recorder(env, repo_root)
        while await pool.fetchval("SELECT count(*) FROM clicks") == before:  # until it is at work
            await asyncio.sleep(0.01)
        await asyncio.sleep(rng.uniform(0.0, 0.2))
        process.kill()
        await process.wait()
    await filling
    process = await start_recorder(env, repo_root)
    await drained(redis)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert await tables(pool) == model_of(day)
