"""Recording one shard: read, decode, store, wake, trim, for as long as the shard is ours.

It begins with whatever is left in the log. Entries are dropped only when their rows are committed and their fans woken, so
what is left is at most what an earlier run could not finish, or what another primary kept; ids make re-reading harmless.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog

from tracker.clicklog import KIND_BOT, KIND_CLICK, WAKE_CHANNEL
from tracker.recorder import rows
from tracker.recorder.announce import Announcer
from tracker.recorder.entry import Entry, Reject, decode
from tracker.recorder.geo import Geo
from tracker.recorder.metrics import Metrics
from tracker.recorder.plan import Writes
from tracker.recorder.stream import BEGINNING, Chunk, ClickLog, later
from tracker.recorder.writer import Batch, Position, PositionMovedError, load_position, wake_fans, write
from tracker.stores.postgres import AWAY, Pool
from tracker.stores.valkey import Client, RedisError

log = structlog.get_logger()

BLOCK_MS = 1000  # an append ends the wait at once
LINGER_SECONDS = 0.02  # under steady light load: 50 transactions a second at most, instead of one per click
BATCHES_PER_TURN = 8  # then another shard of this process has its turn
SLICE = 250  # entries decoded between two turns of the event loop
LAG_WARNING = 50_000
STORES_AWAY = (RedisError, *AWAY)
POISON = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.NotNullViolationError, ValueError)

T = TypeVar("T")


class ShardRecorder:
    """Records one shard. `run` returns when `stop` is set and what was begun is finished; cancel it when the lock is lost."""

    def __init__(
        self,
        shard: int,
        pool: Pool,
        client: Client,
        *,
        geo: Geo,
        batch: int,
        metrics: Metrics,
        stop: asyncio.Event,
        turns: asyncio.Semaphore,
    ) -> None:
        self.shard = shard
        self._announcer = Announcer()
        self._pool = pool
        self._client = client
        self._log = ClickLog(client, shard)
        self._geo = geo
        self._batch = batch
        self._metrics = metrics
        self._stop = stop
        self._turns = turns
        self._position = Position("", BEGINNING)
        self._lagging = self._failing = False

    async def run(self) -> None:
        """Record until stopped, through any absence of the stores."""
        while not self._stop.is_set():
            try:
                await self._record()
            except PositionMovedError as error:
                log.warning("recorder.position_moved", shard=self.shard, error=str(error))
                await self._pause(1.0)
            except STORES_AWAY as error:
                self._failed("recorder.interrupted", error)
                await self._pause(random.uniform(0.2, 1.0))

    async def _record(self) -> None:
        self._position = await load_position(self._pool, self.shard)
        primary = await self._log.replication_id()
        if self._position.replication_id not in ("", primary):
            log.info("recorder.other_primary", shard=self.shard, was=self._position.replication_id, now=primary)
        cursor = BEGINNING
        while not self._stop.is_set():
            # One entry is enough to know there is work; batches are held by a few shards of the process at a time.
            first = await self._unless_stopped(self._log.read(cursor, 1, BLOCK_MS))
            if first is None:
                return
            self._note_lag(first)
            if first.replication_id != primary:
                log.warning("recorder.failover", shard=self.shard, was=primary, now=first.replication_id)
                primary, cursor = first.replication_id, BEGINNING
            elif first.entries:
                async with self._turns:
                    cursor = await self._catch_up(primary, cursor)
                await self._pause(LINGER_SECONDS)

    async def _catch_up(self, primary: str, cursor: str) -> str:
        """Record what follows `cursor`, for a turn at most. Returns the new cursor."""
        ahead = asyncio.create_task(self._next(cursor))
        try:
            for left in range(BATCHES_PER_TURN - 1, -1, -1):
                chunk, batch = await ahead
                if chunk.replication_id != primary or not chunk.entries:
                    break
                self._note_lag(chunk)
                cursor = batch.through.entry_id
                more = len(chunk.entries) == self._batch and left > 0 and not self._stop.is_set()
                if more:  # read on while this is stored
                    ahead = asyncio.create_task(self._next(cursor))
                await self._store(batch)
                await self._log.trim(primary, cursor)
                if not more:
                    break
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        return cursor

    async def _next(self, cursor: str) -> tuple[Chunk, Batch]:
        chunk = await self._log.read(cursor, self._batch, None)
        entries: list[Entry] = []
        tails: dict[str, str] = {}
        rejects: list[Reject] = []
        for number, (entry_id, fields) in enumerate(chunk.entries, 1):
            entry = decode(entry_id, fields)
            if isinstance(entry, Reject):
                rejects.append(entry)
            else:
                entries.append(entry)
                if entry.kind in (KIND_CLICK, KIND_BOT):
                    tails[entry.entry_id] = rows.click_tail(entry, self._geo)
            if number % SLICE == 0:
                await asyncio.sleep(0)  # let the batch before this one go on to PostgreSQL
        through = chunk.entries[-1][0].decode() if chunk.entries else cursor
        return chunk, Batch(Position(chunk.replication_id, through), entries, tails, rejects)

    async def _store(self, batch: Batch) -> None:
        """Store a batch, for ever if need be; an entry PostgreSQL refuses is found by halving and set aside."""
        parts = [batch]
        while parts:
            part = parts.pop()
            through, position = part.through, self._position
            if through.replication_id == position.replication_id:  # a re-read does not move it back
                through = through._replace(entry_id=later(through.entry_id, position.entry_id))
            attempt = partial(write, self._pool, self.shard, position, part._replace(through=through), self._announcer)
            try:
                written, writes = await self._insist(attempt)
            except POISON as error:
                parts.extend(_split(part, error))
                continue
            self._position = through
            self._metrics.committed(self.shard, *written)
            self._failing = False
            if part.rejects:
                first = part.rejects[0]
                log.error(
                    "recorder.rejected",
                    shard=self.shard,
                    entries=len(part.rejects),
                    entry_id=first.entry_id,
                    reason=first.reason,
                )
            await self._wake(writes)

    async def _wake(self, writes: Writes) -> None:
        if await self._insist(partial(wake_fans, self._pool, writes)):
            try:
                await self._client.publish(WAKE_CHANNEL, "fans")
            except (RedisError, OSError) as error:  # the queue is in PostgreSQL; the worker looks there anyway
                log.debug("recorder.publish_failed", shard=self.shard, error=_words(error))

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat until PostgreSQL takes it. Raises POISON errors, PositionMovedError, and, once stopped, the last failure."""
        delay = 0.05
        while True:
            try:
                return await attempt()
            except POISON:
                raise
            except STORES_AWAY as error:
                self._failed("recorder.not_stored", error)
                await self._pause(random.uniform(delay / 2, delay))
                if self._stop.is_set():
                    raise
                delay = min(delay * 2, 5.0)

    async def _unless_stopped(self, reading: Coroutine[Any, Any, Chunk]) -> Chunk | None:
        """The result of a read that may wait; None when stopped first."""
        read, stopped = asyncio.create_task(reading), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({read, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return read.result() if read.done() else None
        finally:
            read.cancel()
            stopped.cancel()
            await asyncio.gather(read, stopped, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    def _failed(self, event: str, error: BaseException) -> None:
        # The first failure in a row is the news; an outage fails again and again.
        self._metrics.failed()
        (log.debug if self._failing else log.warning)(event, shard=self.shard, error=_words(error))
        self._failing = True

    def _note_lag(self, chunk: Chunk) -> None:
        oldest = int(chunk.entries[0][0].partition(b"-")[0]) if chunk.entries else None
        self._metrics.lag(self.shard, chunk.length if chunk.entries else 0, oldest)
        if not self._lagging and chunk.length > LAG_WARNING:
            log.warning("recorder.lagging", shard=self.shard, entries=chunk.length)
            self._lagging = True
        elif self._lagging and chunk.length <= self._batch:
            log.info("recorder.caught_up", shard=self.shard)
            self._lagging = False


def _split(part: Batch, error: Exception) -> list[Batch]:
    """The halves of a refused batch, the earlier one last; a refused entry alone becomes a reject."""
    if not part.entries:
        raise error
    if len(part.entries) == 1:
        entry = part.entries[0]
        reject = Reject(entry.entry_id, f"refused by PostgreSQL: {_words(error)}"[:500], msgspec.msgpack.encode(entry))
        return [part._replace(entries=[], rejects=[*part.rejects, reject])]
    middle = len(part.entries) // 2
    through = Position(part.through.replication_id, part.entries[middle - 1].entry_id)
    earlier = part._replace(through=through, entries=part.entries[:middle], rejects=[])
    return [part._replace(entries=part.entries[middle:]), earlier]


def _words(error: BaseException) -> str:
    # A statement's values (a visitor's data) can stand in DETAIL; the message alone is enough.
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
