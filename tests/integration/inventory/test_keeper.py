"""The keeper against the fake platform: pools fill, and no link is ever made twice."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.integration.accounts.harness import ACCOUNT, Bench, bench
from tracker.clicklog import pool_key, split_member
from tracker.inventory import keeper
from tracker.providers.base import ProviderError
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SL = "01JD00000000000000000000A1"


async def members(redis: Client, offer: str = "tracking") -> dict[bytes, float]:
    """A pool as the edge sees it."""
    held: Any = await redis.zrange(pool_key(1, ACCOUNT, offer), 0, -1, withscores=True)
    return dict(held)


def names(bench: Bench, kind: str = "tracking") -> Counter[str]:
    """Names of the platform's links."""
    return Counter(link.name for link in bench.made(kind))


async def test_fills_pool_and_reserve_and_publishes(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await b.run("pools")
        rows = await b.links()
        assert Counter(row["role"] for row in rows) == {"pool": 6, "reserve": 1}
        assert {row["name"] for row in rows} == {f"cb-{row['inventory_link_id']}" for row in rows}
        assert {row["url"] for row in rows} == {b.platform.world.links.url(link) for link in b.made()}
        published = await members(redis)
        pooled = {f"{row['inventory_link_id']}|{row['url']}".encode() for row in rows if row["role"] == "pool"}
        assert published == dict.fromkeys(pooled, 0.0)
        spent = b.credits()
        await b.run("pools")
        assert b.credits() == spent, "a full pool costs nothing"
        assert b.platform.world.ledger.violations == []


async def test_trials_are_made_for_ten_claims_and_outlive_the_window(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL, days=7)
        await b.run("pools")
        made = b.made("trial")
        assert {(link.days, link.offer_limit) for link in made} == {(7, 10), (7, 100)}
        for row in await b.links():
            assert row["url"] == b.platform.world.links.url(b.real_link(row))
            assert row["expires_at"] > b.platform.world.clock.now() + timedelta(days=29)
        assert len(await members(redis, "trial-7")) == 6


@pytest.mark.parametrize("mode", ["504", "hang", "mixed"])
async def test_creates_that_time_out_never_make_a_second_link(pool: Pool, redis: Client, mode: str) -> None:
    faults: dict[str, Any] = {"create_timeout_rate": 0.35, "create_timeout_mode": mode, "create_hang": 0.3}
    async with bench(pool, redis, seed=7, settings={"provider_timeout": 0.25}, **faults) as b:
        await b.smart_link(SL)
        for _ in range(12):
            with suppress(ProviderError):
                await b.run("pools")
            ready = await b.links("ready")
            if len(ready) == 7 and not await b.links("creating"):
                break
        assert len(ready) == 7
        assert set(names(b).values()) == {1}
        known = {row["provider_link_id"] for row in await b.links(None)}
        assert known == {str(link.id) for link in b.made()}, "every link the platform has is one of ours"
        assert len(await members(redis)) == 6


async def test_crash_between_row_and_answer_is_recovered_by_name(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        row = await pool.fetchrow(keeper.SQL["begin"], ACCOUNT, "tracking", "tracking_link", "pool")
        assert row is not None
        made = b.platform.world.links.create_tracking(b.creator, row["name"], [])
        await b.run("pools")
        recovered = await pool.fetchrow(
            "SELECT * FROM inventory_links WHERE inventory_link_id = $1", row["inventory_link_id"]
        )
        assert recovered is not None
        assert (recovered["state"], recovered["provider_link_id"]) == ("ready", str(made.id))
        assert len(b.made()) == 7, "the recovered link counts towards the pool"


async def test_link_that_turns_up_late_is_taken_not_doubled(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis, settings={"pool_target": 1}) as b:
        await b.smart_link(SL)
        row = await pool.fetchrow(keeper.SQL["begin"], ACCOUNT, "tracking", "tracking_link", "pool")
        assert row is not None
        await b.run("pools")
        assert len(b.made()) == 1, "while one is on its way only the reserve is made"
        assert b.next_in < keeper.PERIOD
        await pool.execute(
            "UPDATE inventory_links SET create_started_at = now() - interval '6 minutes' WHERE inventory_link_id = $1",
            row["inventory_link_id"],
        )
        await b.run("pools")
        assert len(b.made()) == 2, "given up: another row takes its place"
        b.platform.world.links.create_tracking(b.creator, row["name"], [])
        await b.run("reconcile")
        late = await pool.fetchrow(
            "SELECT state, role FROM inventory_links WHERE inventory_link_id = $1", row["inventory_link_id"]
        )
        assert late is not None
        assert (late["state"], late["role"]) == ("ready", "pool")
        assert len(await b.links(None)) == 3
        assert len(await members(redis)) == 2


async def test_dead_session_stops_creation_and_the_pool_survives(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await b.run("pools")
        b.platform.world.sessions.move(b.creator, "expired")
        b.settings = msgspec.structs.replace(b.settings, pool_target=9)
        with pytest.raises(ProviderError) as refused:
            await b.run("pools")
        assert refused.value.kind == "session"
        assert len(await members(redis)) == 6
        assert await b.links("creating") == [], "what was surely refused leaves no row"
        b.platform.world.sessions.move(b.creator, "active")
        await b.run("pools")
        assert len(await members(redis)) == 9


async def test_refused_offer_says_why_and_others_go_on(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        b.creator.subscribe_price = 0
        await b.smart_link(SL, days=30)
        await b.smart_link(SL[:-1] + "2")
        run = await b.run("pools")
        assert "free profiles" in run.problem
        assert len(await members(redis)) == 6
        calls = b.calls("POST /api/{account}/trial-links")
        run = await b.run("pools")
        assert "free profiles" in run.problem
        assert b.calls("POST /api/{account}/trial-links") == calls, "not asked again for a while"


async def test_deleted_and_worn_links_leave_the_pool(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await b.smart_link(SL[:-1] + "2", days=3)
        await b.run("pools")
        tracking = next(row for row in await b.links() if row["offer"] == "tracking" and row["role"] == "pool")
        trial = next(row for row in await b.links() if row["offer"] == "trial-3" and row["role"] == "pool")
        worn = [row for row in await b.links() if row["offer"] == "trial-3" and row["role"] == "pool"][1]
        for row in (tracking, trial):
            b.real_link(row).deleted_at = b.platform.world.clock.now()
        await pool.execute(
            "UPDATE inventory_links SET subscribers_seen = 8 WHERE inventory_link_id = $1", worn["inventory_link_id"]
        )
        await b.run("pools")
        await b.run("reconcile")
        gone = {row["inventory_link_id"]: row["retired_reason"] for row in await b.links("retired")}
        assert gone[worn["inventory_link_id"]] == "claims_used"
        assert gone[tracking["inventory_link_id"]] == "ended"
        assert gone[trial["inventory_link_id"]] == "deleted"
        await b.run("pools")
        for offer in ("tracking", "trial-3"):
            published = {split_member(member.decode())[0] for member in await members(redis, offer)}
            assert len(published) == 6
            assert not published & set(gone)


async def test_username_is_learnt_before_the_first_link(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis, username="") as b:
        await b.smart_link(SL)
        await b.run("pools")
        account = await pool.fetchrow("SELECT * FROM accounts")
        assert account is not None
        assert (account["username"], account["profile_url"]) == ("home", f"{b.settings.platform_url}/home")
        assert {row["url"] for row in await b.links()} == {b.platform.world.links.url(link) for link in b.made()}
