"""Reconciliation against the fake platform: the right link, once, for few credits."""

from __future__ import annotations

import random
from typing import Any

import asyncpg
import pytest

from tests.integration.accounts.harness import ACCOUNT, Bench, bench
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SL = "01JD00000000000000000000A1"


async def edges(b: Bench) -> dict[str, list[int]]:
    """fan -> inventory links they came through, in time order."""
    found: dict[str, list[int]] = {}
    for row in await b.events("link_subscriber"):
        found.setdefault(row["fan_id"], []).append(row["inventory_link_id"])
    return found


async def pooled(b: Bench, offer: str = "tracking") -> list[asyncpg.Record]:
    """Ready pool links of an offer."""
    return [row for row in await b.links() if row["offer"] == offer and row["role"] == "pool"]


def subscribe(b: Bench, row: asyncpg.Record | None, fan_id: int, **how: Any) -> None:
    """A fan subscribes on the platform, through our link or organically."""
    world = b.platform.world
    link = None if row is None else b.real_link(row)
    assert world.fans.subscribe(b.creator, world.fans.person(fan_id), link, **how).subscription is not None


@pytest.mark.parametrize("days", [None, 7])
async def test_the_link_is_found_and_an_unmoved_one_is_never_read(pool: Pool, redis: Client, days: int | None) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL, days=days)
        await b.run("pools")
        await b.run("reconcile")
        assert b.calls("/subscribers") == 0
        rows = await pooled(b, "tracking" if days is None else f"trial-{days}")
        subscribe(b, rows[2], 311)
        await b.subscribed(311)
        run = await b.run("reconcile")
        assert await edges(b) == {"311": [rows[2]["inventory_link_id"]]}
        assert run.client.calls == 2, "one page of counters, one list"
        assert b.next_in == b.settings.reconcile_poll
        run = await b.run("reconcile")
        assert run.client.calls == 1
        (event,) = await b.events("link_subscriber")
        subscription = b.platform.world.fans.of_fan(ACCOUNT, 311)[0]
        if days is None:
            assert event["precision_seconds"] == 60, "the notification's minute"
        else:
            assert (event["at"], event["precision_seconds"]) == (subscription.at.replace(microsecond=0), 0)
        assert await pool.fetchval("SELECT count(*) FROM fan_queue WHERE fan_id = '311'") == 1
        assert b.platform.world.ledger.violations == []


async def test_without_any_webhook_the_sweep_finds_everybody(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis, hidden_row_rate=0.3) as b:
        await b.smart_link(SL)
        await b.smart_link(SL[:-1] + "2", days=30)
        await b.run("pools")
        expected = {}
        rng = random.Random(5)
        rows = [row for row in await b.links() if row["offer"] != "x"]
        for fan in range(400, 440):
            row = rng.choice(rows)
            subscribe(b, row, fan)
            expected[str(fan)] = [row["inventory_link_id"]]
        before = b.credits()
        await b.run("reconcile")
        assert await edges(b) == expected
        assert b.credits() - before <= 3 + len({row[0] for row in expected.values()})
        kinds = {row["precision_seconds"] for row in await b.events("link_subscriber")}
        assert kinds == {0}, "tracking lists show no time; the list of newest fans does"
        assert {row["fan_id"]: row["at"] for row in await b.events("link_subscriber")} == {
            str(s.fan_id): s.at.replace(microsecond=0) for s in b.platform.world.fans.of_account(ACCOUNT)
        }


async def test_counters_and_lists_that_lag_are_looked_at_again_then_no_more(pool: Pool, redis: Client) -> None:
    delays: dict[str, Any] = {"counter_delay": (20.0, 40.0), "listing_delay": (60.0, 90.0)}
    async with bench(pool, redis, **delays) as b:
        await b.smart_link(SL)
        await b.run("pools")
        rows = await pooled(b)
        subscribe(b, rows[0], 500)
        subscribe(b, None, 501)
        await b.subscribed(500)
        await b.subscribed(501)
        await b.run("reconcile")
        assert await edges(b) == {}
        assert b.next_in <= b.settings.reconcile_debounce
        b.platform.world.clock.advance(45)
        await b.run("reconcile")
        assert b.calls("/subscribers") == 1
        assert await edges(b) == {}, "counted, not listed yet"
        assert b.next_in <= b.settings.reconcile_retry[0]
        b.platform.world.clock.advance(60)
        await b.run("reconcile")
        assert await edges(b) == {"500": [rows[0]["inventory_link_id"]]}
        await pool.execute(
            "UPDATE platform_events SET first_seen_at = now() - interval '20 minutes' WHERE kind = 'subscribed'"
        )
        await b.run("reconcile")
        assert b.next_in == b.settings.reconcile_poll, "501 is organic, nobody looks any more"
        assert b.calls("/subscribers") == 2


