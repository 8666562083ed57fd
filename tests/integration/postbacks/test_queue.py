"""The queue's plans on a long backlog: the index is followed, the backlog is not scanned."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from postbacks.queue import CHUNK, READ_BY_KIND, SQL, Queue
from tests.integration.postbacks.scene import add_destination
from tracker.stores.postgres import Pool

BACKLOG = 100_000


@pytest.fixture
async def backlog(pool: Pool) -> Pool:
    """100,000 waiting deliveries of one destination not due, one of another due, 20,000 delivered."""
    for name in ("busy", "small"):
        await add_destination(pool, name, "https://h.example/")
    await pool.execute(
        "INSERT INTO deliveries (event_id, destination_id, day, due_at, created_at)"
        " SELECT 'evt-' || n, 'busy', current_date, now() + interval '1 hour', now()"
        " FROM generate_series(1, $1) n",
        BACKLOG,
    )
    await pool.execute(
        "INSERT INTO deliveries (event_id, destination_id, day, state)"
        " SELECT 'old-' || n, 'small', current_date, 'delivered' FROM generate_series(1, 20000) n"
    )
    await pool.execute("INSERT INTO deliveries (event_id, destination_id, day) VALUES ('evt-1', 'small', current_date)")
    return pool


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    """All nodes of a plan."""
    return [node, *(inner for child in node.get("Plans", []) for inner in walk(child))]


async def plan(pool: Pool, sql: str, *values: Any) -> list[dict[str, Any]]:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        found = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *values)
        await transaction.rollback()
    decoded = json.loads(found) if isinstance(found, str) else found
    return walk(decoded[0]["Plan"])


@pytest.mark.parametrize("analysed", [False, True])
async def test_finding_and_claiming_follow_the_waiting_index(backlog: Pool, analysed: bool) -> None:
    if analysed:
        await backlog.execute("ANALYZE deliveries")
    ready = await plan(backlog, SQL["ready"])
    claim = await plan(
        backlog,
        SQL["claim"],
        ["busy", "small"],
        [100, 100],
        60.0,
        "token",
        *map(list, READ_BY_KIND),
        CHUNK,
        [None, None],
        [None, None],
    )
    for nodes in (ready, claim):
        scans = [node for node in nodes if str(node.get("Relation Name", "")).startswith("deliveries")]
        read = [node for node in scans if node["Node Type"] != "ModifyTable"]
        assert all(node["Node Type"] in ("Index Scan", "Index Only Scan") for node in read), read
        rows = sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in read
        )
        assert rows < 20
        assert nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"] < 200


async def test_settling_looks_its_rows_up_by_key(backlog: Pool) -> None:
    await backlog.execute("ANALYZE deliveries")
    today = datetime.now(UTC).date()
    entries = [
        {"event_id": f"evt-{n}", "destination_id": "busy", "day": str(today), "lease_token": "t"}
        | {"state": "delivered", "delay": 0, "charged": True, "verdict": "200", "attempt": 1, "duration_ms": 1}
        | {"started_at": "2026-01-31T00:00:00Z", "request": "", "answer": "", "outcome": "delivered", "words": "200"}
        for n in range(1, 500)
    ]
    nodes = await plan(backlog, SQL["complete"], json.dumps(entries), True)
    read = [node for node in nodes if str(node.get("Relation Name", "")).startswith("deliveries")]
    assert {node["Node Type"] for node in read} == {"ModifyTable", "Index Scan"}


async def test_settling_a_batch_looks_its_rows_up_by_key(backlog: Pool) -> None:
    await backlog.execute("ANALYZE deliveries")
    today = datetime.now(UTC).date()
    keys = json.dumps([[f"evt-{n}" for n in range(1, 500)], [1] * 499, [0] * 499, [[str(today), "t"]]]).encode()
    events = json.dumps([{"event_id": f"evt-{n}"} for n in range(1, 500)]).encode()
    nodes = await plan(
        backlog, SQL["complete_batch"], keys, 499, "busy", events, "", 1024, datetime.now(UTC), 1, 200, "", "delivered", "",
        True,
    )  # fmt: skip
    read = [node for node in nodes if str(node.get("Relation Name", "")).startswith("deliveries")]
    assert {node["Node Type"] for node in read} == {"ModifyTable", "Index Scan"}


async def test_ready_names_only_destinations_with_something_due(backlog: Pool) -> None:
    assert await Queue(backlog).ready() == ["small"]
    await backlog.execute("UPDATE deliveries SET due_at = now() WHERE event_id = 'evt-77' AND destination_id = 'busy'")
    assert sorted(await Queue(backlog).ready()) == ["busy", "small"]
    await backlog.execute("UPDATE destinations SET state = 'paused' WHERE destination_id = 'small'")
    assert await Queue(backlog).ready() == ["busy"]


async def test_taking_a_lease_is_a_heap_only_update(pool: Pool) -> None:
    await add_destination(pool, "a", "https://h.example/")
    await pool.execute(
        "INSERT INTO deliveries (event_id, destination_id, day) SELECT 'evt-' || n, 'a', current_date"
        " FROM generate_series(1, 10) n"
    )
    assert list(map(len, await Queue(pool).claim({"a": 10}, 60.0))) == [10]
    assert await Queue(pool).claim({"a": 10}, 60.0) == []
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        row = await connection.fetchrow(
            "SELECT sum(n_tup_upd) AS updates, sum(n_tup_hot_upd) AS hot FROM pg_stat_user_tables"
            " WHERE relname LIKE 'deliveries%'"
        )
    assert row is not None
    assert row["hot"] == row["updates"] == 10
