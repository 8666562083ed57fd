"""The webhook inbox on a real PostgreSQL: kept once, processed once, whatever comes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import asyncpg
import pytest

from tests.integration.accounts.harness import ACCOUNT, SECRETS
from tests.unit.providers import shapes
from tracker.accounts.work import wake
from tracker.inbox.keeper import Delivery, Keeper
from tracker.inbox.process import Processed, process_batch, run_inbox
from tracker.inbox.receive import LONGEST_BODY, Receipt, open_secrets, receive, seal_secrets
from tracker.providers.onlyfansapi.webhooks import sign
from tracker.settings import Settings
from tracker.stores.postgres import Pool

SECRET, PREVIOUS = "whsec_current", "whsec_previous"
SETTINGS = Settings(idle_poll=0.05)


@pytest.fixture
async def account(pool: Pool) -> str:
    """A connected account whose webhook secret was rotated."""
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('team', 'Team')")
    await pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, platform_user_id, shard,"
        " webhook_secret_sealed) VALUES ($1, 'team', 'onlyfansapi', 'acct_A1', $2, 0, $3)",
        ACCOUNT,
        shapes.CREATOR,
        seal_secrets(SECRETS, ACCOUNT, SECRET, PREVIOUS),
    )
    return ACCOUNT


def body(event: str, payload: Any, account_id: str = "acct_A1") -> bytes:
    """As the vendor writes it."""
    return json.dumps({"event": event, "account_id": account_id, "payload": payload}, separators=(",", ":")).encode()


async def send(
    pool: Pool, raw: bytes, key: str | None = None, *, secret: str = SECRET, account_id: str = ACCOUNT, **headers: str
) -> Receipt:
    """Deliver a webhook."""
    told = {"Signature": sign(secret, raw), "Content-Type": "application/json"} | headers
    if key is not None:
        told["X-OFAPI-Idempotency-Key"] = key
    return await receive(Keeper(pool), account_id, "onlyfansapi", told, raw, SECRETS)


async def outcomes(pool: Pool) -> dict[str, asyncpg.Record]:
    """Webhooks by dedup key."""
    return {row["dedup_key"]: row for row in await pool.fetch("SELECT * FROM webhooks ORDER BY webhook_id")}


async def test_receipts(pool: Pool, account: str) -> None:
    raw = body("subscriptions.new", shapes.subscribed())
    statuses = {
        "current": await send(pool, raw, "evt_1"),
        "again": await send(pool, raw, "evt_1"),
        "previous secret": await send(pool, raw, "evt_2", secret=PREVIOUS),
        "upper case": await send(pool, raw, "evt_3", Signature=sign(SECRET, raw).upper()),
        "wrong": await send(pool, raw, "evt_4", secret="another"),
        "no signature": await send(pool, raw, "evt_5", Signature=""),
        "not JSON": await send(pool, b"<html>", "evt_6"),
        "no object": await send(pool, b"[1]", "evt_7"),
        "unknown event": await send(pool, body("brand.new", {}), "evt_8"),
        "too big": await send(pool, b" " * (LONGEST_BODY + 1), "evt_9"),
        "unknown account": await send(pool, raw, "evt_10", account_id="acct_other"),
        "nul": await send(pool, raw, "evt_11", account_id="acct\0"),
    }
    assert {what: receipt.status for what, receipt in statuses.items()} == {
        "current": 200,
        "again": 200,
        "previous secret": 200,
        "upper case": 200,
        "wrong": 401,
        "no signature": 401,
        "not JSON": 400,
        "no object": 400,
        "unknown event": 200,
        "too big": 413,
        "unknown account": 404,
        "nul": 404,
    }
    assert statuses["again"].duplicate
    assert not statuses["current"].duplicate
    assert all(receipt.message for receipt in statuses.values() if receipt.status != 200)
    kept = await outcomes(pool)
    assert set(kept) == {"evt_1", "evt_2", "evt_3", "evt_8"}
    assert kept["evt_1"]["times_seen"] == 2
    assert kept["evt_1"]["body"] == raw
    unknown = await receive(Keeper(pool), account, "nobody", {}, raw, SECRETS)
    assert unknown.status == 404
    await pool.execute("UPDATE accounts SET webhook_secret_sealed = NULL")
    assert (await send(pool, raw, "evt_12")).status == 401, "nothing unsigned is believed"


def test_secrets_are_sealed_for_their_account() -> None:
    sealed = seal_secrets(SECRETS, ACCOUNT, SECRET, PREVIOUS)
    assert SECRET.encode() not in sealed
    assert open_secrets(SECRETS, ACCOUNT, sealed) == [SECRET, PREVIOUS]
    assert open_secrets(SECRETS, ACCOUNT, None) == []


async def test_twenty_copies_and_four_processors_make_one_fact(pool: Pool, account: str) -> None:
    raw = body("subscriptions.new", shapes.subscribed())
    tx = body("transactions.new", shapes.transaction())
    copies = [send(pool, raw, f"evt_{number % 7}") for number in range(20)]
    copies += [send(pool, tx, f"tx_{number}") for number in range(20)]
    receipts = await asyncio.gather(*copies)
    assert {receipt.status for receipt in receipts} == {200}
    kept = await outcomes(pool)
    assert len(kept) == 27
    assert sum(row["times_seen"] for row in kept.values()) == 40

    async def drain() -> int:
        total = 0
        while (done := await process_batch(pool, SETTINGS, 3)).webhooks:
            total += done.new_events
        return total

    assert sum(await asyncio.gather(*(drain() for _ in range(4)))) == 2
    rows = await pool.fetch("SELECT event_key, fan_id, source FROM platform_events ORDER BY event_key")
    assert [tuple(row) for row in rows] == [
        ("sub:115200000031", shapes.FAN, "webhook"),
        ("tx:e940b5fb905ba0815d5842a7bde1118c:loading", shapes.FAN, "webhook"),
    ]
    assert {row["outcome"] for row in (await outcomes(pool)).values()} == {"used"}
    fan = await pool.fetchrow("SELECT username, name FROM fans")
    assert fan is not None
    assert tuple(fan) == ("u310112051", "Sam")
    queued = await pool.fetchrow("SELECT fan_id, due_at <= now() AS due FROM fan_queue")
    assert queued is not None
    assert tuple(queued) == (shapes.FAN, True)


async def test_a_bad_delivery_never_blocks_the_others(pool: Pool, account: str) -> None:
    await send(pool, body("messages.received", shapes.message(fromUser=None)), "no fan")
    await send(pool, body("subscriptions.new", "not an object"), "no payload")
    await send(pool, body("subscriptions.new", shapes.subscribed(user={"id": int(shapes.CREATOR)})), "creator")
    await send(pool, body("messages.received", shapes.message(id=1)), "good")
    await send(pool, body("users.typing", {}), "typing")
    await send(pool, body("messages.received", shapes.message(id=2), "acct_gone"), "stranger")
    # A row the database itself refuses: its fan id does not fit the queue of another writer's constraint.
    await pool.execute("ALTER TABLE platform_events ADD CONSTRAINT odd CHECK (event_key <> 'msg:3')")
    await send(pool, body("messages.received", shapes.message(id=3)), "poison")
    await send(pool, body("messages.received", shapes.message(id=4)), "after")
    assert (await process_batch(pool, SETTINGS)).webhooks == 8
    rows = await outcomes(pool)
    assert {key: row["outcome"] for key, row in rows.items()} == {
        "no fan": "rejected",
        "no payload": "rejected",
        "creator": "rejected",
        "good": "used",
        "typing": "ignored",
        "stranger": "ignored",
        "poison": "rejected",
        "after": "used",
    }
    assert all(row["note"] for row in rows.values() if row["outcome"] != "used")
    keys = {row["event_key"] for row in await pool.fetch("SELECT event_key FROM platform_events")}
    assert keys == {"msg:1", "msg:4"}
    assert (await process_batch(pool, SETTINGS)).webhooks == 0


async def test_a_team_wide_webhook_reaches_the_account_it_names(pool: Pool, account: str) -> None:
    await pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, shard)"
        " VALUES ('acct_sister', 'team', 'onlyfansapi', 'acct_B2', 0)"
    )
    await send(pool, body("messages.received", shapes.message(), "acct_B2"), "evt_1")
    await process_batch(pool, SETTINGS)
    assert await pool.fetchval("SELECT account_id FROM platform_events") == "acct_sister"


async def test_jobs_are_woken_once_per_news_after_their_debounce(pool: Pool, account: str) -> None:
    await send(pool, body("subscriptions.new", shapes.subscribed()), "evt_1")
    await send(pool, body("tips.received", shapes.tip()), "evt_2")
    assert (await process_batch(pool, SETTINGS)).woke_jobs
    query = "SELECT job, generation, due_at > now() + interval '1 second' AS later FROM account_jobs ORDER BY job"
    rows = [tuple(row) for row in await pool.fetch(query)]
    assert rows == [("reconcile", 1, True), ("transactions", 1, True)]
    await send(pool, body("subscriptions.new", shapes.subscribed()), "evt_1 under a new key")
    await process_batch(pool, SETTINGS)
    assert [tuple(row) for row in await pool.fetch(query)] == rows, "a copy costs no credits"


async def test_session_events_in_any_order_show_the_latest(pool: Pool, account: str) -> None:
    await pool.execute("UPDATE accounts SET session_state = 'ok', session_changed_at = '2026-11-22T20:00:00Z'")
    expired = body("accounts.session_expired", shapes.session("2026-11-22T20:26:56Z"))
    back = body("accounts.reconnected", shapes.session("2026-11-22T20:26:56Z", "2026-11-22T20:30:00Z"))
    failed = body("accounts.authentication_failed", shapes.session("2026-11-22T21:00:00Z", "2026-11-22T21:01:00Z"))

    async def state() -> tuple[str, bool]:
        row = await pool.fetchrow("SELECT session_state, session_message <> '' AS said FROM accounts")
        assert row is not None
        return row["session_state"], row["said"]

    for raw, key, expected in (
        (back, "evt_2", ("ok", False)),
        (expired, "evt_1", ("ok", False)),
        (failed, "evt_3", ("dead", True)),
        (back, "evt_4", ("dead", True)),
    ):
        await send(pool, raw, key)
        await process_batch(pool, SETTINGS)
        assert await state() == expected
    await wake(pool, ACCOUNT, "pools")
    await pool.execute(
        "UPDATE account_jobs SET blocked_until = now() + interval '1 hour', due_at = now() + interval '1 hour'"
    )
    await send(
        pool, body("accounts.reconnected", shapes.session("2026-11-22T22:00:00Z", "2026-11-22T22:01:00Z")), "evt_5"
    )
    await process_batch(pool, SETTINGS)
    assert await state() == ("ok", False)
    assert await pool.fetchval("SELECT count(*) FROM account_jobs WHERE due_at <= now()") == 5, (
        "what waited for the login runs"
    )


async def test_the_loop_processes_what_arrives_and_stops(pool: Pool, account: str) -> None:
    wake_up, stop, seen = asyncio.Event(), asyncio.Event(), asyncio.Event()
    done: list[Processed] = []

    def noted(processed: Processed) -> None:
        done.append(processed)
        seen.set()

    loop = asyncio.create_task(run_inbox(pool, SETTINGS, wake_up, stop, noted))
    await send(pool, body("messages.received", shapes.message()), "evt_1")
    wake_up.set()
    await asyncio.wait_for(seen.wait(), 10)
    stop.set()
    await asyncio.wait_for(loop, 10)
    assert Counter(processed.webhooks for processed in done) == {1: 1}
    assert await pool.fetchval("SELECT count(*) FROM platform_events") == 1


async def test_webhooks_that_come_together_are_each_kept_and_counted(pool: Pool, account: str) -> None:
    keeper = Keeper(pool)

    def told(key: str, body: bytes = b"{}", account_id: str = account) -> Delivery:
        return Delivery(account_id, "onlyfansapi", key, "subscriptions.new", body)

    copies = [told(f"evt_{number % 40}") for number in range(300)]
    kept = await asyncio.gather(*[keeper.keep(delivery) for delivery in copies])
    assert len({one.webhook_id for one in kept}) == 40
    for number in range(40):
        mine = [one.times_seen for one in kept[number::40]]
        assert sorted(mine) == list(range(1, len(mine) + 1))
    large = await asyncio.gather(*[keeper.keep(told(f"large_{number}", b"x" * 1_000_000)) for number in range(6)])
    assert [one.times_seen for one in large] == [1] * 6
    assert {row["times_seen"] for row in await pool.fetch("SELECT * FROM webhooks WHERE dedup_key LIKE 'large%'")} == {
        1
    }


async def test_one_that_cannot_be_kept_fails_alone(pool: Pool, account: str) -> None:
    keeper = Keeper(pool, writers=1)
    names = [account] * 5 + ["acct_unknown"] + [account] * 5
    outcomes = await asyncio.gather(
        *[keeper.keep(Delivery(name, "onlyfansapi", f"evt_{n}", "x", b"{}")) for n, name in enumerate(names)],
        return_exceptions=True,
    )
    assert [isinstance(outcome, asyncpg.ForeignKeyViolationError) for outcome in outcomes] == [
        n == 5 for n in range(11)
    ]
    gone = asyncio.create_task(keeper.keep(Delivery(account, "onlyfansapi", "evt_gone", "x", b"{}")))
    stays = asyncio.create_task(keeper.keep(Delivery(account, "onlyfansapi", "evt_stays", "x", b"{}")))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).times_seen == 1
    assert await pool.fetchval("SELECT count(*) FROM webhooks WHERE dedup_key <> 'evt_gone'") == 11
