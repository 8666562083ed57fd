"""Brings spilled clicks into the click log once Valkey is back. Ids make every replay harmless, so files are deleted last."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

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
        reaches: Callable[[int], bool],
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        """`reaches`: whether a shard's server can be used now. `on_done`: called when nothing waits for replay any more."""
        self._folder = folder
        self._spill = spill
        self._client = client
        self._reaches = reaches
        self._on_done = on_done
        self._wake = asyncio.Event()
        # Of files whose other shards wait for their servers: the shards that are told, and those that wait. Forgotten with the
        # process: telling twice is harmless.
        self._told: dict[Path, tuple[set[int], set[int]]] = {}
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
            if self._spill.active_bytes and self._may_go_on():
                await self._spill.seal()
            try:
                await self.replay_all()
                if not self._spill.active_bytes and not self._spill.writing:
                    if not self._told:
                        self._on_done()
                elif self._may_go_on():
                    self._wake.set()  # more was spilled meanwhile
            except (RedisError, OSError, NotDurable) as error:
                valkey.doubt(self._client)
                log.warning("edge.replay_postponed", error=str(error)[:200])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):  # wait_for of Python 3.11 can swallow a cancellation
                    await self._wake.wait()
            self._wake.clear()

    def _may_go_on(self) -> bool:
        """Whether any shard whose clicks are being spilled can be told of them."""
        return any(map(self._reaches, self._spill.shards))

    async def replay_all(self) -> int:
        """Replay every file nobody holds, as far as its shards can be reached. Returns how many entries went in.

        Raises the last failure of a shard (RedisError, OSError, NotDurable) after the others have been told.
        """
        total = 0
        failure: Exception | None = None
        paths = sorted(self._folder.glob("*" + SUFFIX))
        for path in self._told.keys() - set(paths):
            del self._told[path]  # another edge was done with it
        for path in paths:
            try:
                total += await self._replay_file(path)
            except (RedisError, OSError, NotDurable) as error:
                failure = error
        if failure is not None:
            raise failure
        return total

    async def _replay_file(self, path: Path) -> int:
        told, waiting = self._told.get(path, (set(), set()))
        if waiting and not any(map(self._reaches, waiting)):
            return 0
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
            passed = _Pass(self._reaches, told)
            damage = ""
            try:
                for batch in batched(read_entries(file)):
                    for shard, entries in batch.items():
                        await passed.tell(shard, len(entries), self._append(shard, entries))
                    await asyncio.sleep(0)
            except Damaged as error:
                damage = str(error)
            for shard in sorted(passed.now):
                await passed.tell(shard, 0, self._confirm(shard))
            self.replayed += passed.count
            if passed.left:
                self._told[path] = told | passed.now, passed.left
                if passed.failure is not None:
                    raise passed.failure
                return passed.count
            self._told.pop(path, None)
            if damage:
                log.error("edge.spill_damaged", file=path.name, at=damage, entries_replayed=passed.count)
                os.rename(path, path.with_suffix(DAMAGED_SUFFIX))  # noqa: PTH104
            else:
                os.unlink(path)  # noqa: PTH108
        log.info("edge.spill_replayed", file=path.name, entries=passed.count)
        return passed.count

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


class _Pass:
    """One reading of a file: who was told, and who could not be."""

    def __init__(self, reaches: Callable[[int], bool], told: set[int]) -> None:
        self._reaches = reaches
        self._told = told
        self.now: set[int] = set()
        self.left: set[int] = set()
        self.count = 0
        self.failure: Exception | None = None

    async def tell(self, shard: int, count: int, telling: Coroutine[Any, Any, None]) -> None:
        """Do `telling`, of `count` entries, unless the shard has been told before or cannot be. One that fails is left alone."""
        if shard in self._told or shard in self.left or not self._reaches(shard):
            telling.close()
            if shard not in self._told:
                self.now.discard(shard)
                self.left.add(shard)
            return
        try:
            await telling
        except (RedisError, OSError, NotDurable) as error:
            self.failure = error
            self.now.discard(shard)
            self.left.add(shard)
        else:
            self.now.add(shard)
            self.count += count


def batched(entries: Iterator[Entry]) -> Iterator[dict[int, list[Entry]]]:
    """`BATCH` entries at a time, by shard. What was read before damage comes before Damaged is raised."""
    while True:
        batch: dict[int, list[Entry]] = {}
        damage: Damaged | None = None
        count = 0
        try:
            for entry in islice(entries, BATCH):
                batch.setdefault(entry.shard, []).append(entry)
                count += 1
        except Damaged as error:
            damage = error
        yield batch
        if damage is not None:
            raise damage
        if count < BATCH:
            return
