"""Pools measured from recorded clicks, and grown ahead of demand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from structlog.testing import capture_logs

from tests.integration.accounts.harness import ACCOUNT, bench
from tracker.clicklog import pool_key
from tracker.inventory.planning import needed_links
from tracker.inventory.pools import Leases, report
from tracker.inventory.publish import first_ulid
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SL, OTHER = "01JD00000000000000000000A1", "01JD00000000000000000000A2"
NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)


async def clicked(
    pool: Pool,
    smart_link_id: str,
    count: int,
    *,
    ago: timedelta = timedelta(minutes=10),
    lease: str = "exclusive",
    now: datetime = NOW,
    stay: timedelta = timedelta(),
    is_bot: bool = False,
) -> None:
    """So many clicks of one moment, as the recorder stores and counts them."""
    at = now - ago
    before = await pool.fetchval("SELECT count(*) FROM clicks")
    await pool.execute(
        "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, lease, is_bot)"
        " SELECT $1 || lpad((n + $2::int)::text, 16, '0'), $3, $4, $5::timestamptz, $5::timestamptz + $6::interval, n::text,"
        " 'cookie', $7, $8"
        " FROM generate_series(1, $9::int) n",
        first_ulid(at)[:10], before, smart_link_id, ACCOUNT, at, stay, lease, is_bot, count,
    )  # fmt: skip
    if not is_bot:
        await pool.execute(
            "INSERT INTO click_hours (smart_link_id, hour, clicks) VALUES ($1, date_trunc('hour', $2::timestamptz), $3)"
            " ON CONFLICT (smart_link_id, hour) DO UPDATE SET clicks = click_hours.clicks + excluded.clicks",
            smart_link_id, at, count,
        )  # fmt: skip


async def test_a_pool_tells_its_leases_and_what_it_needs(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await b.smart_link(OTHER)
        await b.run("pools")
        await clicked(pool, SL, 20)
        await clicked(pool, SL, 5, lease="shared")
        await clicked(pool, SL, 50, lease="none", is_bot=True)
        await clicked(pool, OTHER, 3, lease="reserve", ago=timedelta(hours=5))
        await clicked(pool, OTHER, 2, lease="none", ago=timedelta(hours=5))
        await clicked(pool, OTHER, 1, ago=timedelta(hours=25))
        key = pool_key(1, ACCOUNT, "tracking")
        held: Any = await redis.zrange(key, 0, 1)
        first, second = held
        later = NOW.timestamp() * 1000 + 1000
        await redis.zadd(key, {first: later, second: NOW.timestamp() * 1000})
        (told,) = await report(pool, redis, b.settings, "team", NOW)
        assert (told.account_id, told.offer, told.size, told.leased) == (ACCOUNT, "tracking", 6, 1)
        assert told.last_hour == Leases(20, 5, 0)
        assert told.last_day == Leases(20, 5, 3)
        assert [(one.smart_link_id, one.last_day) for one in told.smart_links] == [
            (SL, Leases(20, 5, 0)),
            (OTHER, Leases(0, 0, 3)),
        ]
        assert told.needed_for_999 == needed_links(25 * (6 + 1 / 60))
        assert told.short
        assert told.expected_shared_share == 1
        assert f"{told.needed_for_999} links keep 99.9 %" in told.sentence
        assert f"up to {told.target}" in told.sentence
        assert await report(pool, redis, b.settings, "another team", NOW) == []


async def test_the_busiest_hours_of_the_last_day_and_returning_visitors_count(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL, window=3600)
        await clicked(pool, SL, 30, ago=timedelta(hours=20))
        (told,) = await report(pool, redis, b.settings, "team", NOW)
        assert told.needed_for_999 == needed_links(30)
        # The clicks of an hour one lease ago stayed for half an hour: leases last that much longer.
        await clicked(pool, SL, 30, ago=timedelta(minutes=70), stay=timedelta(minutes=30))
        await clicked(pool, SL, 90, ago=timedelta(minutes=5))
        (told,) = await report(pool, redis, b.settings, "team", NOW)
        assert told.needed_for_999 == needed_links(90 * (3600 + 60 + 1800) / 3600)


async def test_the_keeper_grows_a_pool_ahead_of_demand_and_never_above_the_most(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis, settings={"pool_batch": 10}) as b:
        await b.smart_link(SL, window=3600)
        with capture_logs() as quiet:
            await b.run("pools")
        assert len(await b.links()) == 7
        assert not [entry for entry in quiet if "short" in entry["event"]]
        await clicked(pool, SL, 9, now=datetime.now(UTC))
        with capture_logs() as logs:
            await b.run("pools")
            await b.run("pools")
        (alarm,) = [entry for entry in logs if entry["event"] == "pool is short"]
        assert (alarm["log_level"], alarm["size"], alarm["offer"]) == ("warning", 6, "tracking")
        target = alarm["target"]
        assert target > needed_links(9) > 6
        assert await redis.zcard(pool_key(1, ACCOUNT, "tracking")) == target
        with capture_logs() as logs:
            await b.run("pools")
        assert [entry["event"] for entry in logs if "short" in entry["event"]] in ([], ["pool is no longer short"])
        (told,) = await report(pool, redis, b.settings, "team", datetime.now(UTC))
        assert not told.short
        assert "That is enough." in told.sentence
        b.settings = msgspec.structs.replace(b.settings, pool_max=target + 2)
        await clicked(pool, SL, 40, now=datetime.now(UTC), ago=timedelta(minutes=1))
        await b.run("pools")
        assert await redis.zcard(pool_key(1, ACCOUNT, "tracking")) == target + 2
        (told,) = await report(pool, redis, b.settings, "team", datetime.now(UTC))
        assert told.short
        assert "CLICKBIND_POOL_MAX" in told.sentence


async def test_without_valkey_the_rest_is_still_told(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        away = Client.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2)
        (told,) = await report(pool, away, Settings(), "team", NOW)
        await away.aclose()
        assert (told.size, told.leased, told.short) == (0, None, False)
        assert told.sentence == "The pool is empty; clicks go to its reserve link. No clicks came lately."
