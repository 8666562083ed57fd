"""Sends what the outbox holds: at least once, retried, every try in the log, no destination in another's way.

Deliveries are leased and the lease committed before anything is sent; an attempt is settled together with its log row,
and only under the lease it was sent under. Killed between a receiver's 200 and that commit, the delivery is sent again
when the lease ends, under the same event id. Any number of dispatchers may run against one database.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import asyncpg
import structlog
from aiohttp.abc import AbstractResolver

from postbacks.attempt import dead_letter
from postbacks.chunk import Chunk, Claimed, Lone
from postbacks.clerk import Clerk
from postbacks.configuration import DispatcherConfig
from postbacks.egress import Egress
from postbacks.lane import Lane
from postbacks.queue import DATABASE_ERRORS, Change, Queue
from postbacks.schema import ConfigError
from postbacks.sender import Sender

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

log = structlog.get_logger()

LANE_MEMORY_SECONDS = 600.0
LONGEST_BACKOFF = 5.0
KEPT_MEMORY = 8 << 20
STRAND_SECONDS = 1.0  # between looks for what waits for disabled destinations


async def run_dispatcher(
    pool: Pool,
    *,
    config: DispatcherConfig,
    wake: asyncio.Event,
    stop: asyncio.Event,
    resolver: AbstractResolver | None = None,
) -> None:
    """Dispatch until `stop` is set, then finish what is under way and give the rest back.

    `wake`: set it after committing new deliveries; it is cleared here. A database that goes away is waited for.
    """
    _keep_memory()
    egress = Egress(allow=config.egress_allow, timeout=config.timeout, resolver=resolver)
    try:
        await Dispatcher(Queue(pool), egress, config).run(wake, stop)
    finally:
        await egress.close()


def _keep_memory() -> None:
    """Have the megabytes of one batch kept for the next: to get each page of them anew costs a tenth of the batch's time.

    The C library (glibc) gives freed blocks back at once if they are larger than any that was given back before.
    """
    bytearray(KEPT_MEMORY)


class Dispatcher:
    """The loop: look for work, lease it, hand it to lanes, and let a clerk settle what they did."""

    def __init__(self, queue: Queue, egress: Egress, config: DispatcherConfig) -> None:
        self._queue = queue
        self._config = config
        self._clerk = Clerk(queue, self._on_change)
        # Leases were long enough for one attempt and half the margin beyond it.
        self._sender = Sender(egress, self._clerk, config.retry, config.lease_margin / 2, config.observe)
        self._lanes: dict[str, Lane] = {}
        self._capped: deque[Lane] = deque()  # lanes waiting for one of `most_in_flight`, in turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._nudge = asyncio.Event()
        self._look_wanted = True
        self._look_at = 0.0
        self._strand_at = 0.0
        self._look_not_before = 0.0

    async def run(self, wake: asyncio.Event, stop: asyncio.Event) -> None:
        """See `run_dispatcher`."""
        helpers = [
            asyncio.create_task(self._clerk.run()),
            asyncio.create_task(self._forward_wake(wake)),
            asyncio.create_task(self._forward_stop(stop)),
        ]
        backoff = 0.0
        try:
            while not stop.is_set():
                self._nudge.clear()
                try:
                    await self._find_work()
                    backoff = 0.0
                except DATABASE_ERRORS as error:
                    backoff = min(max(2 * backoff, self._config.idle_poll), LONGEST_BACKOFF)
                    log.warning("dispatcher: database not available", error=str(error), retry_in=backoff)
                await self._sleep(backoff)
        finally:
            await self._wind_down()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _forward_wake(self, wake: asyncio.Event) -> None:
        while True:
            await wake.wait()
            wake.clear()
            self._look_wanted = True
            self._nudge.set()

    async def _forward_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._nudge.set()

    async def _sleep(self, backoff: float) -> None:
        now = time.monotonic()
        seconds = self._look_at - now
        if self._look_wanted:
            seconds = min(seconds, self._look_not_before - now)
        try:
            async with asyncio.timeout(max(backoff, seconds, 0.0)):
                await self._nudge.wait()
        except TimeoutError:
            pass

    async def _find_work(self) -> None:
        now = time.monotonic()
        if now >= self._look_at or (self._look_wanted and now >= self._look_not_before):
            await self._look(now)
        now = time.monotonic()
        takes: dict[str, int] = {}
        for lane in self._lanes.values():
            if lane.waiting and not lane.in_flight:  # nothing under way whose end would start the next
                self._launch(lane)
            appetite = lane.appetite(now) if lane.hungry and not self._clerk.is_behind else 0
            if appetite > 0:
                takes[lane.destination_id] = appetite
        if not takes:
            return
        known = [(of, self._lanes[of]) for of in takes]
        reads = {
            of: (lane.version, lane.destination.reads)
            for of, lane in known
            if lane.destination and lane.destination.reads
        }
        chunks = await self._queue.claim(takes, self._config.lease_seconds, reads)
        usable_until = now + self._config.lease_seconds - self._config.timeout - self._config.lease_margin / 2
        await self._configure({chunk.destination_id: chunk.version for chunk in chunks})
        got = dict.fromkeys(takes, 0)
        for chunk in chunks:
            got[chunk.destination_id] += len(chunk)
            lane = self._lanes[chunk.destination_id]
            lane.last_used = now
            if chunk.gone:
                for claimed in chunk.claims():
                    self._clerk.settle(dead_letter(claimed, "the event's facts are gone: its day was dropped"))
            else:
                lane.add(chunk, usable_until)
        for destination_id, take in takes.items():
            lane = self._lanes[destination_id]
            lane.hungry = got[destination_id] >= take
            if lane.destination is None or lane.is_open(time.monotonic()):
                self._clerk.give_back(lane.empty())
            self._launch(lane)

    async def _look(self, now: float) -> None:
        """Ask which destinations have something due. Takes at most a third of the loop's time, however often woken."""
        self._look_wanted = False
        if now >= self._strand_at:
            await self._queue.strand()
            self._strand_at = time.monotonic() + max(STRAND_SECONDS, self._config.idle_poll)
        for destination_id in await self._queue.ready():
            lane = self._lanes.get(destination_id)
            if lane is None:
                lane = self._lanes[destination_id] = Lane(
                    destination_id, self._config.concurrency, self._config.breaker
                )
            lane.hungry = True
            lane.last_used = now
        for lane in [lane for lane in self._lanes.values() if lane.idle and now - lane.last_used > LANE_MEMORY_SECONDS]:
            del self._lanes[lane.destination_id]
        done = time.monotonic()
        self._look_at = done + self._config.idle_poll
        self._look_not_before = done + 2 * (done - now)

    async def _configure(self, versions: Mapping[str, str]) -> None:
        changed = [of for of, version in versions.items() if self._lanes[of].version != version]
        if not changed:
            return
        for row in await self._queue.destinations(sorted(changed)):
            lane = self._lanes[row.destination_id]
            self._clerk.give_back(lane.empty())  # leased with the facts that it read before
            try:
                lane.configure(row, self._config.destination)
            except ConfigError as error:
                log.error("dispatcher: destination paused", destination_id=row.destination_id, reason=str(error))
                self._clerk.note(Change(row.destination_id, "paused", words=f"its configuration is refused: {error}"))

    def _launch(self, lane: Lane, most: int | None = None) -> int:
        """Start sends while the lane has work, slots and the dispatcher room; returns how many were started."""
        started = 0
        now = time.monotonic()
        returned: list[Claimed] = []
        while most is None or started < most:
            if len(self._tasks) >= self._config.most_in_flight:
                if lane.waiting and lane not in self._capped:
                    self._capped.append(lane)
                break
            batch = lane.take(now, returned)
            if not batch:
                break
            lane.in_flight += 1
            started += 1
            task = asyncio.create_task(self._keep_sending(lane, batch))
            self._tasks.add(task)
            task.add_done_callback(lambda done, lane=lane: self._sent(done, lane))  # type: ignore[misc]
        self._clerk.give_back(returned)
        return started

    async def _keep_sending(self, lane: Lane, batch: list[Chunk | Lone]) -> None:
        """Send, and go on with the lane's next in the same slot and task, unless other lanes wait for their turn."""
        while batch:
            await self._sender.send(lane, batch)
            # The other answers that came meanwhile are dealt with first, and what follows is sent together: a receiver that
            # had nothing to do between two requests is dear to wake.
            await asyncio.sleep(0)
            if self._capped:
                return
            now = time.monotonic()
            returned: list[Claimed] = []
            lane.in_flight -= 1
            batch = lane.take(now, returned)
            lane.in_flight += 1
            self._clerk.give_back(returned)
            if lane.waiting:  # an answer may have opened more slots than this one
                self._launch(lane)
            if lane.hungry and lane.appetite(now) > 0:
                self._nudge.set()

    def _sent(self, task: asyncio.Task[None], lane: Lane) -> None:
        self._tasks.discard(task)
        lane.in_flight -= 1
        if not task.cancelled() and task.exception() is not None:
            log.error("dispatcher: a send failed inside", destination_id=lane.destination_id, exc_info=task.exception())
        if self._capped:
            if lane.waiting and lane not in self._capped:
                self._capped.append(lane)
            while self._capped and len(self._tasks) < self._config.most_in_flight:
                front = self._capped.popleft()
                if self._launch(front, most=1) and front.waiting:
                    self._capped.append(front)
        else:
            self._launch(lane)
        if lane.hungry and lane.appetite(time.monotonic()) > 0:
            self._nudge.set()

    def _on_change(self, change: Change) -> None:
        if change.what in ("paused", "disabled"):
            log.warning(
                "destination halted", destination_id=change.destination_id, state=change.what, reason=change.words
            )
            lane = self._lanes.get(change.destination_id)
            if lane is not None:
                lane.hungry = False
                self._clerk.give_back(lane.empty())

    async def _wind_down(self) -> None:
        for lane in self._lanes.values():
            self._clerk.give_back(lane.empty())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._config.timeout + 1)
        for task in self._tasks:
            task.cancel()
        await self._clerk.finish()
