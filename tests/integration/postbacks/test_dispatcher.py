"""The dispatcher on a real database and a real receiver."""

from __future__ import annotations

import asyncio
from collections import Counter
from urllib.parse import parse_qs

import asyncpg
import msgspec
import pytest

from loadtests.emulators.receiver import Receiver
from postbacks.breaker import BreakerPolicy
from postbacks.retry import RetryPolicy
from tests.integration.postbacks.scene import (
    FAST,
    FAST_RETRY,
    SETTLED,
    add_destination,
    dispatching,
    enqueue_all,
    event,
    states,
    until,
)
from tracker.stores.postgres import Pool


def event_ids(receiver: Receiver, name: str) -> list[str]:
    return [parse_qs(request.query)["id"][0] for request in receiver.received(name)]


async def test_each_event_reaches_each_destination_once(pool: Pool, receiver: Receiver) -> None:
    for name in ("a", "b"):
        await add_destination(pool, name, receiver.url_of(name) + "?id={conversion_id}&name={fan_onlyfans_name}")
    await enqueue_all(pool, [event(n) for n in range(300)])
    async with dispatching(pool):
        await until(pool, SETTLED)
    for name in ("a", "b"):
        assert sorted(event_ids(receiver, name)) == sorted(f"evt-{n}" for n in range(300))
    assert parse_qs(receiver.received("a")[0].query)["name"] == ["Max & Moritz"]
    assert await states(pool) == {"delivered": 600}
    attempt = await pool.fetchrow("SELECT * FROM attempts WHERE event_id = 'evt-7' AND destination_id = 'a'")
    assert attempt is not None
    assert (attempt["attempt"], attempt["outcome"], attempt["status_code"], attempt["answer"]) == (
        1,
        "delivered",
        200,
        "ok",
    )
    assert attempt["request"].startswith("GET http://127.0.0.1")
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 600
    assert not await pool.fetchval("SELECT count(*) FROM deliveries WHERE lease_token IS NOT NULL")


