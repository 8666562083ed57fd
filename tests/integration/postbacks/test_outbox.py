"""The outbox: transactional, idempotent, routed by team, type and smart link; and replays."""

from __future__ import annotations

import asyncio

import pytest

from loadtests.emulators.receiver import Receiver
from postbacks.outbox import abandon, enqueue
from postbacks.replay import ReplayError, forecast, replay_one, replay_range
from tests.integration.postbacks.scene import SETTLED, add_destination, dispatching, enqueue_all, event, states, until
from tracker.stores.postgres import Pool

URL = "https://h.example/?id={conversion_id}"


async def written(pool: Pool) -> set[tuple[str, str, str]]:
    rows = await pool.fetch("SELECT event_id, destination_id, state FROM deliveries")
    return {(row[0], row[1], row[2]) for row in rows}


async def test_routing(pool: Pool) -> None:
    await add_destination(pool, "everything", URL, event_types=["new_transaction", "new_subscriber"])
    await add_destination(pool, "subscribers", URL, event_types=["new_subscriber"])
    await add_destination(pool, "link-1", URL, links=["SL1"])
    await add_destination(pool, "link-2", URL, links=["SL2", "SL3"])
    await add_destination(pool, "other-team", URL, team_id="t2")
    await add_destination(pool, "paused", URL, state="paused")
    await add_destination(pool, "disabled", URL, state="disabled")
    await add_destination(pool, "deleted", URL, state="deleted")
    events = [
        event(1),
        event(2, smart_link_id="SL3"),
        event(3, event_type="new_subscriber"),
        event(4, event_type="click"),
    ]
    assert await enqueue_all(pool, events) == 10
    assert await written(pool) == {
        ("evt-1", "everything", "waiting"),
        ("evt-1", "link-1", "waiting"),
        ("evt-1", "paused", "waiting"),
        ("evt-1", "disabled", "dead"),
        ("evt-2", "everything", "waiting"),
        ("evt-2", "link-2", "waiting"),
        ("evt-2", "paused", "waiting"),
        ("evt-2", "disabled", "dead"),
        ("evt-3", "everything", "waiting"),
        ("evt-3", "subscribers", "waiting"),
    }
    kept = {row[0] for row in await pool.fetch("SELECT event_id FROM delivery_events")}
    assert kept == {"evt-1", "evt-2", "evt-3"}  # what nobody wants is not stored


async def test_asking_again_changes_nothing(pool: Pool) -> None:
    await add_destination(pool, "a", URL)
    assert await enqueue_all(pool, [event(1), event(1), event(2)]) == 2
    assert await enqueue_all(pool, [event(1), event(2), event(3)]) == 1
    assert await enqueue_all(pool, []) == 0
    assert len(await written(pool)) == 3


async def test_asking_again_on_another_day_changes_nothing(pool: Pool) -> None:
    await add_destination(pool, "a", URL)
    await enqueue_all(pool, [event(1)])
    for table in ("deliveries", "delivery_events"):
        await pool.execute(f"UPDATE {table} SET day = day - 3")
    assert await enqueue_all(pool, [event(1)]) == 0
    await add_destination(pool, "b", URL)
    assert await enqueue_all(pool, [event(1)]) == 1
    assert await pool.fetchval("SELECT count(DISTINCT day) FROM deliveries") == 1
    assert await pool.fetchval("SELECT count(*) FROM delivery_events") == 1


async def test_asking_at_the_same_time_writes_once(pool: Pool) -> None:
    await add_destination(pool, "a", URL)
    events = [event(n) for n in range(50)]
    new = await asyncio.gather(*(enqueue_all(pool, events[shift:] + events[:shift]) for shift in (0, 10, 20, 30)))
    assert sum(new) == 50
    assert len(await written(pool)) == 50


async def test_rollback_leaves_nothing(pool: Pool) -> None:
    await add_destination(pool, "a", URL)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await enqueue(connection, [event(1)]) == 1
        await transaction.rollback()
    assert await written(pool) == set()
    assert await pool.fetchval("SELECT count(*) FROM delivery_events") == 0


async def test_nothing_is_sent_before_the_commit(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    await add_destination(pool, "b", receiver.url_of("b") + "?id={conversion_id}", event_types=["new_subscriber"])
    async with dispatching(pool) as wake:
        async with pool.acquire() as connection, connection.transaction():
            await enqueue(connection, [event("uncommitted")])
            await enqueue_all(pool, [event("committed", event_type="new_subscriber")])
            wake.set()
            await receiver.wait_for("b", 1)
            assert receiver.received("a") == []
        wake.set()
        await receiver.wait_for("a", 1)


async def test_a_deleted_destinations_queue_is_given_up(pool: Pool) -> None:
    await add_destination(pool, "a", URL)
    await enqueue_all(pool, [event(n) for n in range(5)])
    async with pool.acquire() as connection:
        assert await abandon(connection, "a") == 5
    assert await states(pool) == {"dead": 5}


async def test_replaying_one_continues_the_numbers_and_restarts_the_schedule(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    receiver.mode("a", "status", status=500, times=6)
    await enqueue_all(pool, [event(1)])
    async with dispatching(pool) as wake:
        await until(pool, SETTLED)
        assert await states(pool) == {"dead": 1}
        async with pool.acquire() as connection:
            assert await replay_one(connection, "evt-1", "a") is True
            assert await replay_one(connection, "evt-1", "a") is False  # already waiting: still one send at a time
        wake.set()
        await until(pool, SETTLED)
    assert await states(pool) == {"delivered": 1}
    numbers = [row[0] for row in await pool.fetch("SELECT attempt FROM attempts ORDER BY attempt")]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]
    assert len({request.query for request in receiver.received("a")}) == 1


async def test_replaying_a_range_and_everything(pool: Pool) -> None:
    await add_destination(pool, "a", URL)
    await add_destination(pool, "b", URL)
    await enqueue_all(pool, [event(n) for n in range(10)])
    await pool.execute("UPDATE deliveries SET state = 'dead', finished_at = now(), attempts = 8")
    await pool.execute("UPDATE deliveries SET created_at = now() - interval '3 days' WHERE event_id < 'evt-4'")
    await pool.execute("UPDATE deliveries SET state = 'delivered' WHERE event_id = 'evt-9'")
    async with pool.acquire() as connection:
        since, until_ = await connection.fetchrow("SELECT now() - interval '4 days', now() - interval '1 day'")  # type: ignore[misc]
        seen = await forecast(connection, "a", since=since, until=until_)
        assert (seen.dead, seen.beyond_dedup) == (4, 4)
        assert await replay_range(connection, "a", since=since, until=until_) == 4
        assert await replay_range(connection, "a") == 5
        assert await replay_range(connection, "a") == 0
    assert await states(pool) == {"waiting": 9, "dead": 9, "delivered": 2}


async def test_replays_respect_the_destination(pool: Pool) -> None:
    await add_destination(pool, "off", URL, state="disabled")
    await enqueue_all(pool, [event(1)])
    async with pool.acquire() as connection:
        with pytest.raises(ReplayError, match="disabled"):
            await replay_one(connection, "evt-1", "off")
        with pytest.raises(ReplayError, match="no such destination"):
            await replay_range(connection, "nobody")
    assert await states(pool) == {"dead": 1}
