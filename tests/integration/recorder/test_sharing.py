"""Several recorder processes: every shard recorded by one of them, a dead one's taken over, each row once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.integration.recorder.support import append, drained, fields, hours, stored
from tracker.clicklog import log_key
from tracker.recorder.locks import PRESENCE_CLASS, SHARD_CLASS, ShardLocks
from tracker.recorder.recorder import Recorder
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SETTINGS = Settings(shards=4, recorder_batch=20)


@asynccontextmanager
async def at_work(pool: Pool, redis: Client, url: str) -> AsyncIterator[Recorder]:
    """A recorder process, as a task."""
    stop = asyncio.Event()
    recorder = Recorder(SETTINGS, pool, redis, database_url=url)
    task = asyncio.create_task(recorder.run(stop))
    try:
        yield recorder
    finally:
        stop.set()
        await task


async def shards_of(recorder: Recorder, count: int) -> set[int]:
    """The shards it holds, once they are so many."""
    while len(recorder.health()["shards"]) != count:
        await asyncio.sleep(0.02)
    return set(recorder.health()["shards"])


async def test_recorders_share_the_shards_and_store_each_row_once(pool: Pool, redis: Client, database_url: str) -> None:
    async with at_work(pool, redis, database_url) as one:
        assert await shards_of(one, 4) == {0, 1, 2, 3}
        filling = [
            asyncio.create_task(append(redis, *(fields(1000 * shard + n) for n in range(150)), shard=shard))
            for shard in range(4)
        ]
        async with at_work(pool, redis, database_url) as two:
            second = await shards_of(two, 2)
            assert second | await shards_of(one, 2) == {0, 1, 2, 3}
            await asyncio.gather(*filling)
        assert await shards_of(one, 4) == {0, 1, 2, 3}
        await drained(redis, 0, 1, 2, 3)
    assert len(await stored(pool)) == 600
    assert await hours(pool) == (600, 600, 0, 0)


async def test_a_dead_ones_shards_are_taken_over(pool: Pool, redis: Client, database_url: str) -> None:
    dead = await ShardLocks.open(database_url)
    assert all([await dead.take(shard) for shard in (0, 1, 2)])
    async with at_work(pool, redis, database_url) as recorder:
        assert await shards_of(recorder, 1) == {3}
        await append(redis, fields(1), shard=1)
        dead._connection.terminate()
        assert await shards_of(recorder, 4) == {0, 1, 2, 3}
        await drained(redis, 1)
    assert len(await stored(pool)) == 1


async def test_a_lost_lock_connection_stops_the_work_until_it_is_back(
    pool: Pool, redis: Client, database_url: str
) -> None:
    other = await asyncpg.connect(database_url)
    async with at_work(pool, redis, database_url) as recorder:
        await shards_of(recorder, 4)
        work = {task for _, task in recorder._work.values()}
        await other.execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE classid::bigint = $1 AND"
            " database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            PRESENCE_CLASS,
        )
        done, _ = await asyncio.wait(work)
        # Cancelled, or ended by the stop that goes with it, whichever the task saw first; never by an error.
        assert done == work
        assert all(task.cancelled() or task.exception() is None for task in done)
        await append(redis, fields(1), shard=2)
        await drained(redis, 2)
    while await other.fetchval(
        "SELECT count(*) FROM pg_locks WHERE classid::bigint = $1 AND"
        " database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        SHARD_CLASS,
    ):
        await asyncio.sleep(0.01)  # stopped: the session and its locks end a moment after we closed it
    assert await other.fetchval("SELECT count(*) FROM clicks") == 1
    await other.close()


async def test_shards_of_accounts_are_found(pool: Pool, redis: Client, database_url: str) -> None:
    async with at_work(pool, redis, database_url) as recorder:
        await shards_of(recorder, 4)
        await pool.execute("INSERT INTO teams VALUES ('t', 'Team')")
        await pool.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, shard) VALUES ('a', 't', 'p', 'x', 9)"
        )
        await append(redis, fields(1), shard=9)
        assert 9 in await shards_of(recorder, 5)
        await drained(redis, 9)
    assert await pool.fetchval("SELECT entry_id FROM stream_positions WHERE shard = 9") != "0-0"


async def test_a_mistake_of_ours_in_one_shard_does_not_end_it(pool: Pool, redis: Client, database_url: str) -> None:
    async with at_work(pool, redis, database_url) as recorder:
        await shards_of(recorder, 4)
        await redis.set(log_key(0), "not a stream")
        recorder._work[1][1].cancel()
        await append(redis, fields(1), shard=1)
        await drained(redis, 1)
        await redis.delete(log_key(0))
        await append(redis, fields(2), shard=0)
        await drained(redis, 0)
    assert len(await stored(pool)) == 2
