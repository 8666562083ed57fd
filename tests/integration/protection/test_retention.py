"""What is old goes, what credits rest on stays, and every number stays what it was."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import msgspec
import pytest

from tests.integration.exports.scene import LINK, furnish
from tracker.attribution.worker import fold_due
from tracker.explain.load import explain
from tracker.protection import retention
from tracker.protection.retention import anonymise, retain
from tracker.recorder import partitions, ulids
from tracker.settings import Settings
from tracker.stores.postgres import Pool

OLD, NOW = date(2025, 3, 10), datetime(2026, 11, 22, 12, tzinfo=UTC)
MIDDAY = datetime(2025, 3, 15, 12, tzinfo=UTC)
CREDITED, COMPETING, OTHER = 1, 2, 3  # inventory links: the clicks on the first two could be meant by a subscription
CLICK = (
    "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, inventory_link_id,"
    " lease, ip, user_agent, accept_language) VALUES ($1, $2, 'a1', $3, $3, $4, 'cookie', $5, $6, $7, 'UA', 'en')"
)


def click_id(at: datetime, tail: str = "a") -> str:
    """A click's id of that time."""
    return ulids.prefix(int(at.timestamp() * 1000)) + tail * 16


async def click(
    pool: Pool, at: datetime, link: int, tail: str = "a", lease: str = "exclusive", ip: str = "198.51.100.77"
) -> str:
    """A click; its id."""
    name = click_id(at, tail)
    await pool.execute(CLICK, name, LINK, at, f"visitor-{name[-1]}-{at:%d%H%M}", link, lease, ip)
    return name


async def make_partitions(pool: Pool) -> None:
    async with pool.acquire() as connection:
        for day in (OLD, NOW.date()):
            await partitions.ensure(connection, day)


async def subscribe(pool: Pool, fan_id: str, at: datetime, link: int) -> None:
    await pool.execute("INSERT INTO fans (account_id, fan_id, username) VALUES ('a1', $1, $1)", fan_id)
    await pool.execute(
        "INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, inventory_link_id, detail, source, first_seen_at) VALUES"
        " ('a1', 'link:' || $3::bigint || ':' || $1 || ':1', 'link_subscriber', $1, $2, $3::bigint, '{}', 'poll', $2)",
        fan_id, at, link,
    )  # fmt: skip


async def wake(pool: Pool) -> list[asyncpg.Record]:
    """Fold everybody; what is believed then."""
    await pool.execute(
        "INSERT INTO fan_queue (account_id, fan_id) SELECT account_id, fan_id FROM fans ON CONFLICT DO NOTHING"
    )
    await fold_due(pool, price_wait=0)
    return await pool.fetch(
        "SELECT b.fan_id, b.click_id, b.rule, b.confidence, b.competing_clicks, b.retracted_at, c.conversion_id, c.retracted_at"
        " FROM bindings b LEFT JOIN conversions c USING (account_id, fan_id) ORDER BY 1, 2, 7"
    )


@pytest.fixture
async def scene(pool: Pool) -> list[asyncpg.Record]:
    """A month of March 2025 with credits: one sure, one between two clicks of which one visited twice; and clicks without."""
    await furnish(pool)
    await make_partitions(pool)
    await pool.execute(
        "INSERT INTO inventory_links (inventory_link_id, account_id, offer, kind, state, provider_link_id) OVERRIDING SYSTEM VALUE"
        " SELECT n, 'a1', 'tracking', 'tracking_link', 'ready', 'l' || n FROM generate_series(1, 3) n"
    )
    await pool.execute("UPDATE smart_link_windows SET valid_from = '-infinity'")
    await click(pool, MIDDAY, CREDITED)
    early = await click(pool, MIDDAY, COMPETING, "b", "shared")
    await click(pool, MIDDAY + timedelta(hours=1), COMPETING, "c", "shared")
    await pool.execute(
        "INSERT INTO visits (visit_id, click_id, account_id, visited_at, visitor_by, inventory_link_id) VALUES ($1, $2, 'a1', $3, 'cookie', $4),"
        " ($5, $6, 'a1', $3, 'cookie', $7)",
        click_id(MIDDAY + timedelta(hours=2), "d"), early, MIDDAY + timedelta(hours=2), COMPETING,
        click_id(MIDDAY + timedelta(hours=2), "e"), click_id(MIDDAY, "f"), OTHER,
    )  # fmt: skip
    await pool.execute(
        "UPDATE clicks SET last_visit_at = $2, gross_clicks = 2 WHERE click_id = $1", early, MIDDAY + timedelta(hours=2)
    )
    for number in range(20):
        await click(pool, MIDDAY + timedelta(days=1, minutes=number), OTHER, "f")
    await subscribe(pool, "sure", MIDDAY + timedelta(hours=1), CREDITED)
    await subscribe(pool, "torn", MIDDAY + timedelta(hours=3), COMPETING)
    believed = await wake(pool)
    assert {row["fan_id"] for row in believed} == {"sure", "torn"}
    assert next(row for row in believed if row["fan_id"] == "torn")["competing_clicks"] > 0
    return believed


