"""Batches in the queue tables: claimed with what their kind reads, and settled and logged in one statement when taken whole."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from postbacks.attempt import apart, keys
from postbacks.chunk import Claimed
from postbacks.clerk import Clerk
from postbacks.destinations.base import MOST_READ, Item
from postbacks.destinations.meta import Meta
from postbacks.destinations.registry import KINDS
from postbacks.queue import CHUNK, SQL, Change, Queue, Taken
from tests.integration.postbacks.scene import HAPPENED, add_destination, enqueue_all, event
from tests.unit.postbacks.clicks import FACTS
from tracker.stores.postgres import Pool

HEAD = "POST https://h.example/\nContent-Type: application/json\n\n"
STARTED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def leased(pool: Pool, count: int = 3) -> list[Claimed]:
    """Deliveries of a Meta connection, leased."""
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, event_types)"
        " VALUES ('meta', 't1', 'meta', '{}', '{new_subscriber}')"
    )
    await enqueue_all(pool, [event(n, event_type="new_subscriber", facts=FACTS) for n in range(count)])
    return [claimed for chunk in await Queue(pool).claim({"meta": count}, 60.0) for claimed in chunk.claims()]


def taken(claims: list[Claimed], events: list[object]) -> Taken:
    return Taken(
        "meta", len(claims), msgspec.json.encode(keys(claims)), "delivered", "Meta received them", STARTED, 12, HEAD, msgspec.json.encode(events), 40,
        200, "{}",
    )  # fmt: skip


async def test_a_kind_is_told_the_facts_it_reads(pool: Pool) -> None:
    await add_destination(pool, "url", "https://h.example/", event_types=("new_subscriber",))
    await leased(pool, 0)
    facts = FACTS | {"long": "x" * 4000, "_user_agent": 'a "quoted" \\ agent é ☀'}
    await enqueue_all(pool, [event(1, event_type="new_subscriber", facts=facts)])
    (claimed,) = (await Queue(pool).claim({"meta": 1}, 60.0))[0].claims()
    assert claimed.item == Item(
        "evt-1", "new_subscriber", HAPPENED, {name: facts[name] for name in Meta.reads if facts.get(name)}
    )
    assert claimed.age >= 0
    (sent,) = (await Queue(pool).claim({"url": 1}, 60.0))[0].claims()
    assert sent.item is not None
    assert sent.item.facts["creator_onlyfans_name"] == "Sample Creator ☀"
    assert sent.item.facts | facts == sent.item.facts


async def test_deliveries_whose_facts_are_gone_are_claimed_without(pool: Pool) -> None:
    await add_destination(pool, "a", "https://h.example/")
    await enqueue_all(pool, [event(1), event(2)])
    await pool.execute("DELETE FROM delivery_events WHERE event_id = 'evt-1'")
    chunks = await Queue(pool).claim({"a": 5}, 60.0)
    assert sorted(chunk.gone for chunk in chunks) == [False, True]
    assert {one.event_id: one.item is None for chunk in chunks for one in chunk.claims()} == {
        "evt-1": True,
        "evt-2": False,
    }


async def test_a_claim_comes_in_chunks_oldest_first(pool: Pool) -> None:
    await add_destination(pool, "a", "https://h.example/")
    count = 2 * CHUNK + 50
    await enqueue_all(pool, [event(f"{n:03}") for n in range(count)])
    await pool.execute("UPDATE deliveries SET due_at = now() - interval '1 s' * right(event_id, 3)::int")
    chunks = await Queue(pool).claim({"a": count}, 60.0)
    assert list(map(len, chunks)) == [CHUNK, CHUNK, 50]
    claims = [claimed for chunk in chunks for claimed in chunk.claims()]
    assert [one.event_id for one in claims] == [f"evt-{n:03}" for n in reversed(range(count))]
    assert all(one.item is not None and one.item.facts["conversion_id"] == one.event_id for one in claims)


async def test_what_is_written_of_a_batch_is_what_would_be_written_one_by_one(pool: Pool) -> None:
    claims = await leased(pool, 4)
    batch = taken(claims, [{"id": 1}, "fan \u2600 2", {"name": "é" * 60}, {"quoted": 'a "b" \\ c'}])
    assert await Queue(pool).complete_batch(batch) == 4
    rows = await pool.fetch("SELECT * FROM attempts ORDER BY event_id")
    singly = sorted(apart(msgspec.structs.replace(batch, longest=40)), key=lambda one: one.claimed.event_id)
    for row, one in zip(rows, singly, strict=True):
        number, _, own = one.request.removeprefix(f"{HEAD}event ").partition(" of 4: ")
        cut = own if len(own) <= 40 else own[:40] + "..."
        assert row["request"] == f"{HEAD}event {number} of 4: {cut}"
        assert (row["event_id"], row["attempt"], row["day"]) == (one.claimed.event_id, 1, STARTED.date())
        assert (row["outcome"], row["verdict"], row["status_code"]) == ("delivered", "Meta received them", 200)
        assert (row["started_at"], row["duration_ms"], row["answer"]) == (STARTED, 12, "{}")
    states = await pool.fetch("SELECT state, attempts, uncharged, lease_token, verdict, finished_at FROM deliveries")
    assert {(*tuple(row)[:5], row["finished_at"] is None) for row in states} == {
        ("delivered", 1, 0, None, "Meta received them", False)
    }


async def test_a_batch_of_two_leases_is_written_in_its_order(pool: Pool) -> None:
    claims = await leased(pool, 3)
    await enqueue_all(pool, [event(n, event_type="new_subscriber", facts=FACTS) for n in (3, 4)])
    claims += [claimed for chunk in await Queue(pool).claim({"meta": 2}, 60.0) for claimed in chunk.claims()]
    assert len({claimed.lease_token for claimed in claims}) == 2
    claims = [claims[n] for n in (3, 0, 4, 2, 1)]
    assert await Queue(pool).complete_batch(taken(claims, [f"number {n}" for n in range(5)])) == 5
    rows = {row["event_id"]: row["request"] for row in await pool.fetch("SELECT event_id, request FROM attempts")}
    assert rows == {claimed.event_id: f"{HEAD}event {n + 1} of 5: number {n}" for n, claimed in enumerate(claims)}


async def test_a_lost_lease_is_left_to_its_holder_and_the_attempt_logged(pool: Pool) -> None:
    claims = await leased(pool)
    await pool.execute("UPDATE deliveries SET lease_token = 'another' WHERE event_id = $1", claims[1].event_id)
    assert await Queue(pool).complete_batch(taken(claims, [{}, {}, {}])) == 2
    held = await pool.fetchrow("SELECT state, attempts FROM deliveries WHERE event_id = $1", claims[1].event_id)
    assert held is not None
    assert (held["state"], held["attempts"]) == ("waiting", 0)
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 3


async def test_a_batch_written_again_is_logged_once(pool: Pool) -> None:
    batch = taken(await leased(pool), [{}, {}, {}])
    assert await Queue(pool).complete_batch(batch) == 3
    assert await Queue(pool).complete_batch(batch, again=True) == 0
    assert await pool.fetchval("SELECT count(*) FROM attempts") == 3
    assert await pool.fetchval("SELECT max(attempts) FROM deliveries") == 1


@pytest.mark.parametrize("error", [asyncpg.DataError, ConnectionResetError])
async def test_a_batch_the_database_does_not_take_is_written_all_the_same(pool: Pool, error: type[Exception]) -> None:
    class Reluctant(Queue):
        refused = 0

        async def complete_batch(self, taken: Taken, *, again: bool = False) -> int:
            self.refused += 1
            if self.refused == 1:
                raise error("refused")
            return await super().complete_batch(taken, again=again)

    changes: list[Change] = []
    queue = Reluctant(pool)
    clerk = Clerk(queue, changes.append)
    clerk.settle_batch(taken(await leased(pool), [{"n": 0}, {"n": 1}, {"n": 2}]))
    if error is ConnectionResetError:
        with pytest.raises(ConnectionResetError):
            await clerk._flush()
    await clerk.finish()
    assert queue.refused == (1 if error is asyncpg.DataError else 2)
    rows = await pool.fetch(
        "SELECT d.state, a.request FROM deliveries d JOIN attempts a USING (event_id) ORDER BY event_id"
    )
    assert [row["state"] for row in rows] == ["delivered"] * 3
    assert [row["request"].rpartition(": ")[2] for row in rows] == ['{"n":0}', '{"n":1}', '{"n":2}']


async def test_answers_that_came_together_halt_once(pool: Pool) -> None:
    """What would halt again is not written after somebody has mended the connection."""
    await leased(pool)
    halted: list[Change] = []
    clerk = Clerk(Queue(pool), halted.append)
    for _ in range(4):
        clerk.note(Change("meta", "paused", words="the token is refused"))
    clerk.note(Change("other", "paused", words="so is this one's"))
    await clerk._flush()
    assert [(one.destination_id, one.what) for one in halted] == [("meta", "paused")]
    await pool.execute("UPDATE destinations SET state = 'active'")
    await clerk.finish()
    assert await pool.fetchval("SELECT state FROM destinations") == "active"
    clerk.note(Change("meta", "paused", words="refused again"))
    await clerk.finish()
    assert await pool.fetchval("SELECT state FROM destinations") == "paused"


def test_no_kind_reads_more_facts_than_the_claim_statement_tells() -> None:
    assert SQL["claim"].count("facts ->> names[") == MOST_READ
    assert max(len(kind.reads) for kind in KINDS.values()) <= MOST_READ