async def test_a_counter_that_is_never_explained_stops_costing(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis, listing_delay=(1e6, 1e6)) as b:
        await b.smart_link(SL)
        await b.run("pools")
        subscribe(b, (await pooled(b))[0], 600)
        for _ in range(10):
            await b.run("reconcile")
        assert b.calls("/subscribers") == len(b.settings.reconcile_retry) + 1
        assert b.next_in == b.settings.reconcile_poll


async def test_two_fans_on_one_link_and_one_who_comes_back(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await b.run("pools")
        first, second = (await pooled(b))[:2]
        subscribe(b, first, 700)
        await b.run("reconcile")
        subscribe(b, first, 701)
        await b.subscribed(701)
        await b.run("reconcile")
        link = first["inventory_link_id"]
        assert await edges(b) == {"700": [link], "701": [link]}
        world = b.platform.world
        world.fans.expire(b.creator, world.fans.person(700))
        world.clock.advance(3600)
        await pool.execute(
            "UPDATE platform_events SET at = at - interval '1 hour', first_seen_at = first_seen_at - interval '1 hour'"
        )
        subscribe(b, first, 700)
        await b.subscribed(700, key="sub:back")
        await b.run("reconcile")
        assert await edges(b) == {"700": [link, link], "701": [link]}
        keys = [row["event_key"] for row in await b.events("link_subscriber") if row["fan_id"] == "700"]
        assert keys == [f"link:{link}:700:1", f"link:{link}:700:2"]
        await b.run("reconcile")
        assert len(await b.events("link_subscriber")) == 3
        world.fans.expire(b.creator, world.fans.person(701))
        world.clock.advance(3600)
        subscribe(b, second, 701)
        await b.run("reconcile")
        assert (await edges(b))["701"] == [link, second["inventory_link_id"]]


async def test_a_trial_fan_who_comes_back_is_told_by_the_list_itself(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL, days=1)
        await b.run("pools")
        row = (await pooled(b, "trial-1"))[0]
        subscribe(b, row, 710)
        await b.run("reconcile")
        b.platform.world.clock.advance(2 * 86_400)
        subscribe(b, row, 710)
        await b.run("reconcile")
        assert await edges(b) == {"710": [row["inventory_link_id"]] * 2}
        times = [event["at"] for event in await b.events("link_subscriber")]
        assert times == [s.at.replace(microsecond=0) for s in b.platform.world.fans.of_fan(ACCOUNT, 710)]


async def test_links_of_others_tell_organic_from_never_leased(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        world = b.platform.world
        old = world.links.create_tracking(b.creator, "bio link", [])
        for fan in range(800, 830):
            world.fans.subscribe(b.creator, world.fans.person(fan), old)
        await b.smart_link(SL)
        await b.run("pools")
        await b.run("reconcile")
        external = await pool.fetchrow("SELECT * FROM inventory_links WHERE role = 'external'")
        assert external is not None
        assert (external["provider_link_id"], external["subscribers_read"]) == (str(old.id), 30)
        world.fans.subscribe(b.creator, world.fans.person(831), old)
        world.fans.subscribe(b.creator, world.fans.person(832), old)
        await b.subscribed(831, ago=5)
        await b.run("reconcile")
        assert b.calls("/subscribers") == 0, "first our own links, for a while"
        await pool.execute(
            "UPDATE platform_events SET first_seen_at = now() - interval '5 minutes' WHERE kind = 'subscribed'"
        )
        await b.run("reconcile")
        assert await edges(b) == {"831": [external["inventory_link_id"]]}
        await b.run("reconcile")
        assert b.calls("/subscribers") == 1
        assert await pool.fetchval("SELECT count(*) FROM inventory_links WHERE role = 'external'") == 1


async def test_a_paid_renewal_is_not_looked_for(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        await b.smart_link(SL)
        await b.run("pools")
        world = b.platform.world
        fan = world.fans.person(900)
        subscribe(b, None, 900)
        world.fans.renew(b.creator, fan)
        await b.subscribed(900)
        await b.run("transactions")
        await b.run("reconcile")
        assert b.next_in == b.settings.reconcile_poll


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_credits_per_discovered_subscriber_are_bounded(pool: Pool, redis: Client, seed: int) -> None:
    delays: dict[str, Any] = {"counter_delay": (5.0, 60.0), "listing_delay": (5.0, 60.0), "hidden_row_rate": 0.05}
    async with bench(pool, redis, seed=seed, settings={"pool_target": 40, "pool_batch": 10}, **delays) as b:
        await b.smart_link(SL)
        await b.run("pools")
        rows = await pooled(b)
        rng = random.Random(seed)
        before, expected = b.credits(), {}
        for fan in range(1000, 1030):
            row = rng.choice(rows)
            subscribe(b, row, fan)
            expected[str(fan)] = [row["inventory_link_id"]]
            b.platform.world.clock.advance(rng.uniform(30, 240))
            await b.subscribed(fan)
            await b.run("reconcile")
        for _ in range(3):
            b.platform.world.clock.advance(60)
            await b.run("reconcile")
        assert await edges(b) == expected
        assert (b.credits() - before) / len(expected) <= 3.0
        assert b.platform.world.ledger.violations == []