async def test_a_month_is_thinned_to_what_credits_rest_on(pool: Pool, scene: list[asyncpg.Record]) -> None:
    done = await retain(pool, Settings(), NOW)
    assert done["clicks"] >= 1
    assert await pool.fetchval("SELECT count(*) FROM clicks") == 3
    assert await pool.fetchval("SELECT count(*) FROM visits") == 1
    assert await pool.fetchval("SELECT tableoid::regclass::text FROM clicks LIMIT 1") == "clicks_2025_03"
    assert await wake(pool) == scene, "the same credits, as sure as before"
    told = await explain(pool, "fan", "torn", team_id="t1")
    assert told is not None
    assert len(told.clicks) == 2
    assert "clicks" not in await retain(pool, Settings(), NOW), "once"
    assert await pool.fetchval("SELECT to_regclass('clicks_2025_04')") is None, "an empty month is gone"


async def test_a_sale_years_later_is_credited_to_the_click(pool: Pool, scene: list[asyncpg.Record]) -> None:
    await retain(pool, Settings(), NOW)
    await pool.execute(
        "INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, detail, source) VALUES ('a1', 'tx:7:done', 'transaction',"
        " 'sure', $1, $2, 'webhook')",
        NOW, {"transaction_id": "7", "type": "tip", "status": "done", "gross_cents": 500, "net_cents": 400},
    )  # fmt: skip
    await wake(pool)
    sale = await pool.fetchrow("SELECT click_id, amount_gross_cents FROM conversions WHERE transaction_id = '7'")
    assert sale is not None
    assert (sale["click_id"], sale["amount_gross_cents"]) == (click_id(MIDDAY), 500)


async def test_for_ever_is_for_ever(pool: Pool, scene: list[asyncpg.Record]) -> None:
    for_ever = msgspec.structs.replace(
        Settings(), **{name: 0 for name in Settings.__struct_fields__ if name.startswith("retention_")}
    )
    assert await retain(pool, for_ever, NOW) == {}
    assert await pool.fetchval("SELECT count(*) FROM clicks") == 23


async def test_counters_outlive_the_clicks(pool: Pool, scene: list[asyncpg.Record]) -> None:
    await pool.execute("INSERT INTO click_hours (smart_link_id, hour, clicks) VALUES ($1, $2, 23)", LINK, MIDDAY)
    await retain(pool, Settings(), NOW)
    assert await pool.fetchval("SELECT sum(clicks)::int FROM click_hours") == 23


