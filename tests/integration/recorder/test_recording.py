"""What one shard's log becomes in PostgreSQL."""

from __future__ import annotations

import msgspec
import pytest

from tests.integration.recorder.support import (
    ACCOUNT,
    PHONE,
    SMART_LINK,
    START_MS,
    append,
    click_id,
    drained,
    fields,
    hours,
    later_visits,
    record,
    recording,
    stored,
)
from tracker.clicklog import KIND_BOT, KIND_DUPLICATE, KIND_PREFETCH, WAKE_CHANNEL, log_key
from tracker.recorder.rows import moment
from tracker.recorder.stream import ClickLog
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client


async def test_a_click_is_stored_with_everything_known_of_it(pool: Pool, redis: Client) -> None:
    entry = fields(
        1, link=42, lease="shared", by="cookie", ecid="e\\1\tx\ny", fbclid="", utm_source="na\x00me", truncated=("ecid",),
        referrer="https://example.com/\r", landing_url="https://go.example.com/?a=\\N",
    )  # fmt: skip
    await record(pool, redis, entry)
    row = await pool.fetchrow("SELECT * FROM clicks")
    assert row is not None
    found = dict(row)
    assert found["click_id"] == click_id(1)
    assert found["clicked_at"] == found["last_visit_at"] == moment(START_MS + 1000)
    assert (found["visitor"], found["visitor_by"], found["inventory_link_id"], found["lease"]) == (
        "visitor-1",
        "cookie",
        42,
        "shared",
    )
    assert (found["gross_clicks"], found["spilled"], found["is_bot"]) == (1, False, False)
    assert str(found["ip"]) == "8.8.8.8"
    assert (found["country"], found["browser"], found["browser_version"], found["os"], found["device_type"]) == (
        "US",
        "Instagram",
        "334.0.4",
        "iOS",
        "mobile",
    )
    assert (found["user_agent"], found["smart_link_id"], found["account_id"]) == (PHONE, SMART_LINK, ACCOUNT)
    assert found["ecid"] == "e\\1\tx\ny"
    assert found["utm_source"] == "name"
    assert found["referrer"] == "https://example.com/\r"
    assert found["landing_url"] == "https://go.example.com/?a=\\N"
    assert found["truncated"] == ["ecid"]
    assert all(found[name] is None for name in ("fbclid", "ttclid", "accept_language", "bot_reason", "aff_s5", "scid"))
    assert await hours(pool) == (1, 1, 0, 0)


async def test_every_kind_goes_to_its_table_and_counter(pool: Pool, redis: Client) -> None:
    await record(
        pool,
        redis,
        fields(1),
        fields(2, KIND_DUPLICATE, of=1),
        fields(3, KIND_BOT, link=None, lease="none", bot_reason="crawler"),
        fields(4, KIND_PREFETCH, link=None, lease="none"),
        fields(5, at_ms=START_MS + 3_600_000 * 5),
    )
    assert await hours(pool) == (2, 3, 1, 1)
    assert await pool.fetchval("SELECT count(*) FROM click_hours") == 2
    assert await later_visits(pool) == {click_id(2): (click_id(1), 7)}
    assert (await stored(pool))[click_id(1)] == (2, 7, "exclusive", False)
    bot = await pool.fetchrow("SELECT is_bot, bot_reason, device_type, inventory_link_id FROM clicks WHERE is_bot")
    assert bot is not None
    assert tuple(bot) == (True, "crawler", "bot", None)
    assert await pool.fetchval("SELECT visit_id FROM prefetches") == click_id(4)
    assert await redis.xlen(log_key(0)) == 0


async def test_visits_advance_their_click_across_batches(pool: Pool, redis: Client) -> None:
    await record(pool, redis, fields(1))
    await record(pool, redis, fields(9, KIND_DUPLICATE, of=1), fields(5, KIND_DUPLICATE, of=1), batch=1)
    row = await pool.fetchrow("SELECT gross_clicks, last_visit_at FROM clicks")
    assert row is not None
    assert tuple(row) == (3, moment(START_MS + 9000))
    assert await hours(pool) == (1, 3, 0, 0)


@pytest.mark.parametrize("batch", [1, 100])
async def test_visits_before_their_click_come_right(pool: Pool, redis: Client, batch: int) -> None:
    await record(
        pool, redis, fields(3, KIND_DUPLICATE, of=1), fields(2, KIND_DUPLICATE, of=1), fields(1), batch=batch
    )  # fmt: skip
    row = await pool.fetchrow("SELECT gross_clicks, last_visit_at FROM clicks")
    assert row is not None
    assert tuple(row) == (3, moment(START_MS + 3000))
    assert await hours(pool) == (1, 3, 0, 0)


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize("spill_first", [False, True])
async def test_a_claim_that_landed_and_was_spilled_is_one_click(
    pool: Pool, redis: Client, spill_first: bool, batch: int
) -> None:
    landed = fields(1, link=7, lease="exclusive", by="fingerprint", visitor="alias")
    spilled = fields(1, link=99, lease="reserve", visitor="given", spilled=True)
    await record(pool, redis, *((spilled, landed) if spill_first else (landed, spilled)), batch=batch)
    assert await stored(pool) == {click_id(1): (1, 99, "reserve", True)}
    assert await pool.fetchval("SELECT visitor FROM clicks") == "given"
    assert await hours(pool) == (1, 1, 0, 0)


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize("spill_first", [False, True])
async def test_a_duplicate_that_landed_and_was_spilled_stays_a_duplicate(
    pool: Pool, redis: Client, spill_first: bool, batch: int
) -> None:
    landed = fields(2, KIND_DUPLICATE, of=1, link=7)
    spilled = fields(2, link=99, lease="reserve", spilled=True)
    await record(pool, redis, fields(1), *((spilled, landed) if spill_first else (landed, spilled)), batch=batch)
    assert await stored(pool) == {click_id(1): (2, 7, "exclusive", False)}
    assert await later_visits(pool) == {click_id(2): (click_id(1), 99)}
    assert await pool.fetchval("SELECT last_visit_at FROM clicks") == moment(START_MS + 2000)
    assert await hours(pool) == (1, 2, 0, 0)