async def test_wake_is_enough_when_polling_is_rare(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    async with dispatching(pool, msgspec.structs.replace(FAST, idle_poll=3600.0)) as wake:
        await asyncio.sleep(0.1)
        await enqueue_all(pool, [event(1)])
        wake.set()
        await receiver.wait_for("a", 1)
        await until(pool, SETTLED)


async def test_retry_then_delivered(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "status", status=503, times=2)
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await until(pool, SETTLED)
    rows = await pool.fetch("SELECT attempt, outcome, status_code FROM attempts ORDER BY attempt")
    assert [tuple(row) for row in rows] == [(1, "transient", 503), (2, "transient", 503), (3, "delivered", 200)]
    assert event_ids(receiver, "a") == ["evt-1"] * 3
    delivery = await pool.fetchrow("SELECT * FROM deliveries")
    assert delivery is not None
    assert (delivery["state"], delivery["attempts"], delivery["verdict"]) == ("delivered", 3, "200 OK")


async def test_dead_when_the_schedule_is_exhausted(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "status", status=404)
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await until(pool, SETTLED)
    delivery = await pool.fetchrow("SELECT * FROM deliveries")
    assert delivery is not None
    assert (delivery["state"], delivery["attempts"]) == ("dead", 4)
    assert delivery["verdict"] == "given up after 4 attempts: 404 Not Found"
    assert len(receiver.received("a")) == 4


async def test_a_hanging_destination_does_not_delay_others(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "hung", receiver.url_of("hung") + "?id={conversion_id}")
    await add_destination(pool, "well", receiver.url_of("well") + "?id={conversion_id}")
    receiver.mode("hung", "hang")
    await enqueue_all(pool, [event(n) for n in range(400)])
    async with dispatching(pool, msgspec.structs.replace(FAST, timeout=30.0)) as _:
        await receiver.wait_for("well", 400)
        await until(
            pool, "(SELECT count(*) FROM deliveries WHERE destination_id = 'well' AND state = 'delivered') = 400"
        )
        # Every slot of the hung one is still taken by its first requests: nothing of it has ended.
        assert len(receiver.received("hung")) == FAST.concurrency
        assert await pool.fetchval("SELECT count(*) FROM attempts WHERE destination_id = 'hung'") == 0
        await receiver.close()
    assert Counter(event_ids(receiver, "well")).most_common(1)[0][1] == 1


async def test_the_breaker_parks_a_dead_receiver_and_probes_it(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "status", status=500)
    await enqueue_all(pool, [event(n) for n in range(200)])
    patient = msgspec.structs.replace(FAST, retry=RetryPolicy(schedule=(0.05,) * 50))
    async with dispatching(pool, patient):
        await until(pool, "(SELECT breaker_until > now() AND failing_since IS NOT NULL FROM destinations)")
        receiver.mode("a", "ok")
        await until(pool, SETTLED)
        await until(pool, "(SELECT breaker_until IS NULL AND failing_since IS NULL FROM destinations)")
    assert await states(pool) == {"delivered": 200}


async def test_gone_disables_the_destination(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "status", status=410)
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await until(pool, "(SELECT state = 'disabled' FROM destinations)")
        await until(pool, SETTLED)
    reason = await pool.fetchval("SELECT state_reason FROM destinations")
    assert reason == "410 Gone; the receiver wants no more of these"
    assert len(receiver.received("a")) == 1


async def test_days_of_nothing_but_failures_disable(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    await pool.execute("UPDATE destinations SET failing_since = now() - interval '6 days'")
    receiver.mode("a", "status", status=500)
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await until(pool, "(SELECT state = 'disabled' FROM destinations)")
        await until(pool, SETTLED)
    assert "nothing but failures since" in await pool.fetchval("SELECT state_reason FROM destinations")
    assert await states(pool) == {"dead": 1}
    assert "disabled (nothing but failures" in await pool.fetchval("SELECT verdict FROM deliveries")


async def test_two_dispatchers_share_the_queue(pool: Pool, receiver: Receiver) -> None:
    for name in ("a", "b", "c"):
        await add_destination(pool, name, receiver.url_of(name) + "?id={conversion_id}")
    await enqueue_all(pool, [event(n) for n in range(400)])
    async with dispatching(pool), dispatching(pool):
        await until(pool, SETTLED)
    for name in ("a", "b", "c"):
        assert sorted(event_ids(receiver, name)) == sorted(f"evt-{n}" for n in range(400))


async def test_name_that_does_not_resolve_is_ours(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", "http://nobody.invalid/?id={conversion_id}")
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await until(pool, "(SELECT attempts >= 6 FROM deliveries)")
    row = await pool.fetchrow("SELECT state, attempts, uncharged FROM deliveries")
    assert row is not None
    assert (row["state"], row["attempts"]) == ("waiting", row["uncharged"])
    assert await pool.fetchval("SELECT failing_since IS NULL AND state = 'active' FROM destinations")
    numbers = [r["attempt"] for r in await pool.fetch("SELECT attempt FROM attempts ORDER BY attempt")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert await pool.fetchval("SELECT bool_and(outcome = 'ours') FROM attempts")


async def test_a_lost_lease_is_not_settled_twice(pool: Pool, receiver: Receiver) -> None:
    """Somebody else took the lease during a slow send: the attempt is logged, the delivery is theirs."""
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "hang")
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await receiver.wait_for("a", 1)
        await pool.execute("UPDATE deliveries SET lease_token = 'theirs', lease_until = now() + interval '1 hour'")
        await until(pool, "EXISTS (SELECT FROM attempts)")
    row = await pool.fetchrow("SELECT state, attempts, lease_token FROM deliveries")
    assert row is not None
    assert tuple(row) == ("waiting", 0, "theirs")


async def test_pausing_stops_sending_and_resuming_loses_nothing(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}", state="paused")
    await add_destination(pool, "b", receiver.url_of("b") + "?id={conversion_id}")
    await enqueue_all(pool, [event(n) for n in range(20)])
    async with dispatching(pool) as wake:
        await until(pool, "(SELECT count(*) FROM deliveries WHERE state = 'delivered') = 20")
        assert receiver.received("a") == []
        await pool.execute("UPDATE destinations SET state = 'active' WHERE destination_id = 'a'")
        wake.set()
        await until(pool, SETTLED)
    assert len(event_ids(receiver, "a")) == 20


async def test_an_edited_destination_is_used_at_once(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("old"))
    async with dispatching(pool) as wake:
        await enqueue_all(pool, [event(1)])
        wake.set()
        await receiver.wait_for("old", 1)
        await pool.execute("UPDATE destinations SET config = $1", {"url": receiver.url_of("new")})
        await enqueue_all(pool, [event(2)])
        wake.set()
        await receiver.wait_for("new", 1)
    assert len(receiver.received("old")) == 1


async def test_a_configuration_that_is_refused_pauses_the_destination(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", "https://example.com/{no_such_variable}")
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await until(pool, "(SELECT state = 'paused' FROM destinations)")
        await until(pool, "(SELECT lease_token IS NULL FROM deliveries)")
    assert "unknown variable" in await pool.fetchval("SELECT state_reason FROM destinations")
    assert await states(pool) == {"waiting": 1}


async def test_events_whose_facts_were_dropped_do_not_block_the_queue(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    await enqueue_all(pool, [event(n) for n in range(50)])
    await pool.execute("DELETE FROM delivery_events WHERE event_id <> 'evt-49'")
    async with dispatching(pool):
        await until(pool, SETTLED)
    assert event_ids(receiver, "a") == ["evt-49"]
    assert await states(pool) == {"dead": 49, "delivered": 1}


async def test_hostile_answers_are_logged_and_survived(pool: Pool, receiver: Receiver) -> None:
    """What a receiver says may hold anything; the log takes it, without our secrets."""
    token = "tok-0123456789"
    await add_destination(pool, "a", receiver.url_of("a") + f"?id={{conversion_id}}&access_token={token}")
    receiver.mode("a", "status", status=200, body=f"\x00\x01<script>{token}</script>\ud7ff" + "é" * 5000)
    await enqueue_all(pool, [event(1, facts={"fan_onlyfans_name": "nul\x00 and \ud800 surrogate"})])
    async with dispatching(pool):
        await until(pool, SETTLED)
    assert f"access_token={token}" in receiver.received("a")[0].query
    row = await pool.fetchrow("SELECT request, answer FROM attempts")
    assert row is not None
    assert token not in row["request"]
    assert "access_token=***" in row["request"]
    assert token not in row["answer"]
    assert len(row["answer"]) == 2048


async def test_stopping_gives_back_what_was_not_sent(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "hang")
    await enqueue_all(pool, [event(n) for n in range(100)])
    quick = msgspec.structs.replace(FAST, timeout=0.3, retry=msgspec.structs.replace(FAST_RETRY, schedule=(3600.0,)))
    async with dispatching(pool, quick):
        await receiver.wait_for("a", FAST.concurrency)
    assert await pool.fetchval("SELECT count(*) FROM deliveries WHERE lease_token IS NOT NULL") == 0
    assert (await states(pool))["waiting"] == 100


async def test_a_small_cap_is_shared_in_turn(pool: Pool, receiver: Receiver) -> None:
    names = [f"d{number}" for number in range(6)]
    for name in names:
        await add_destination(pool, name, receiver.url_of(name) + "?id={conversion_id}")
    await enqueue_all(pool, [event(n) for n in range(40)])
    async with dispatching(pool, msgspec.structs.replace(FAST, most_in_flight=2)):
        await until(pool, SETTLED)
    assert all(len(receiver.received(name)) == 40 for name in names)
    # Nobody is served to the end before everybody has begun.
    first_of_last = max(next(i for i, r in enumerate(receiver.requests) if r.name == name) for name in names)
    assert first_of_last < 40


async def test_a_database_that_breaks_every_connection_is_survived(
    pool: Pool, database_url: str, receiver: Receiver
) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    await enqueue_all(pool, [event(n) for n in range(600)])
    admin = await asyncpg.connect(database_url)
    async with dispatching(pool, msgspec.structs.replace(FAST, timeout=0.5, lease_margin=0.5)):
        for count in (50, 200, 350):
            await receiver.wait_for("a", count)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        async with asyncio.timeout(30):
            while await admin.fetchval("SELECT count(*) FROM deliveries WHERE state = 'delivered'") < 600:
                await asyncio.sleep(0.05)
    # However often a reply was lost, an attempt is in the log once.
    logged = await admin.fetchrow(
        "SELECT count(*) AS rows, count(DISTINCT (event_id, started_at)) AS attempts FROM attempts"
    )
    await admin.close()
    assert logged is not None
    assert logged["rows"] == logged["attempts"] >= 600
    assert set(event_ids(receiver, "a")) == {f"evt-{n}" for n in range(600)}


@pytest.mark.parametrize("rate", [0.3, 0.7])
async def test_a_share_of_failures_ends_delivered(pool: Pool, receiver: Receiver, rate: float) -> None:
    """Failures that come and go open the breaker at every moment there is, also while deliveries are being leased."""
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "fail_rate", rate=rate, status=502)
    await enqueue_all(pool, [event(n) for n in range(200)])
    hasty = BreakerPolicy(threshold=3, cooldown=0.005, longest_cooldown=0.01)
    patient = msgspec.structs.replace(
        FAST, retry=RetryPolicy(schedule=(0.02,) * 90, overload_floor=0.02), breaker=hasty
    )
    async with dispatching(pool, patient):
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 200}
    failed = await pool.fetchval("SELECT count(*) FROM attempts WHERE outcome = 'transient'")
    assert failed + 200 == len(receiver.received("a"))


async def test_sealed_headers_are_unsealed_and_never_logged(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a"))
    await pool.execute("UPDATE destinations SET secrets_sealed = 'sealed'::bytea")
    receiver.mode("a", "status", status=200, body="hello Bearer sesame-42")

    def unseal(destination_id: str, sealed: bytes) -> bytes:
        assert (destination_id, sealed) == ("a", b"sealed")
        return b'{"Authorization": "Bearer sesame-42"}'

    await enqueue_all(pool, [event(1)])
    async with dispatching(pool, msgspec.structs.replace(FAST, unseal=unseal)):
        await until(pool, SETTLED)
    assert receiver.received("a")[0].headers["Authorization"] == "Bearer sesame-42"
    log = await pool.fetchval("SELECT request || answer || verdict FROM attempts")
    assert "sesame" not in log


async def test_without_the_key_a_sealed_destination_is_paused(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a"))
    await pool.execute("UPDATE destinations SET secrets_sealed = 'sealed'::bytea")
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool):
        await until(pool, "(SELECT state = 'paused' FROM destinations)")
    assert receiver.requests == []
    assert await states(pool) == {"waiting": 1}
