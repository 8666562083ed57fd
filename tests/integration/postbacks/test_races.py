"""What happens while the dispatcher waits for the database: queues that have it happen just then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs

import msgspec

from loadtests.emulators.receiver import Receiver
from postbacks.chunk import Chunk
from postbacks.dispatcher import Dispatcher
from postbacks.egress import Egress
from postbacks.lane import Lane
from postbacks.queue import Queue
from postbacks.verdicts import Verdict
from tests.integration.postbacks.scene import (
    FAST,
    LOOPBACK,
    SETTLED,
    add_destination,
    enqueue_all,
    event,
    states,
    until,
)
from tracker.stores.postgres import Pool

Reads = Mapping[str, tuple[str, Sequence[str]]] | None


class LateClaims(Queue):
    """While its second claim is on the way, the destination's breaker opens."""

    lanes: Mapping[str, Lane]
    claims = 0

    async def claim(self, takes: Mapping[str, int], lease_seconds: float, reads: Reads = None) -> list[Chunk]:
        chunks = await super().claim(takes, lease_seconds, reads)
        self.claims += 1
        if self.claims == 2:
            assert sum(map(len, chunks)) > 1
            now = time.monotonic()
            for _ in range(FAST.breaker.threshold):
                self.lanes["a"].observe([Verdict("transient", "")], begun=now, now=now, wall=datetime.now(UTC))
            assert self.lanes["a"].is_open(now)
        return chunks


async def test_leases_that_arrive_after_the_breaker_opened_are_not_stranded(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    await enqueue_all(pool, [event(n) for n in range(100)])
    hour = msgspec.structs.replace(FAST, lease_margin=3600.0)  # a stranded lease would not end within this test
    queue, stop = LateClaims(pool), asyncio.Event()
    egress = Egress(allow=LOOPBACK, timeout=2.0)
    dispatcher = Dispatcher(queue, egress, hour)
    queue.lanes = dispatcher._lanes
    task = asyncio.create_task(dispatcher.run(asyncio.Event(), stop))
    await until(pool, SETTLED)
    stop.set()
    await task
    await egress.close()
    assert queue.claims > 2
    assert await states(pool) == {"delivered": 100}


class EditedBetween(Queue):
    """Before its third claim the template is edited; what is leased by then was leased with the facts of the old one."""

    url = ""
    claims = 0
    told: list[tuple[str, ...]]

    async def claim(self, takes: Mapping[str, int], lease_seconds: float, reads: Reads = None) -> list[Chunk]:
        self.claims += 1
        if self.claims == 3:
            await self._pool.execute("UPDATE destinations SET config = $1", {"url": self.url})
        chunks = await super().claim(takes, lease_seconds, reads)
        self.told += [chunk.reads for chunk in chunks]
        return chunks


async def test_an_edited_template_finds_every_fact_it_names(pool: Pool, receiver: Receiver) -> None:
    await add_destination(pool, "a", receiver.url_of("a") + "?id={conversion_id}")
    await enqueue_all(pool, [event(n, facts={"amount_net": f"{n}.00"}) for n in range(400)])
    queue, stop, egress = EditedBetween(pool), asyncio.Event(), Egress(allow=LOOPBACK, timeout=2.0)
    queue.url, queue.told = receiver.url_of("b") + "?id={conversion_id}&net={amount_net}", []
    task = asyncio.create_task(Dispatcher(queue, egress, FAST).run(asyncio.Event(), stop))
    await until(pool, SETTLED)
    stop.set()
    await task
    await egress.close()
    assert await states(pool) == {"delivered": 400}
    before, after = ([parse_qs(one.query) for one in receiver.requests if one.name == name] for name in "ab")
    assert before
    assert after
    assert sorted(one["id"][0] for one in before + after) == sorted(f"evt-{n}" for n in range(400))
    assert all(one["net"] == [f"{one['id'][0].removeprefix('evt-')}.00"] for one in after)
    # At first, and when it was found edited, all facts are told; else what the template names.
    assert queue.told[0] == ()
    assert ("conversion_id",) in queue.told