async def test_a_reader_is_not_waited_for(
    pool: Pool, scene: list[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PATIENCE", "50ms")
    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM clicks")
        done = await retain(pool, Settings(), NOW)
        assert "clicks" not in done
    assert await pool.fetchval("SELECT count(*) FROM clicks") == 23, "nothing is lost"
    assert (await retain(pool, Settings(), NOW))["clicks"] >= 1


async def test_days_of_deliveries_go_unless_some_still_wait(pool: Pool, scene: list[asyncpg.Record]) -> None:
    first, second = OLD, OLD + timedelta(days=1)
    for day, state in ((first, "delivered"), (second, "waiting")):
        await pool.execute("INSERT INTO delivery_events VALUES ('e', $1, 'x', now(), '{}')", day)
        await pool.execute(
            "INSERT INTO deliveries (event_id, destination_id, day, state) VALUES ('e', 'd', $1, $2)", day, state
        )
        await pool.execute(
            "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, outcome, verdict)"
            " VALUES ($1, 'e', 'd', 1, now(), 5, 'GET', 'delivered', 'ok')",
            day,
        )
    await retain(pool, Settings(), NOW)
    left = [row["day"] for row in await pool.fetch("SELECT day FROM deliveries WHERE event_id = 'e'")]
    facts = [row["day"] for row in await pool.fetch("SELECT day FROM delivery_events WHERE event_id = 'e'")]
    assert left == facts == [second]
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 0


async def test_raw_webhooks_rejects_and_audit_go(pool: Pool, scene: list[asyncpg.Record]) -> None:
    for days in (29, 31):
        at = NOW - timedelta(days=days)
        for processed in (True, False):
            await pool.execute(
                "INSERT INTO webhooks (account_id, provider, dedup_key, event_type, body, received_at, processed_at)"
                " VALUES ('a1', 'x', $1, 'x', '{}', $2, CASE WHEN $3 THEN now() END)",
                f"{days}{processed}", at, processed,
            )  # fmt: skip
        await pool.execute(
            "INSERT INTO log_rejects (shard, entry_id, reason, body, rejected_at) VALUES (0, 'x', 'x', 'x', $1)", at
        )
    for days in (729, 731):
        await pool.execute(
            "INSERT INTO audit_log (team_id, at, actor, action, object_kind, object_id) VALUES ('t1', $1, 'x', 'x', 'x', 'x')",
            NOW - timedelta(days=days),
        )
    await retain(pool, Settings(), NOW)
    left = {row[0] for row in await pool.fetch("SELECT dedup_key FROM webhooks")}
    assert left == {"29True", "29False", "31False"}, "what nobody has looked at yet is never dropped"
    assert await pool.fetchval("SELECT count(*) FROM log_rejects") == 1
    assert await pool.fetchval("SELECT count(*) FROM audit_log WHERE at < $1", NOW) == 1


async def test_old_payments_of_fans_without_a_credit_go(pool: Pool, scene: list[asyncpg.Record]) -> None:
    await pool.execute("INSERT INTO fans (account_id, fan_id) VALUES ('a1', 'organic')")
    for fan_id in ("organic", "sure"):
        for kind, at in (("transaction", MIDDAY), ("message", MIDDAY), ("subscribed", MIDDAY), ("transaction", NOW)):
            await pool.execute(
                "INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, detail, source) VALUES"
                " ('a1', $1 || ':' || $2 || ':' || ($3::timestamptz)::text, $1, $2, $3::timestamptz, '{}', 'poll')",
                kind, fan_id, at,
            )  # fmt: skip
    await retain(pool, Settings(), NOW)
    left = await pool.fetch("SELECT fan_id, kind FROM platform_events WHERE event_key NOT LIKE 'link:%' ORDER BY 1, 2")
    assert [tuple(row) for row in left] == [
        ("organic", "subscribed"), ("organic", "transaction"),
        ("sure", "message"), ("sure", "subscribed"), ("sure", "transaction"), ("sure", "transaction"),
    ]  # fmt: skip


async def test_addresses_become_networks_when_nobody_needs_them(pool: Pool) -> None:
    await furnish(pool)
    await make_partitions(pool)
    await pool.execute("UPDATE smart_link_windows SET window_seconds = 86400")
    ended = NOW - timedelta(days=1 + 7)
    young = await click(pool, ended + timedelta(minutes=1), 1)
    old = [await click(pool, ended - timedelta(minutes=number + 1), 1) for number in range(5)]
    six = await click(pool, ended - timedelta(minutes=9), 1, ip="2001:db8:1234:5678::9")
    await pool.execute(
        "INSERT INTO delivery_events VALUES ('e', $1, 'x', now(), $2)",
        (ended - timedelta(days=2)).date(),
        {"_ip": "1.2.3.4", "_user_agent": "UA", "click_id": "c"},
    )
    await pool.execute("INSERT INTO delivery_events VALUES ('f', $1, 'x', now(), $2)", NOW.date(), {"_ip": "1.2.3.4"})
    assert await anonymise(pool, Settings(), NOW, batch=2) == 7
    rows = {row["click_id"]: row for row in await pool.fetch("SELECT click_id, ip::text AS ip, user_agent FROM clicks")}
    assert (rows[young]["ip"], rows[young]["user_agent"]) == ("198.51.100.77/32", "UA")
    assert {(rows[one]["ip"], rows[one]["user_agent"]) for one in old} == {("198.51.100.0/24", None)}
    assert rows[six]["ip"] == "2001:db8:1234::/48"
    assert await pool.fetchval("SELECT facts FROM delivery_events WHERE event_id = 'e'") == {"click_id": "c"}
    assert await pool.fetchval("SELECT facts FROM delivery_events WHERE event_id = 'f'") == {"_ip": "1.2.3.4"}
    assert await anonymise(pool, Settings(), NOW, batch=2) == 0, "each is looked at once"
    late = await click(pool, ended - timedelta(minutes=30), 1, "z")
    assert await anonymise(pool, Settings(), NOW + timedelta(days=1), batch=2) == 1, "the young one, now"
    await anonymise(pool, Settings(), NOW + timedelta(days=31), batch=2)
    assert await pool.fetchval("SELECT user_agent FROM clicks WHERE click_id = $1", late) is None, (
        "what a spill brought in behind us"
    )


async def test_a_network_is_told_to_nobody_as_an_address(pool: Pool) -> None:
    from tracker.attribution.evidence import SQL

    await furnish(pool)
    name = await click(pool, MIDDAY, 1)
    assert (await pool.fetch(SQL["click_facts"], [name]))[0]["ip"] == "198.51.100.77"
    await asyncio.gather(anonymise(pool, Settings(), NOW))
    assert (await pool.fetch(SQL["click_facts"], [name]))[0]["ip"] is None
