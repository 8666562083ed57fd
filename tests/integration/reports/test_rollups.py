"""The rollup job: all or nothing, once however many run it, right for what there was before it, and bounded in what it lists."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.reports import world
from tests.integration.reports.test_exactness import told
from tests.integration.reports.world import Fact, History, facts, summed
from tracker.reports import rollups
from tracker.reports.breakdowns import DIMENSIONS, breakdown
from tracker.reports.cohorts import WINDOWS, cohort_arps
from tracker.reports.ranges import all_time, days
from tracker.reports.totals import total
from tracker.stores import postgres
from tracker.stores.postgres import Pool

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
TABLES = (
    "report_quarters",
    "report_days",
    "breakdown_hours",
    "breakdown_days",
    "report_values",
    "report_listed",
    "report_spenders",
    "breakdown_blocks",
    "report_closed",
    "cohort_fans",
    "cohort_quarters",
    "cohort_days",
    "report_courses",
    "spender_days",
    "spender_courses",
    "link_fans",
    "link_fan_days",
)


MIGRATIONS = (2, 7, 8)  # that make these tables


async def nothing() -> None:
    """Let the notes pile up."""


async def lived(pool: Pool, seed: int, steps: int = 12) -> History:
    await world.found(pool)
    history = History(pool, seed, NOON)
    await history.live(steps, nothing)
    return history


async def state(pool: Pool) -> dict[str, Any]:
    """All rollups, and what still waits to be counted."""
    kept = {table: sorted([row[0] for row in await pool.fetch(f"SELECT t::text FROM {table} t")]) for table in TABLES}
    return kept | {
        "notes": await pool.fetchval("SELECT count(*) FROM report_notes"),
        "marks": await pool.fetchval("SELECT count(*) FROM report_marks"),
        "fans": await pool.fetchval("SELECT count(*) FROM report_fan_marks"),
    }


async def mine(pool: Pool) -> list[Fact]:
    return [fact for fact in await facts(pool) if fact["team"] == "team1"]


async def test_a_crash_at_any_step_changes_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    history = await lived(pool, 11)
    await rollups.settle_all(pool)
    await history.live(6, nothing)
    await pool.execute("DELETE FROM breakdown_blocks; UPDATE report_closed SET until = NULL")
    before = await state(pool)
    assert before["notes"]
    assert before["marks"]
    for step in (*rollups.SEE, "count", "value", *rollups.ADD, *rollups.FANS, "close_courses", "close_8", "closed"):
        with monkeypatch.context() as broken:
            broken.setitem(
                rollups.SQL,
                step,
                f"{rollups.SQL[step].rstrip(';')}; SELECT 1 / 0" if step not in ("plan_freely",) else "SELECT 1 / 0",
            )
            with pytest.raises(postgres.AWAY):
                await rollups.settle(pool)
        assert await state(pool) == before, step
    await rollups.settle_all(pool)
    assert told(await total(pool, "team1", all_time())) == summed(await mine(pool))


async def test_workers_side_by_side_count_once(pool: Pool, database_url: str) -> None:
    history = await lived(pool, 12)
    second = await postgres.open_pool(database_url, max_size=3)
    stop = asyncio.Event()
    workers = [asyncio.create_task(rollups.run_rollups(each, stop=stop)) for each in (pool, second, second)]
    await history.live(6, nothing)
    while await pool.fetchval(rollups.SQL["waiting"]):
        await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*workers)
    await second.close()
    assert told(await total(pool, "team1", all_time())) == summed(await mine(pool))


async def test_what_was_there_before_the_rollups_is_counted(pool: Pool) -> None:
    await lived(pool, 13)
    for table in (*TABLES, "report_notes", "report_marks", "report_fan_marks"):
        await pool.execute(f"DROP TABLE {table}")
    await pool.execute(
        "DROP INDEX conversions_taken_back; DROP FUNCTION mark_sales CASCADE; DROP VIEW credited_fans;"
        "DROP FUNCTION referrer_host, ulid_from, ulid_time, day_number"
    )
    for number, _, sql in postgres.migrations():
        if number in MIGRATIONS:
            await pool.execute(sql)
    assert told(await total(pool, "team1", all_time())) == {}
    await rollups.settle_all(pool, marks=10)
    assert told(await total(pool, "team1", all_time())) == summed(await mine(pool))


async def test_migrations_fill_their_tables_with_what_the_job_would_keep(pool: Pool) -> None:
    history = await lived(pool, 17, steps=30)
    for _ in range(3):
        await rollups.settle_all(pool, notes=5, marks=20)
        await history.live(10, nothing)
    await rollups.settle_all(pool)
    kept = await told_rows(pool)
    assert all(kept.values()), kept
    assert any("t)" in row for row in kept["report_spenders"]), "nobody pays through two links"
    for table in kept:
        if table != "report_spenders":
            await pool.execute(f"DROP TABLE {table}")
    await pool.execute(
        "ALTER TABLE report_spenders DROP COLUMN before, DROP COLUMN shared; DROP INDEX report_spenders_by_fan;"
        "DROP INDEX report_fan_marks_by_account, report_marks_by_link; DROP VIEW credited_fans; DROP FUNCTION day_number;"
        "DELETE FROM report_closed WHERE days = 1"
    )
    for number, _, sql in postgres.migrations():
        if number in MIGRATIONS[1:]:
            await pool.execute(sql)
    assert await told_rows(pool) == kept


async def told_rows(pool: Pool) -> dict[str, list[str]]:
    """What later migrations fill, without the rows that tell of nothing any more."""
    tables = {
        "report_spenders": "true",
        "report_courses": "true",
        "spender_days": "fans <> '{}'",
        "spender_courses": "0 < ANY(fans)",
        "link_fans": "true",
        "link_fan_days": "fans <> 0",
    }
    return {
        table: [row[0] for row in await pool.fetch(f"SELECT t::text FROM {table} t WHERE {told} ORDER BY 1")]
        for table, told in tables.items()
    }


async def test_only_the_first_values_are_listed_and_none_is_lost(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "LISTED_VALUES", 2)
    await world.found(pool)
    history = History(pool, 14, NOON)

    async def settle() -> None:
        await rollups.settle_all(pool)

    await history.live(20, settle)
    await rollups.settle_all(pool)
    some = [fact for fact in await mine(pool) if fact["what"] != "prefetches"]
    for dimension in ("ecid", "utm_source", "referrer"):
        rows = await breakdown(pool, "team1", all_time(), dimension, limit=1000)
        assert None in {row.value for row in rows}, dimension
        assert sum(row.totals.clicks for row in rows) == summed(some)["clicks"]
        assert sum(row.totals.gross_cents for row in rows) == summed(some).get("gross_cents", 0)
        listed = await pool.fetch(
            "SELECT l.smart_link_id, v.value FROM report_listed l JOIN report_values v USING (value_id) WHERE l.dimension = $1",
            DIMENSIONS.index(dimension) + 1,
        )
        pairs = {(row["smart_link_id"], row["value"]) for row in listed}
        for row in rows:
            if row.value:
                exact = [
                    fact
                    for fact in some
                    if fact["values"][dimension] == row.value and (fact["link"], row.value) in pairs
                ]
                assert told(row.totals) == summed(exact, spenders=False), (dimension, row.value)


async def test_as_of_is_the_oldest_thing_not_counted(pool: Pool) -> None:
    await lived(pool, 15, steps=2)
    oldest = await pool.fetchval(
        "SELECT least((SELECT min(noted_at) FROM report_notes), (SELECT min(noted_at) FROM report_marks),"
        " (SELECT min(noted_at) FROM report_fan_marks))"
    )
    assert await rollups.as_of(pool) == oldest
    await rollups.settle_all(pool)
    assert await rollups.as_of(pool) > oldest


async def test_cohorts_are_what_fans_brought_after_so_many_days(pool: Pool) -> None:
    history = await lived(pool, 16, steps=40)
    covered = days(NOON.date().replace(day=1), NOON.date().replace(day=28), "America/New_York")
    now = datetime(2026, 5, 9, tzinfo=UTC)
    for row in await pool.fetch("SELECT * FROM conversions WHERE conversion_type = 'new_subscriber'"):
        for after in (timedelta(minutes=-9), timedelta(hours=12), timedelta(hours=36), timedelta(days=5)):
            of = row["account_id"], row["smart_link_id"], row["click_id"], row["fan_id"]
            await history.insert(*of, "new_transaction", row["conversion_at"] + after, 1000)
    await rollups.settle_all(pool)
    found = await cohort_arps(pool, "team1", None, covered, "net", now=now)
    rows = await pool.fetch("SELECT * FROM conversions WHERE retracted_at IS NULL AND team_id = 'team1'")
    fans: dict[tuple[str, str, str], datetime] = {}
    for row in rows:
        key = (row["smart_link_id"], row["account_id"], row["fan_id"])
        if row["conversion_type"] == "new_subscriber":
            fans[key] = min(row["conversion_at"], fans.get(key, row["conversion_at"]))
    paid = await pool.fetch("SELECT * FROM revenue WHERE team_id = 'team1'")
    assert found.total.subscribers == len(fans) > 3, history.numbers
    for window in WINDOWS:
        ready = {key: at for key, at in fans.items() if at < now - timedelta(days=window + 1)}
        cents = 0
        for row in paid:
            at = ready.get((row["smart_link_id"], row["account_id"], row["fan_id"]))
            if at is not None and -600 <= (row["conversion_at"] - at).total_seconds() < (window + 1) * 86400:
                cents += row["net_cents"]
        assert (found.total.matured[window], found.total.cents[window]) == (len(ready), cents), window
    assert 0 < found.total.cents[0] < found.total.cents[1]
