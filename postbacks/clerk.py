"""Writes down what the dispatcher did, in batches: while one commit is under way, the next batch gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import asyncpg
import msgspec
import structlog

from postbacks.attempt import apart
from postbacks.chunk import Claimed
from postbacks.queue import DATABASE_ERRORS, Change, Finished, Queue, Taken

log = structlog.get_logger()

BATCH = 500
BEHIND = 4000  # unsettled attempts at which nothing more is leased
GATHER_SECONDS = 0.02  # nobody waits for the book, and full batches cost a fraction of small ones
LAST_CALL_SECONDS = 10.0


class Clerk:
    """`on_change` is told of every change of a destination's health that took effect."""

    def __init__(self, queue: Queue, on_change: Callable[[Change], None]) -> None:
        self._queue = queue
        self._on_change = on_change
        self._log = log.bind()  # by name, each line would make a logger first
        self._finished: list[Finished] = []
        self._taken: list[Taken] = []
        self._returned: list[Claimed] = []
        self._changes: list[Change] = []
        self._work = asyncio.Event()
        self._busy = asyncio.Lock()
        self._again = False  # the last write failed, and may have been committed all the same
        self._taken_again = False

    @property
    def is_behind(self) -> bool:
        """The database takes attempts more slowly than they are made."""
        return self._unsettled >= BEHIND

    @property
    def _unsettled(self) -> int:
        return len(self._finished) + sum(batch.count for batch in self._taken)

    def settle(self, finished: Finished) -> None:
        """Settle a delivery and log its attempt, soon."""
        claimed = finished.claimed
        self._log.debug(
            "delivery.attempted",
            event_id=claimed.event_id,
            destination_id=claimed.destination_id,
            outcome=finished.outcome,
        )
        self._finished.append(finished)
        self._work.set()

    def settle_batch(self, batch: Taken) -> None:
        """The same of a batch that was taken whole."""
        self._log.debug(
            "delivery.attempted",
            events=batch.count,
            destination_id=batch.destination_id,
            outcome=batch.outcome,
        )
        self._taken.append(batch)
        self._work.set()

    def give_back(self, claims: Sequence[Claimed]) -> None:
        """Give back leases that were not used, soon."""
        if claims:
            self._returned.extend(claims)
            self._work.set()

    def note(self, change: Change) -> None:
        """Write down a change of health, soon."""
        # Answers that came together say the same: written one after another, the last would halt again what was just mended.
        if change.what in ("paused", "disabled") and any(
            (one.destination_id, one.what) == (change.destination_id, change.what) for one in self._changes
        ):
            return
        self._changes.append(change)
        self._work.set()

    async def run(self) -> None:
        """Write until cancelled. A database that is away is waited for; nothing is dropped."""
        backoff = 0.0
        while True:
            await self._work.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._work.clear()
            try:
                await self._flush()
                backoff = 0.0
            except Exception as error:
                # Whatever it is, a clerk that dies would leave everything sent unsettled, and sent again.
                backoff = min(max(2 * backoff, 0.1), 5.0)
                expected = isinstance(error, DATABASE_ERRORS)
                log.warning(
                    "dispatcher: cannot write, will try again",
                    error=f"{type(error).__name__}: {error}",
                    unsettled=self._unsettled,
                    exc_info=None if expected else error,
                )
                self._work.set()
                await asyncio.sleep(backoff)

    async def finish(self) -> None:
        """Write what is left, for ten seconds at most; what cannot be written is sent again when its lease ends."""
        try:
            async with asyncio.timeout(LAST_CALL_SECONDS):
                await self._flush()
        except DATABASE_ERRORS as error:
            log.error("dispatcher: stopped with attempts unsettled", count=self._unsettled, error=str(error))

    async def _flush(self) -> None:
        async with self._busy:
            while self._finished or self._taken or self._returned or self._changes:
                if self._taken:
                    again, self._taken_again = self._taken_again, True
                    await self._complete_batch(self._taken[0], again)
                    del self._taken[0]
                    self._taken_again = False
                batch = self._finished[:BATCH]
                if batch:
                    again, self._again = self._again, True
                    await self._complete(batch, again)
                    del self._finished[: len(batch)]
                    self._again = False
                returned = self._returned[:BATCH]
                if returned:
                    await self._queue.release(returned)
                    del self._returned[: len(returned)]
                if self._changes:
                    change = self._changes[0]
                    done = await self._queue.change(change)
                    del self._changes[0]
                    if done:
                        self._on_change(change)

    async def _complete(self, batch: list[Finished], again: bool) -> None:
        try:
            settled = await self._queue.complete(batch, again=again)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
            await self._complete_one_by_one(batch)
            return
        _warn_of_lost(len(batch) - settled, again)

    async def _complete_batch(self, batch: Taken, again: bool) -> None:
        try:
            settled = await self._queue.complete_batch(batch, again=again)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
            await self._complete_one_by_one(apart(batch))
            return
        _warn_of_lost(batch.count - settled, again)

    async def _complete_one_by_one(self, batch: list[Finished]) -> None:
        """One row PostgreSQL refuses must not hold up the others: its attempt is logged without its texts."""
        for finished in batch:
            try:
                await self._queue.complete([finished], again=True)
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                claimed = finished.claimed
                log.error("dispatcher: attempt log refused", event_id=claimed.event_id, error=str(error))
                bare = msgspec.structs.replace(finished, request="", answer="", words=finished.outcome)
                await self._queue.complete([bare], again=True)


def _warn_of_lost(count: int, again: bool) -> None:
    if count > 0 and not again:
        log.warning("dispatcher: leases were lost before settling", count=count)