async def test_what_cannot_be_understood_is_kept_and_blocks_nothing(pool: Pool, redis: Client) -> None:
    good = fields(1)
    poison: list[dict[str, bytes | str]] = [
        good | {"r": b"\xc1 not msgpack"},
        {"k": "click"},
        fields(2, "teleport"),
        fields(3) | {"m": "99999999999999999999|https://example.com"},
        fields(4) | {"c": "not-a-ulid"},
        fields(5, smart_link_id="x" * 4000),
        fields(6) | {"v": b"\xff\xfe"},
        fields(7, at_ms=10**15),
    ]
    await record(pool, redis, *poison, good, batch=3)
    assert list(await stored(pool)) == [click_id(1)]
    rejects = await pool.fetch("SELECT reason, body FROM log_rejects ORDER BY reject_id")
    assert len(rejects) == len(poison)
    assert all(row["reason"] for row in rejects)
    assert dict(msgspec.msgpack.decode(rejects[0]["body"]))[b"k"] == b"click"
    assert await hours(pool) == (1, 1, 0, 0)


async def test_an_entry_postgresql_refuses_is_set_aside_alone(pool: Pool, redis: Client) -> None:
    await pool.execute("ALTER TABLE clicks ALTER ecid TYPE varchar(10)")
    await record(pool, redis, *(fields(n, ecid="far too long" if n in (3, 4) else "fine") for n in range(1, 8)))
    assert sorted(await stored(pool)) == [click_id(n) for n in (1, 2, 5, 6, 7)]
    rejects = await pool.fetch("SELECT reason FROM log_rejects")
    assert [row["reason"].startswith("refused by PostgreSQL") for row in rejects] == [True, True]
    assert await hours(pool) == (5, 5, 0, 0)


async def test_fans_are_woken_and_the_worker_told(pool: Pool, redis: Client) -> None:
    listener = redis.pubsub()
    await listener.subscribe(WAKE_CHANNEL)
    await listener.get_message(timeout=2)
    await pool.execute("INSERT INTO teams VALUES ('t', 'Team')")
    await pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, shard) VALUES ($1, 't', 'p', 'x', 0)",
        ACCOUNT,
    )
    await pool.executemany(
        "INSERT INTO fans (account_id, fan_id) VALUES ($1, $2)",
        [(ACCOUNT, f) for f in ("bound", "late", "early", "other")],
    )
    await record(pool, redis, fields(1, visitor="v1"), fields(2, visitor="v2"))
    await pool.executemany(
        "INSERT INTO bindings (account_id, fan_id, valid_from, click_id, smart_link_id, rule, lease, confidence, competing_clicks,"
        " event_keys) VALUES ($1, $2, now(), $3, $4, 'subscribed', 'exclusive', 1, 1, '{}')",
        [(ACCOUNT, "bound", click_id(1), SMART_LINK), (ACCOUNT, "other", click_id(2), SMART_LINK)],
    )
    await pool.executemany(
        "INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, inventory_link_id, source)"
        " VALUES ($1, $2, 'link_subscriber', $2, $3, 50, 'poll')",
        [(ACCOUNT, "late", moment(START_MS + 60_000)), (ACCOUNT, "early", moment(START_MS - 600_000))],
    )
    await pool.execute("DELETE FROM fan_queue")
    await record(pool, redis, fields(3, visitor="v1", by="fingerprint", link=None, lease="none"))
    assert await pool.fetch("SELECT fan_id FROM fan_queue") == []
    await record(pool, redis, fields(4, visitor="v1", by="cookie"), fields(5, visitor="v3", link=50))
    assert [row[0] for row in await pool.fetch("SELECT fan_id FROM fan_queue ORDER BY 1")] == ["bound", "late"]
    message = await listener.get_message(timeout=2)
    assert message is not None
    assert message["data"] == b"fans"
    await record(pool, redis, fields(6, KIND_DUPLICATE, of=4, visitor="v1", by="cookie"))
    assert await pool.fetchval("SELECT generation FROM fan_queue WHERE fan_id = 'bound'") == 2
    await listener.aclose()  # type: ignore[no-untyped-call]


async def test_a_trim_after_a_failover_drops_nothing(redis: Client) -> None:
    await append(redis, fields(1), fields(2))
    log = ClickLog(redis, 0)
    chunk = await log.read("0-0", 10, None)
    assert not await log.trim("of-another-primary", "99999999999999-0")
    assert await redis.xlen(log_key(0)) == 2
    assert await log.trim(chunk.replication_id, chunk.entries[0][0].decode())
    assert await redis.xlen(log_key(0)) == 1


async def test_the_position_moves_with_the_rows(pool: Pool, redis: Client) -> None:
    ids = await append(redis, fields(1), fields(2))
    async with recording(pool, redis, batch=1) as recorder:
        await drained(redis)
        health = recorder._metrics.health()["shards"][0]
    row = await pool.fetchrow("SELECT replication_id, entry_id FROM stream_positions WHERE shard = 0")
    assert row is not None
    assert tuple(row) == ((await redis.info("replication"))["master_replid"], ids[-1].decode())
    assert health["last_commit_at"] > 0
