"""Making partitions in a real database."""

from __future__ import annotations

from datetime import UTC, date, datetime

import asyncpg

from tests.integration.recorder.support import ACCOUNT, SMART_LINK
from tracker.recorder import ulids
from tracker.recorder.partitions import PARTITIONS_LOCK, ensure, wanted
from tracker.stores.postgres import Pool

TODAY = date(2026, 12, 30)
CLICK = (
    "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, lease)"
    " VALUES ($1, $2, $3, now(), now(), 'v', 'new', 'none')"
)


def first_id(*moment: int) -> str:
    """The least ULID of that instant."""
    at = datetime(*moment, tzinfo=UTC)  # type: ignore[misc, arg-type]
    return ulids.prefix(int(at.timestamp() * 1000)) + "0" * 16


async def place(pool: Pool, click_id: str) -> str:
    """The partition a click of that id lies in."""
    await pool.execute(CLICK, click_id, SMART_LINK, ACCOUNT)
    return str(await pool.fetchval("SELECT tableoid::regclass FROM clicks WHERE click_id = $1", click_id))


async def test_all_are_made_once(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await ensure(connection, TODAY)
        assert sorted(made) == sorted(partition.name for partition in wanted(TODAY))
        assert await ensure(connection, TODAY) == []
        following = await ensure(connection, date(2027, 1, 1))
    assert "clicks_2027_03" in following
    assert "deliveries_2027_01_04" in following
    assert not any(name.startswith("clicks_2027_01") for name in following)


async def test_ids_fall_into_their_month(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await ensure(connection, TODAY)
    assert await place(pool, first_id(2026, 12, 1)) == "clicks_2026_12"
    last_of_year = ulids.prefix(ulids.milliseconds(first_id(2027, 1, 1)) - 1) + "z" * 16
    assert await place(pool, last_of_year) == "clicks_2026_12"
    assert await place(pool, first_id(2027, 1, 1)) == "clicks_2027_01"
    assert await place(pool, first_id(2026, 11, 30)) == "clicks_rest"


async def test_days_take_rows_with_their_own_indexes_and_identity(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await ensure(connection, TODAY)
    insert = (
        "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, outcome, verdict)"
        " VALUES ($1, 'e', 'd', 1, now(), 5, 'GET', 'delivered', 'ok') RETURNING attempt_id, tableoid::regclass::text"
    )
    one = await pool.fetchrow(insert, TODAY)
    two = await pool.fetchrow(insert, date(2026, 12, 31))
    assert one is not None
    assert two is not None
    assert (one[1], two[1]) == ("attempts_2026_12_30", "attempts_2026_12_31")
    assert two[0] == one[0] + 1
    indexes = await pool.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = 'clicks_2026_12'")
    parents = await pool.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = 'clicks'")
    assert (
        len(indexes)
        == len(parents)
        == await pool.fetchval(
            "SELECT count(*) FROM pg_inherits WHERE inhrelid IN (SELECT indexrelid FROM pg_index"
            " WHERE indrelid = 'clicks_2026_12'::regclass)"
        )
    )


async def test_a_range_with_rows_in_the_default_partition_is_left_and_the_others_made(pool: Pool) -> None:
    stray = first_id(2027, 1, 15)
    await pool.execute(CLICK, stray, SMART_LINK, ACCOUNT)
    async with pool.acquire() as connection:
        made = await ensure(connection, TODAY)
        assert "clicks_2027_01" not in made
        assert {"clicks_2026_12", "clicks_2027_02", "visits_2027_01"} <= set(made)
        await connection.execute("DELETE FROM clicks WHERE click_id = $1", stray)
        assert await ensure(connection, TODAY) == ["clicks_2027_01"]


async def test_a_table_in_use_is_left_for_later(pool: Pool, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("LOCK TABLE visits_rest IN ACCESS SHARE MODE")
    async with pool.acquire() as connection:
        made = await ensure(connection, TODAY)
        assert "clicks_2026_12" in made
        assert not any(name.startswith("visits") for name in made)
        await transaction.rollback()
        assert [name for name in await ensure(connection, TODAY) if name.startswith("visits")] == [
            "visits_2026_12",
            "visits_2027_01",
            "visits_2027_02",
        ]
    await other.close()


async def test_one_process_at_a_time(pool: Pool, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_advisory_lock($1)", PARTITIONS_LOCK)
    async with pool.acquire() as connection:
        assert await ensure(connection, TODAY) == []
        await other.close()
        assert await ensure(connection, TODAY) != []
