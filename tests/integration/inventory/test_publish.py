"""Publishing, and the rebuild after Valkey lost its data."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import ulid

from tests.integration.accounts.harness import ACCOUNT, bench
from tracker.clicklog import LINKS_CHANNEL, LINKS_KEY, EdgeLink, pool_key, pool_member
from tracker.inventory.publish import MARK_KEY, first_ulid, publish_account, publish_all, publish_if_lost
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SL = "01JD00000000000000000000A1"
TRACKING = pool_key(1, ACCOUNT, "tracking")


async def edge_link(redis: Client, smart_link_id: str = SL) -> EdgeLink:
    """What the edge would read."""
    raw = await redis.hget(LINKS_KEY, smart_link_id)  # type: ignore[misc, unused-ignore]
    assert isinstance(raw, bytes)
    return msgspec.msgpack.decode(raw, type=EdgeLink)


async def scores(redis: Client) -> dict[str, float]:
    """The tracking pool."""
    held: Any = await redis.zrange(TRACKING, 0, -1, withscores=True)
    return {member.decode(): score for member, score in held}


async def test_smart_link_entry_carries_reserve_profile_and_changes(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL, window=3600)
        await b.run("session")
        await b.run("pools")
        reserve = next(row for row in await b.links() if row["role"] == "reserve")
        link = await edge_link(redis)
        assert link == EdgeLink(
            smart_link_id=SL,
            account_id=ACCOUNT,
            shard=1,
            offer="tracking",
            window_ms=3_600_000,
            state="active",
            profile_url=f"{b.settings.platform_url}/home",
            reserve=pool_member(reserve["inventory_link_id"], reserve["url"]),
        )
        assert await publish_account(pool, redis, ACCOUNT) == [], "nothing changed, nobody is told"
        listener = redis.pubsub()
        await listener.subscribe(LINKS_CHANNEL)
        await listener.get_message(timeout=5)
        await pool.execute("UPDATE smart_links SET state = 'paused', fallback_url = 'https://example.com/'")
        assert await publish_account(pool, redis, ACCOUNT) == [SL]
        told = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
        assert told is not None
        assert told["data"] == SL.encode()
        await listener.aclose()  # type: ignore[no-untyped-call]
        paused = await edge_link(redis)
        assert (paused.state, paused.fallback_url) == ("paused", "https://example.com/")


async def test_publishing_keeps_leases_and_clears_what_is_retired(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await b.run("pools")
        rows = [row for row in await b.links() if row["role"] == "pool"]
        leased, retired = (pool_member(row["inventory_link_id"], row["url"]) for row in rows[:2])
        await redis.zadd(TRACKING, {leased: 1_800_000_000_000})
        await pool.execute(
            "UPDATE inventory_links SET state = 'retired' WHERE inventory_link_id = $1", rows[1]["inventory_link_id"]
        )
        await asyncio.gather(*(publish_account(pool, redis, ACCOUNT) for _ in range(4)))
        held = await scores(redis)
        assert held[leased] == 1_800_000_000_000
        assert retired not in held
        assert len(held) == 5


async def test_rebuild_after_loss_restores_leases_from_clicks_and_visits(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL, window=3600)
        await b.run("pools")
        assert await publish_if_lost(pool, redis, b.settings) is True
        assert await publish_if_lost(pool, redis, b.settings) is False
        rows = [row for row in await b.links() if row["role"] == "pool"]
        now = datetime.now(UTC).replace(microsecond=0)
        clicked, revisited, over, free = rows[:4]
        for number, (row, ago) in enumerate(((clicked, 600), (revisited, 9000), (over, 9000))):
            at = now - timedelta(seconds=ago)
            await pool.execute(
                "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by,"
                " inventory_link_id, lease) VALUES ($1, $2, $3, $4, $4, 'v', 'new', $5, 'exclusive')",
                first_ulid(at)[:-1] + str(number),
                SL,
                ACCOUNT,
                at,
                row["inventory_link_id"],
            )
        again = now - timedelta(seconds=60)
        await pool.execute(
            "INSERT INTO visits (visit_id, click_id, account_id, visited_at, visitor_by, inventory_link_id)"
            " VALUES ($1, $2, $3, $4, 'cookie', $5)",
            first_ulid(again),
            first_ulid(now - timedelta(seconds=9000))[:-1] + "1",
            ACCOUNT,
            again,
            revisited["inventory_link_id"],
        )
        before = await edge_link(redis)
        await redis.flushall()
        assert await publish_if_lost(pool, redis, b.settings) is True
        assert await redis.exists(MARK_KEY)
        held = await scores(redis)
        assert len(held) == 6

        def score(row: object) -> float:
            return held[pool_member(row["inventory_link_id"], row["url"])]  # type: ignore[index]

        assert score(clicked) == (now - timedelta(seconds=600 - 3660)).timestamp() * 1000
        assert score(revisited) == (again + timedelta(seconds=3660)).timestamp() * 1000
        assert score(over) == score(free) == 0
        assert await edge_link(redis) == before


async def test_all_accounts_are_published(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await pool.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard)"
            " VALUES ('acct_other', 'team', 'onlyfansapi', 'acct_other', 'other', 2)"
        )
        await pool.execute(
            "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer, state)"
            " VALUES ('OTHER', 'team', 'acct_other', 'x', 'tracking_link', 'tracking', 'deleted')"
        )
        assert await publish_all(pool, redis, b.settings) == 2
        other = await edge_link(redis, "OTHER")
        assert (other.shard, other.state, other.profile_url) == (2, "deleted", f"{b.settings.platform_url}/other")


def test_first_ulid_sorts_with_real_ones() -> None:
    at = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    real = ulid.from_timestamp(at.timestamp()).str.lower()
    assert first_ulid(at)[:10] == real[:10]
    assert first_ulid(at) <= real < first_ulid(at + timedelta(milliseconds=2))
