"""Brings spilled clicks into the click log once Valkey is back. Ids make every replay harmless, so files are deleted last."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import structlog
from redis.exceptions import RedisError, ResponseError

from tracker.clicklog import log_key
from tracker.edge.claim import AFTER_WINDOW_MS, Entry, log_fields
from tracker.edge.spill import DAMAGED_SUFFIX, SUFFIX, Damaged, Spill, read_entries
from tracker.stores import valkey

log = structlog.get_logger()

BATCH = 500
LOOK_SECONDS = 5.0  # between looks for files that processes left when they died
FSYNC_WAIT_MS = 5000


class NotDurable(Exception):
    """Valkey took entries but did not confirm that they are on its disk."""


class Replayer:
    """Watches the spill folder. Run one per edge; two edges never replay one file, because each file is locked."""

    def __init__(
        self,
        folder: Path,
        spill: Spill,
        client: valkey.Client,
        is_up: Callable[[], bool],
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._spill = spill
        self._client = client
        self._is_up = is_up
        self._on_done = on_done
        self._wake = asyncio.Event()
        self.replayed = 0

    def wake(self) -> None:
        """Look now: Valkey is back."""
        self._wake.set()

    def waiting_bytes(self) -> int:
        """Size of all spill files in the folder, others' included."""
        return sum(path.stat().st_size for path in self._folder.glob("*" + SUFFIX) if path.exists())

    async def run(self) -> None:
        """Replay until cancelled."""
        while True:
            if self._is_up():
                if self._spill.active_bytes:
                    await self._spill.seal()
                try:
                    await self.replay_all()
                    if not self._spill.active_bytes and not self._spill.writing:
                        self._on_done()
                    else:
                        self._wake.set()  # more was spilled meanwhile
                except (RedisError, OSError, NotDurable) as error:
                    valkey.doubt(self._client)
                    log.warning("edge.replay_postponed", error=str(error)[:200])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):  # wait_for of Python 3.11 can swallow a cancellation
                    await self._wake.wait()
            self._wake.clear()

    async def replay_all(self) -> int:
        """Replay every file nobody holds. Returns how many entries went in. Raises RedisError, OSError, NotDurable."""
        total = 0
        for path in sorted(self._folder.glob("*" + SUFFIX)):
            total += await self._replay_file(path)
        return total

    async def _replay_file(self, path: Path) -> int:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return 0
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            if os.fstat(file.fileno()).st_nlink == 0:
                return 0  # another edge was done with it between our look and our lock
            count = 0
            damage = ""
            shards: set[int] = set()
            entries = read_entries(file)
            while True:
                batch: list[Entry] = []
                try:
                    for entry in islice(entries, BATCH):
                        batch.append(entry)
                except Damaged as error:
                    damage = str(error)
                for shard in sorted({entry.shard for entry in batch}):
                    await self._append(shard, [entry for entry in batch if entry.shard == shard])
                    shards.add(shard)
                count += len(batch)
                if len(batch) < BATCH:
                    break
            for shard in sorted(shards):
                await self._confirm(shard)
            if damage:
                log.error("edge.spill_damaged", file=path.name, at=damage, entries_replayed=count)
                os.rename(path, path.with_suffix(DAMAGED_SUFFIX))  # noqa: PTH104
            else:
                os.unlink(path)  # noqa: PTH108
        self.replayed += count
        log.info("edge.spill_replayed", file=path.name, entries=count)
        return count

    async def _append(self, shard: int, batch: list[Entry]) -> None:
        pipe = (await valkey.server_of(self._client, log_key(shard))).pipeline(transaction=False)
        for entry in batch:
            pipe.execute_command("XADD", log_key(shard), "*", *log_fields(entry, spilled=True))
            remaining = entry.lease_end - AFTER_WINDOW_MS - time.time_ns() // 1_000_000
            if entry.by_visitor and remaining > 0:
                pipe.set(entry.by_visitor, entry.record, px=remaining)
                pipe.set(entry.by_fingerprint, entry.record, px=remaining)
                if entry.lease in ("exclusive", "shared"):
                    pipe.zadd(entry.pool, {entry.member: entry.lease_end}, xx=True, gt=True)
        await pipe.execute()

    async def _confirm(self, shard: int) -> None:
        # Under `appendfsync always` the replies came after the fsync already; under everysec this waits for it.
        try:
            server = await valkey.server_of(self._client, log_key(shard))
            local, _ = await server.waitaof(1, 0, FSYNC_WAIT_MS)
        except ResponseError as error:
            log.warning("edge.replay_unconfirmed", error=str(error)[:120])  # no append-only file: the operator's choice
            return
        if not local:
            raise NotDurable("Valkey did not confirm its fsync in time")
