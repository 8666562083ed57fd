"""The money feed against the fake platform."""

from __future__ import annotations

from datetime import timedelta

import pytest

from loadtests.emulators.platform import payloads
from tests.integration.accounts.harness import bench
from tests.integration.inbox.test_inbox import body, send
from tracker.accounts import transactions
from tracker.inbox.process import process_batch
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("ties", [7, 90])
async def test_ties_within_a_second_are_all_read(pool: Pool, redis: Client, inclusive: bool, ties: int) -> None:
    async with bench(pool, redis, marker_inclusive=inclusive) as b:
        world = b.platform.world
        fan = world.fans.person(311)
        start = world.clock.now() - timedelta(hours=2)
        for second in range(30):
            world.money.charge(b.creator, fan, "tip", 500 + second, start + timedelta(seconds=second))
        for number in range(ties):
            world.money.charge(b.creator, fan, "message", 1000 + number, start + timedelta(seconds=15))
        for second in range(60, 90):
            world.money.charge(b.creator, fan, "post", 700, start + timedelta(seconds=second))
        await b.run("transactions")
        found = {row["detail"]["transaction_id"] for row in await b.events("transaction")}
        assert len(found) == 60 + ties
        assert b.platform.world.ledger.violations == []


async def test_polls_overlap_and_find_what_shows_up_late(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis, transaction_delay=(100.0, 100.0)) as b:
        world = b.platform.world
        fan = world.fans.person(311)
        world.money.charge(b.creator, fan, "tip", 500, world.clock.now())
        await b.run("transactions")
        assert await b.events("transaction") == []
        world.settings.transaction_delay = (0.0, 0.0)
        world.clock.advance(30)
        world.money.charge(b.creator, fan, "tip", 600, world.clock.now())
        await b.run("transactions")
        assert [row["detail"]["gross_cents"] for row in await b.events("transaction")] == [600]
        world.clock.advance(90)
        run = await b.run("transactions")
        assert [row["detail"]["gross_cents"] for row in await b.events("transaction")] == [500, 600]
        assert run.client.calls == 1
        assert b.next_in == b.settings.transactions_poll


async def test_status_changes_and_chargebacks_are_facts_of_their_own(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis, settle_after=86_400.0, rest_type_names="source") as b:
        world = b.platform.world
        fan = world.fans.person(311)
        kept = world.money.charge(b.creator, fan, "message", 1999, world.clock.now() - timedelta(hours=3))
        lost = world.money.charge(b.creator, fan, "recurring_subscription", 999, world.clock.now() - timedelta(hours=4))
        for _ in range(8):  # enough younger ones to leave the overlap behind
            world.money.charge(b.creator, fan, "tip", 100, world.clock.now())
        await b.run("transactions")
        world.clock.advance(90_000)
        world.money.charge_back(lost)
        b.states["transactions"]["polls"] = transactions.CHARGEBACK_EVERY
        await b.run("transactions")

        async def told(transaction_id: str) -> dict[str, str]:
            return {
                row["detail"]["status"]: row["detail"]["type"]
                for row in await b.events("transaction")
                if row["detail"]["transaction_id"] == transaction_id
            }

        assert await told(lost.id) == {"loading": "recurring_subscription", "undo": "recurring_subscription"}
        b.states["transactions"]["polls"] = transactions.PENDING_EVERY
        await b.run("transactions")
        assert await told(kept.id) == {"loading": "message", "done": "message"}


async def test_webhook_and_poll_make_one_fact(pool: Pool, redis: Client) -> None:
    async with bench(pool, redis) as b:
        world = b.platform.world
        fan = world.fans.person(311, "Zoë & <Bo>")
        payment = world.money.tip(b.creator, fan, 1250)
        await b.run("transactions")
        (polled,) = await b.events("transaction")
        await pool.execute("DELETE FROM platform_events")
        payload = payloads.transaction(payment, fan, {}, world.clock.now())
        await send(pool, body("transactions.new", payload, b.creator.id), "evt_1")
        await process_batch(pool, b.settings)
        (told,) = await b.events("transaction")
        ignored = {"source", "first_seen_at"}
        assert {k: v for k, v in dict(polled).items() if k not in ignored} == {
            k: v for k, v in dict(told).items() if k not in ignored
        }
