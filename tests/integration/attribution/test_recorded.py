"""A fan is folded only once the clicks before its newest event are recorded: a sale is not told with an older click."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.integration.attribution.books import arrive
from tests.integration.attribution.test_told_once import a_click, clicks, events, listed, opened
from tracker.attribution.recorded import RecordedClicks
from tracker.attribution.worker import fold_due
from tracker.clicklog import log_key
from tracker.stores.postgres import Connection, Pool
from tracker.stores.valkey import Client, connect


def now() -> int:
    """Unix milliseconds."""
    return round(time.time() * 1000)


async def test_an_entry_that_waits_in_the_log_holds_the_time_back(pool: Pool, redis: Client) -> None:
    recorded = RecordedClicks(redis)
    async with pool.acquire() as connection:
        before = now()
        until = await recorded.until(connection, [0])
        assert before - 1000 < until[0] <= now(), "an empty log is recorded up to now"
        first = await redis.xadd(log_key(0), {"k": "click"}, id="1700000000000-0")
        assert first is not None
        assert (await recorded.until(connection, [0]))[0] < 1_700_000_000_000
        await connection.execute(
            "INSERT INTO stream_positions (shard, replication_id, entry_id) VALUES (0, 'r', '1700000000000-0')"
        )
        assert (await recorded.until(connection, [0]))[0] > before - 1000, "what is recorded holds nothing back"


async def test_a_valkey_that_is_away_or_just_back_cannot_be_asked(pool: Pool, redis: Client) -> None:
    async with pool.acquire() as connection:
        away = RecordedClicks(connect("unix:///nonexistent/valkey.sock", socket_connect_timeout=0.2))
        assert await away.until(connection, [0]) == {}
        back = RecordedClicks(redis)
        back.lost()
        assert await back.until(connection, [0]) == {}, "edges may still replay the clicks they kept"


async def test_a_fan_waits_for_its_clicks_and_is_then_folded(pool: Pool) -> None:
    reached = 0

    async def until(_: Connection, shards: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(shards, reached)

    account_id = await opened(pool)
    at = now() - 90_000
    await arrive(pool, clicks(account_id, a_click(1, at)))
    await arrive(pool, events(account_id, listed(at)))
    await pool.execute("UPDATE platform_events SET first_seen_at = now()")
    reached = at - 1
    assert await fold_due(pool, price_wait=0, recorded_until=until) == (1, [])
    row = await pool.fetchrow("SELECT due_at > now() AS later FROM fan_queue")
    assert row is not None
    assert row["later"], "it is put off, not forgotten"
    await pool.execute("UPDATE fan_queue SET due_at = now()")
    reached = now()
    taken, new = await fold_due(pool, price_wait=0, recorded_until=until)
    assert (taken, len(new)) == (1, 1)
    assert await pool.fetchval("SELECT count(*) FROM fan_queue") == 0


async def test_a_recorder_that_stays_away_does_not_hold_money_for_ever(pool: Pool) -> None:
    async def until(_: Connection, shards: Iterable[int]) -> dict[int, int]:
        return {}

    account_id = await opened(pool)
    at = now() - 300_000
    await arrive(pool, [*clicks(account_id, a_click(1, at)), *events(account_id, listed(at))])
    await pool.execute("UPDATE platform_events SET first_seen_at = now() - interval '2 minutes'")
    _, new = await fold_due(pool, price_wait=0, recorded_until=until)
    assert len(new) == 1
