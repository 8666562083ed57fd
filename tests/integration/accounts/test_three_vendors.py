"""The same acts on one account per vendor: the same bindings, the same credits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.accounts.harness import SECRETS
from tests.integration.accounts.vendors import Vendors, vendors
from tracker.accounts.jobs import run_jobs, seed
from tracker.inbox.process import run_inbox
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

TRIO = ("onlyfansapi", "onlymonster", "ofauth")


async def live(b: Vendors, fans: dict[int, int | None]) -> None:
    """Fans subscribe (fan -> place of the link they clicked, None: organic), pay and write."""
    at = (datetime.now(UTC) - timedelta(seconds=150)).isoformat()
    for fan, place in fans.items():
        if place is None:
            await b.everywhere("subscribe", fan_id=fan, at=at)
            continue
        targets = [{"link_url": (await b.click(vendor, place))[1]} for vendor in b.seats]
        done = await b.act("everywhere", act="subscribe", targets=targets, fan_id=fan, at=at)
        assert all(one["subscribed"] for one in done)
    for fan in fans:
        # Some seconds before the purchase: not every vendor tells parts of a second.
        earlier = (datetime.now(UTC) - timedelta(seconds=10)).isoformat()
        await b.everywhere("tip", fan_id=fan, amount=5 + fan % 7, at=earlier)
        await b.everywhere("ppv", fan_id=fan, amount=12.5)
        for _ in range(fan % 4):
            await b.everywhere("message", fan_id=fan, text="hey")


async def test_the_same_fans_get_the_same_credits_through_every_vendor(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, TRIO) as b:
        sizes = {vendor: len(await b.links(vendor)) for vendor in TRIO}
        assert sizes == {"onlyfansapi": 4, "onlymonster": 4, "ofauth": 4}
        fans: dict[int, int | None] = {3001: 0, 3002: 1, 3003: 2, 3004: None, 3006: 2, 3007: 3}
        await live(b, fans)
        await b.catch_up()
        payments = await b.everywhere("pay", fan_id=3001, type="stream", amount=40)
        await b.everywhere("renew", fan_id=3002)
        await b.catch_up()
        for payment in payments:
            await b.act("fans/chargeback", transaction_id=payment["transaction_id"])
        for vendor in TRIO:
            b.states[vendor, "transactions"]["polls"] = 0  # the chargebacks' turn
        await b.catch_up()
        told = {vendor: (await b.bindings(vendor), await b.credits(vendor)) for vendor in TRIO}
        bound = {(row[0], row[1]) for row in told["onlyfansapi"][0]}
        assert bound == {(str(fan), f"visitor-{place}") for fan, place in fans.items() if place is not None}
        kinds = {row[1] for row in told["onlyfansapi"][1]}
        assert kinds == {"new_subscriber", "new_transaction", "transaction_status", "message_received"} | {
            f"fan_sent_{count}_message{'s' if count > 1 else ''}" for count in (1, 3)
        }
        assert [row[:3] for row in told["onlymonster"][0]] == [row[:3] for row in told["onlyfansapi"][0]]
        assert [row[:3] for row in told["ofauth"][0]] == [row[:3] for row in told["onlyfansapi"][0]]
        assert told["onlymonster"][1] == told["onlyfansapi"][1]
        assert told["ofauth"][1] == told["onlyfansapi"][1]
        organic = await pool.fetch(
            "SELECT account_id, fan_id FROM fans WHERE unattributed_reason = 'organic' ORDER BY 1"
        )
        assert {row["fan_id"] for row in organic} == {"3004"}
        assert b.platform.world.ledger.violations == []


@pytest.mark.parametrize(
    "settings", [{"onlymonster_chargeback_id": "own", "onlymonster_order": "asc"}, {"ofauth_errors": "mixed"}]
)
async def test_what_documents_leave_open_changes_nothing(pool: Pool, redis: Client, settings: dict[str, Any]) -> None:
    async with vendors(pool, redis, TRIO, **settings) as b:
        await live(b, {3001: 0, 3002: 1})
        await b.catch_up()
        payments = await b.everywhere("pay", fan_id=3001, type="post", amount=9)
        await b.catch_up()
        for payment in payments:
            await b.act("fans/chargeback", transaction_id=payment["transaction_id"])
        for vendor in TRIO:
            b.states[vendor, "transactions"]["polls"] = 0
        await b.catch_up()
        told = {vendor: await b.credits(vendor) for vendor in TRIO}
        assert told["onlymonster"] == told["onlyfansapi"]
        assert told["ofauth"] == told["onlyfansapi"]
        assert any(row[1] == "transaction_status" for row in told["onlymonster"])


@pytest.mark.parametrize("number", [4, 5])
async def test_late_lossy_and_shuffled_every_vendor_ends_with_the_same(pool: Pool, redis: Client, number: int) -> None:
    """The workers as they run, on vendors that are slow, doubled, out of order and sometimes broken."""
    ours = {
        "idle_poll": 0.05,
        "reconcile_debounce": 0.05,
        "reconcile_retry": (0.2, 0.4, 0.8, 1.6, 3.2),
        "reconcile_poll": 2.0,
        "transactions_poll": 2.0,
        "messages_poll": 3.0,
    }
    async with vendors(pool, redis, TRIO, settings=ours, speed="fast", seed=number) as b:
        wake, stop = asyncio.Event(), asyncio.Event()
        await seed(pool)
        workers = [
            asyncio.create_task(run_inbox(pool, b.settings, wake, stop)),
            asyncio.create_task(run_jobs(pool, redis, b.settings, wake, stop, SECRETS)),
        ]
        fans: dict[int, int | None] = {4000 + place: place % 4 for place in range(8)}

        async def complete() -> bool:
            await b.fold()
            told = [await b.credits(vendor) for vendor in TRIO]
            # Which status a payment was last seen in depends on when a vendor was asked.
            agreed = [sorted((row[:6] for row in rows if row[1] != "transaction_status"), key=str) for rows in told]
            payments = sum(row[1] == "new_transaction" for row in agreed[0])
            messages = sum(row[1] == "message_received" for row in agreed[0])
            whole = payments == 3 * len(fans) and messages == sum(fan % 4 for fan in fans)
            return whole and agreed[0] == agreed[1] == agreed[2]

        async with asyncio.timeout(60):
            while any([len(await b.links(vendor)) < 4 for vendor in TRIO]):
                await asyncio.sleep(0.1)
            await live(b, fans)
            await b.act("faults", bad_gateway=4)
            while not await complete():
                await asyncio.sleep(0.2)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*workers), 20)
        bound = {vendor: {(row[0], row[1]) for row in await b.bindings(vendor)} for vendor in TRIO}
        expected = {(str(fan), f"visitor-{place}") for fan, place in fans.items()}
        assert bound == dict.fromkeys(TRIO, expected)
