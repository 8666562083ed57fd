"""From real deliveries, late, doubled and shuffled, and through a webhook pause: every fan's link, every payment, once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.accounts.harness import ACCOUNT, SECRET, SECRETS, Bench, bench
from tracker.accounts.jobs import run_jobs, seed
from tracker.inbox.keeper import Keeper
from tracker.inbox.process import run_inbox
from tracker.inbox.receive import receive
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SL = "01JD00000000000000000000A1"
EVENTS = ["subscriptions.new", "subscriptions.renewed", "transactions.new", "tips.received", "messages.received"]
FAST: dict[str, Any] = {
    "idle_poll": 0.02,
    "reconcile_debounce": 0.05,
    "reconcile_retry": (0.1, 0.2, 0.4, 0.8, 1.6),
    "reconcile_poll": 1.0,
    "transactions_poll": 0.5,
}


async def receiver(b: Bench, refuse: asyncio.Event) -> TestServer:
    """What the api role does: hand the request to `receive`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if refuse.is_set():
            return web.Response(status=500)
        receipt = await receive(Keeper(b.pool), ACCOUNT, "onlyfansapi", request.headers, await request.read(), SECRETS)
        return web.Response(status=receipt.status, text=receipt.message)

    app = web.Application()
    app.router.add_post("/hook", handle)
    server = TestServer(app)
    await server.start_server()
    return server


@pytest.mark.parametrize("seed_number", [1, 2])
async def test_everything_is_found_once(pool: Pool, redis: Client, seed_number: int) -> None:
    async with bench(pool, redis, seed=seed_number, speed="fast", settings=FAST, rate_limit_minute=None) as b:
        await b.smart_link(SL)
        await b.smart_link(SL[:-1] + "2", days=7)
        await seed(pool)
        refuse, wake, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        server = await receiver(b, refuse)
        b.platform.webhooks.register(str(server.make_url("/hook")), EVENTS, secret=SECRET)
        workers = [
            asyncio.create_task(run_inbox(pool, b.settings, wake, stop)),
            asyncio.create_task(run_inbox(pool, b.settings, wake, stop)),
            asyncio.create_task(run_jobs(pool, redis, b.settings, wake, stop, SECRETS)),
        ]

        async def until(query: str, expected: Any) -> None:
            async with asyncio.timeout(60):
                while await pool.fetchval(query) != expected:
                    await asyncio.sleep(0.05)

        await until("SELECT count(*) FROM inventory_links WHERE state = 'ready'", 14)
        world = b.platform.world
        rng = random.Random(seed_number)
        rows = await b.links()
        expected: dict[str, int] = {}
        payments: dict[str, tuple[int, int]] = {}
        for fan_id in range(2000, 2030):
            if fan_id == 2020:
                refuse.set()  # from here on nothing is delivered: the polls have to find the rest
            fan, row = world.fans.person(fan_id), rng.choice(rows)
            outcome = world.fans.subscribe(b.creator, fan, b.real_link(row))
            assert outcome.subscription is not None
            expected[str(fan_id)] = row["inventory_link_id"]
            tip = world.money.tip(b.creator, fan, rng.randrange(100, 9999), source="chat")
            payments[tip.id] = (tip.amount, tip.net)
            await asyncio.sleep(0.01)
        await until("SELECT count(DISTINCT fan_id) FROM platform_events WHERE kind = 'link_subscriber'", 30)
        await until(
            "SELECT count(DISTINCT detail->>'transaction_id') FROM platform_events WHERE detail->>'type' = 'tip'", 30
        )
        stop.set()
        await asyncio.wait_for(asyncio.gather(*workers), 20)
        await server.close()

        found = [(row["fan_id"], row["inventory_link_id"]) for row in await b.events("link_subscriber")]
        assert sorted(found) == sorted(expected.items())
        told = {}
        for row in await b.events("transaction"):
            assert row["fan_id"] in expected
            if row["detail"]["type"] == "tip":
                told[row["detail"]["transaction_id"]] = (row["detail"]["gross_cents"], row["detail"]["net_cents"])
        assert told == payments
        creators = await pool.fetchval("SELECT count(*) FROM fans WHERE fan_id = $1", str(b.creator.onlyfans_id))
        assert creators == 0
        assert await pool.fetchval("SELECT count(*) FROM webhooks WHERE outcome = 'rejected'") == 0
        assert [v for v in world.ledger.violations if v.kind != "slow_webhook_handler"] == []
