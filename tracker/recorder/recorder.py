"""The recorder process: finds the shards, shares them with its peers, records the ones it holds."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Any

import structlog

from tracker.recorder import partitions
from tracker.recorder.geo import Geo
from tracker.recorder.locks import ShardLocks
from tracker.recorder.metrics import Metrics
from tracker.recorder.shard import ShardRecorder
from tracker.recorder.writer import QUERIES
from tracker.settings import Settings
from tracker.stores.postgres import AWAY, Pool
from tracker.stores.valkey import Client

log = structlog.get_logger()

TURN_SECONDS = 1.0  # how often shards are looked for: a dead peer's are taken over within this
TURNS = 4  # shards with batches in hand at a time: bounds memory, and one process fills no more
UPKEEP_SECONDS = 3600.0
UPKEEP_RETRY_SECONDS = 60.0
UPKEEP_HEAD_START_SECONDS = 5.0


class Recorder:
    """Records the click log's shards until `stop` is set."""

    def __init__(self, settings: Settings, pool: Pool, client: Client, *, database_url: str) -> None:
        self.metrics = Metrics()
        self._settings = settings
        self._pool = pool
        self._client = client
        self._database_url = database_url
        self._geo = Geo(settings.mmdb_path)
        self._turns = asyncio.Semaphore(TURNS)
        self._upkept = asyncio.Event()
        self._work: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = {}

    def health(self) -> dict[str, Any]:
        """Lag and last commit of every shard held; see `Metrics.health`."""
        return self.metrics.health()

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set; then finish what is begun."""
        upkeep = asyncio.create_task(self._upkeep(stop))
        try:
            # A new month's first rows should find their partition, but a table in use must not hold up the log.
            await _pause(stop, UPKEEP_HEAD_START_SECONDS, self._upkept)
            while not stop.is_set():
                try:
                    locks = await ShardLocks.open(self._database_url)
                except AWAY as error:
                    log.warning("recorder.no_locks", error=type(error).__name__)
                    await _pause(stop, TURN_SECONDS)
                    continue
                try:
                    await self._share(locks, stop)
                except AWAY as error:
                    log.warning("recorder.locks_lost", error=type(error).__name__)
                finally:
                    await self._drop(locks, drain=stop.is_set())
        finally:
            upkeep.cancel()
            await asyncio.gather(upkeep, return_exceptions=True)
            self._geo.close()

    async def _share(self, locks: ShardLocks, stop: asyncio.Event) -> None:
        """Hold our part of the shards until stopped or the locks are lost."""
        while not stop.is_set() and not locks.lost.is_set():
            for shard in [shard for shard, (_, task) in self._work.items() if task.done()]:
                self._report(shard)
                await locks.give(shard)
            watched = await self._watched()
            fair = ceil(len(watched) / max(1, await locks.recorders()))
            for shard in sorted(self._work)[fair:]:
                await self._release(shard)
                await locks.give(shard)
            for shard in watched:
                if len(self._work) >= fair or stop.is_set():
                    break
                if shard not in self._work and await locks.take(shard):
                    self._start(shard)
            self.metrics.held(set(self._work))
            await _pause(stop, TURN_SECONDS, locks.lost)

    async def _watched(self) -> list[int]:
        found = {row["shard"] for row in await self._pool.fetch(QUERIES["watched_shards"])}
        return sorted(found | set(range(self._settings.shards)))

    def _start(self, shard: int) -> None:
        stop = asyncio.Event()
        recorder = ShardRecorder(
            shard,
            self._pool,
            self._client,
            geo=self._geo,
            batch=self._settings.recorder_batch,
            metrics=self.metrics,
            stop=stop,
            turns=self._turns,
        )
        self._work[shard] = stop, asyncio.create_task(recorder.run(), name=f"shard {shard}")
        log.info("recorder.shard_taken", shard=shard)

    def _report(self, shard: int) -> None:
        # A shard's work ends by itself only by a mistake of ours: say so, and let it begin again.
        _, task = self._work.pop(shard)
        error = None if task.cancelled() else task.exception()
        log.error("recorder.shard_failed", shard=shard, error=repr(error), exc_info=error)

    async def _release(self, shard: int) -> None:
        """Finish a shard's work in hand and stop it."""
        stop, task = self._work.pop(shard)
        stop.set()
        await asyncio.gather(task, return_exceptions=True)
        log.info("recorder.shard_released", shard=shard)

    async def _drop(self, locks: ShardLocks, *, drain: bool) -> None:
        """Give all shards up: after their work in hand, or at once when they are no longer ours."""
        work, self._work = self._work, {}
        for stop, task in work.values():
            stop.set()
            if not drain:
                task.cancel()
        await asyncio.gather(*(task for _, task in work.values()), return_exceptions=True)
        self.metrics.held(set())
        await locks.close()

    async def _upkeep(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            done = await self._upkeep_once()
            self._upkept.set()
            await _pause(stop, UPKEEP_SECONDS if done else UPKEEP_RETRY_SECONDS)

    async def _upkeep_once(self) -> bool:
        """Partitions ahead of time; without them rows go to the default partitions. False: try again soon."""
        try:
            async with self._pool.acquire() as connection:
                made = await partitions.ensure(connection)
        except AWAY as error:
            log.warning("partitions.failed", error=type(error).__name__)
            return False
        if made:
            log.info("partitions.made", names=made)
        return True


async def _pause(stop: asyncio.Event, seconds: float, other: asyncio.Event | None = None) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (stop, other) if event is not None]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
