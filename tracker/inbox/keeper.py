"""Keeps webhooks that arrive together in one transaction: what a commit costs is shared by all who wait for it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import asyncpg

from tracker.stores.postgres import Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.inbox", "inbox.sql")
AT_ONCE = 100
LARGEST = 2 << 20  # bytes: no further one once the bodies are that long


class Delivery(NamedTuple):
    """A webhook whose signature held."""

    account_id: str
    provider: str
    dedup_key: str
    event_type: str
    body: bytes


class Kept(NamedTuple):
    """`times_seen`: 1 for one that was not there before."""

    webhook_id: int
    times_seen: int


class Keeper:
    """Writes what waits, then what came meanwhile, and so on; several writes are under way at most. One per event loop."""

    def __init__(self, pool: Pool, writers: int = 2) -> None:
        self.pool = pool
        self._free = writers
        self._waiting: list[tuple[Delivery, asyncio.Future[Kept]]] = []
        self._writing: set[asyncio.Task[None]] = set()

    async def keep(self, delivery: Delivery) -> Kept:
        """Keep a delivery, once however often it comes. It is on disk when this returns. Raises what PostgreSQL raises."""
        kept: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, kept))
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._write())
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return await kept

    async def _write(self) -> None:
        try:
            while self._waiting:
                taken: dict[tuple[str, str, str], tuple[Delivery, asyncio.Future[Kept]]] = {}
                later, size = [], 0
                for delivery, kept in self._waiting:
                    if kept.done():
                        continue  # its sender has gone, and will send it again
                    # Of copies that wait together one goes now and the others after it: each is counted.
                    if len(taken) == AT_ONCE or size > LARGEST or delivery[:3] in taken:
                        later.append((delivery, kept))
                    else:
                        taken[delivery[:3]] = delivery, kept
                        size += len(delivery.body)
                self._waiting = later
                if taken:
                    await self._keep_all(list(taken.values()))
        finally:
            self._free += 1

    async def _keep_all(self, taken: list[tuple[Delivery, asyncio.Future[Kept]]]) -> None:
        # In one order, so that two writers do not wait for each other.
        taken = sorted(taken, key=lambda pair: pair[0][:3])
        try:
            rows = await self.pool.fetch(
                SQL["keep"], *[list(column) for column in zip(*[d for d, _ in taken], strict=True)]
            )
        except (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.ProgramLimitExceededError,
        ) as error:
            if len(taken) == 1:
                _fail(taken, error)
                return
            for one in taken:  # it is one of them; the others are kept
                await self._keep_all([one])
        except BaseException as error:
            _fail(taken, error if isinstance(error, Exception) else ConnectionError("the server is going down"))
            if not isinstance(error, Exception):
                raise
        else:
            found = {row[:3]: Kept(row["webhook_id"], row["times_seen"]) for row in rows}
            for delivery, kept in taken:
                if not kept.done():
                    kept.set_result(found[delivery[:3]])


def _fail(taken: list[tuple[Delivery, asyncio.Future[Kept]]], error: Exception) -> None:
    for _, kept in taken:
        if not kept.done():
            kept.set_exception(error)
