"""Reports after an erasure: every number as before, nothing that says whose it was, and equal to what the rows say."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.exports.scene import LINK, furnish, services
from tests.integration.protection.test_erasure import (
    AT,
    CLICK,
    OTHER_VISITOR,
    VISITOR,
    click,
    click_id,
    erase,
    scene,
    traces,
)  # fmt: skip
from tracker.protection import erasure
from tracker.protection.erasure import sweep_due
from tracker.protection.retention import retain
from tracker.recorder import partitions
from tracker.reports.breakdowns import DIMENSIONS, breakdown
from tracker.reports.ranges import all_time, days
from tracker.reports.rollups import ROLLUP_LOCK, settle_all
from tracker.reports.totals import total
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

__all__ = ["scene"]
TELLING = ("referrer", "aff_s1", "aff_s2", "ecid")
OF_THE_REPORTS = ["ecid-of-karl", "karl.example", "sub-of-karl", "second-of-karl"]
CELLS = """
SELECT b.scope_id, b.hour, k.dimension, k.value, u.key & 7 AS counter, u.amount FROM breakdown_hours b
CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount) JOIN report_values k ON k.value_id = u.key >> 3
UNION ALL
SELECT b.scope_id, b.day, -k.dimension, k.value, u.key & 7, u.amount FROM breakdown_days b
CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount) JOIN report_values k ON k.value_id = u.key >> 3
"""
MARK_ALL = """
INSERT INTO report_marks (kind, smart_link_id, hour)
SELECT 'clicks', smart_link_id, date_trunc('hour', clicked_at, 'UTC') FROM clicks
UNION SELECT 'sales', smart_link_id, date_trunc('hour', conversion_at, 'UTC') FROM conversions
"""


async def told(pool: Pool) -> Counter[tuple[object, ...]]:
    """Every counter of every value, by hours and by days."""
    return Counter({tuple(row)[:-1]: row["amount"] for row in await pool.fetch(CELLS)})


async def test_counts_move_to_no_value_exactly(pool: Pool, redis: Client, scene: Settings, tmp_path: Path) -> None:
    # Somebody else with one of the same values: theirs stays.
    await click(pool, OTHER_VISITOR, AT + timedelta(hours=7))
    await pool.execute("UPDATE clicks SET aff_s2 = 'shared by two' WHERE click_id IN ($1, $2)", CLICK, click_id(AT + timedelta(hours=7)))  # fmt: skip
    # A second visit of the erased one, and conversions in every counter.
    await pool.execute(
        "INSERT INTO visits (visit_id, click_id, account_id, visitor_by, visited_at) VALUES ($1, $2, 'a1', 'cookie', $3)",
        click_id(AT + timedelta(minutes=3)), CLICK, AT + timedelta(minutes=3),
    )  # fmt: skip
    await pool.execute(MARK_ALL)
    await settle_all(pool)
    sums = await total(pool, "t1", all_time())
    assert (sums.clicks, sums.duplicates, sums.subscribers, sums.gross_cents) == (4, 1, 2, 5000)
    before = await told(pool)
    assert {key[3] for key in before} > {*OF_THE_REPORTS[:3], "shared by two", "DE"}
    done = await erase(pool, redis, scene, kind="visitor", visitor=VISITOR)
    assert done["erased"]["report_values"] == 4
    assert await traces(pool, redis, tmp_path, OF_THE_REPORTS) == []
    assert await total(pool, "t1", all_time()) == sums
    rows = {
        dimension: {row.value: row.totals for row in await breakdown(pool, "t1", all_time(), dimension)}
        for dimension in DIMENSIONS
    }
    for dimension in TELLING:
        assert sum(row.clicks for row in rows[dimension].values()) == 4
        assert sum(row.gross_cents for row in rows[dimension].values()) == 5000
        assert rows[dimension][""].clicks == (4 if dimension == "referrer" else 2), "the others' referrer has no host"
        assert rows[dimension][""].duplicates == 1
        assert rows[dimension][""].gross_cents == 5000
    assert rows["aff_s2"]["shared by two"].clicks == 1
    assert rows["country"]["DE"].clicks == 4
    now = await told(pool)
    assert {key: count for key, count in before.items() if key[3] not in (*OF_THE_REPORTS, "shared by two")} == {
        key: count for key, count in now.items() if key[3] != "shared by two"
    }, "nothing else moved"
    # In a zone whose hours are not whole, the parts are read from the clicks.
    odd = days(date(2026, 11, 1), date(2026, 11, 1), "Asia/Kolkata", date(2026, 11, 2))
    assert {row.value for row in await breakdown(pool, "t1", odd, "ecid")} == {"", "E"}
    # What the rows say, counted anew, is what was made of the rollups.
    await pool.execute(MARK_ALL)
    await settle_all(pool)
    assert await told(pool) == now
    assert await traces(pool, redis, tmp_path, OF_THE_REPORTS) == []


async def test_what_was_not_counted_yet_is_counted_nameless(
    pool: Pool, redis: Client, scene: Settings, tmp_path: Path
) -> None:
    await click(pool, VISITOR, AT + timedelta(hours=9))
    await pool.execute("UPDATE clicks SET aff_s1 = 'late-of-karl' WHERE click_id = $1", click_id(AT + timedelta(hours=9)))  # fmt: skip
    await erase(pool, redis, scene, kind="visitor", visitor=VISITOR)
    await settle_all(pool)
    now = await told(pool)
    assert min(now.values()) > 0
    assert await traces(pool, redis, tmp_path, [*OF_THE_REPORTS, "late-of-karl"]) == []
    await pool.execute(MARK_ALL)
    await settle_all(pool)
    assert await told(pool) == now


async def test_a_long_run_of_the_job_is_not_waited_for(
    pool: Pool, redis: Client, scene: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.reports.forgetting.PATIENCE", "50ms")
    async with pool.acquire() as job:
        await job.execute("SELECT pg_advisory_lock($1)", ROLLUP_LOCK)
        done = await erase(pool, redis, scene, kind="visitor", visitor=VISITOR)
        assert erasure.REPORTS_BUSY in done["pending"]
        assert await pool.fetchval("SELECT count(*) FROM clicks WHERE visitor = $1", VISITOR) == 2
        await job.execute("SELECT pg_advisory_unlock($1)", ROLLUP_LOCK)
    await pool.execute("UPDATE erasures SET swept_at = now() - interval '2 minutes'")
    assert await sweep_due(await services(pool, redis, scene)) == 1
    assert await traces(pool, redis, tmp_path, OF_THE_REPORTS) == []


async def test_a_thinned_month_keeps_its_counts(pool: Pool, redis: Client, tmp_path: Path) -> None:
    old, now = datetime(2025, 3, 15, 12, tzinfo=UTC), datetime(2026, 11, 22, 12, tzinfo=UTC)
    await furnish(pool)
    async with pool.acquire() as connection:
        await partitions.ensure(connection, old.date())
    await pool.execute(
        "INSERT INTO inventory_links (account_id, offer, kind, state, provider_link_id) OVERRIDING SYSTEM VALUE VALUES"
        " ('a1', 'tracking', 'tracking_link', 'ready', 'l1')"
    )
    for visitor, minutes in ((VISITOR, 0), (VISITOR, 5), (OTHER_VISITOR, 6)):
        await click(pool, visitor, old + timedelta(minutes=minutes))
    # Only the first click is kept: it has a credit.
    await pool.execute("INSERT INTO fans (account_id, fan_id, username) VALUES ('a1', '7', 'seven');")
    await pool.execute(
        "INSERT INTO bindings (account_id, fan_id, click_id, smart_link_id, valid_from, rule, lease, confidence, competing_clicks, event_keys)"
        " VALUES ('a1', '7', $1, $2, $3, 'subscribed', 'exclusive', 1, 1, '{}')", click_id(old), LINK, old,
    )  # fmt: skip
    settings = Settings(data_dir=str(tmp_path), retention_clicks_days=90)
    assert "clicks" not in await retain(pool, settings, now), "not before the reports have counted them"
    await settle_all(pool)
    sums = await total(pool, "t1", all_time())
    assert sums.clicks == 3
    assert (await retain(pool, settings, now))["clicks"] > 0
    assert await pool.fetchval("SELECT count(*) FROM clicks") == 1
    # Marked all the same (its clicks changed): the counts stand.
    before = await told(pool)
    await pool.execute(MARK_ALL)
    await settle_all(pool)
    assert await pool.fetchval("SELECT count(*) FROM report_marks") == 0
    assert await told(pool) == before
    await erase(pool, redis, settings, kind="visitor", visitor=VISITOR)
    assert await total(pool, "t1", all_time()) == sums
    ecids = {row.value: row.totals.clicks for row in await breakdown(pool, "t1", all_time(), "ecid")}
    assert ecids == {"": 1, "E": 1, "ecid-of-karl": 1}, "whose the dropped click was, nobody knows any more"
