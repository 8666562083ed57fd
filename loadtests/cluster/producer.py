"""Clicks straight into the click log, on every shard, as an edge writes them: kept and replayed when they are not confirmed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field

import msgspec

from tracker.clicklog import Visit, log_key
from tracker.edge.ulids import UlidSource
from tracker.stores import valkey

BUDGET = 0.5  # seconds an append may take
BATCH = 8
AWAY = (valkey.RedisError, OSError, TimeoutError)


@dataclass
class Produced:
    """Ids by what was done with them. `confirmed`: the master said yes. `kept`: it did not, and they were replayed."""

    confirmed: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    longest_gap: dict[int, float] = field(default_factory=dict)  # shard -> seconds without a confirmation


class Producer:
    """Appends `rate` clicks a second, spread over `shards`. `replicas`: copies WAITed for before an append is confirmed."""

    def __init__(self, url: str, shards: int, rate: float, replicas: int, seed: int) -> None:
        self._url = url
        self._shards = shards
        self._rate = rate
        self._replicas = replicas
        self._rng = random.Random(f"producer {seed}")
        self._ids = UlidSource()
        self._spill: deque[tuple[int, str, bytes]] = deque()
        self.produced = Produced()

    async def run(self, stop: asyncio.Event) -> Produced:
        """Produce until `stop`, then replay what was kept."""
        client = valkey.connect(self._url, socket_timeout=BUDGET, socket_connect_timeout=BUDGET)
        try:
            async with asyncio.TaskGroup() as group:
                for shard in range(self._shards):
                    group.create_task(self._produce(client, shard, stop))
            while self._spill:
                await self._replay(client)
        finally:
            await valkey.close(client)
        return self.produced

    async def _produce(self, client: valkey.Client, shard: int, stop: asyncio.Event) -> None:
        last = time.monotonic()
        gap = 0.0
        while not stop.is_set():
            batch = [self._visit(shard) for _ in range(BATCH)]
            try:
                await self._append(client, shard, batch, spilled=False)
            except AWAY:
                valkey.doubt(client)
                self._spill.extend((shard, visit_id, body) for visit_id, body in batch)
                self.produced.kept.update(visit_id for visit_id, _ in batch)
            else:
                self.produced.confirmed.update(visit_id for visit_id, _ in batch)
                gap = max(gap, time.monotonic() - last)
                last = time.monotonic()
            self.produced.longest_gap[shard] = gap
            await asyncio.sleep(self._rng.expovariate(self._rate / self._shards / BATCH))

    def _visit(self, shard: int) -> tuple[str, bytes]:
        now_ms = time.time_ns() // 1_000_000
        visit_id = self._ids.new(now_ms)
        link = f"{shard:026d}"
        return visit_id, msgspec.msgpack.encode(Visit(visit_id, now_ms, link, f"acc_{shard}", ip="192.0.2.7"))

    async def _append(self, client: valkey.Client, shard: int, batch: list[tuple[str, bytes]], spilled: bool) -> None:
        key = log_key(shard)
        server = await valkey.server_of(client, key)
        pipe = server.pipeline(transaction=False)
        for visit_id, body in batch:
            fields = {"r": body, "k": "click", "c": visit_id, "v": visit_id, "y": "new", "m": "", "l": "none"}
            pipe.xadd(key, fields | ({"s": "1"} if spilled else {}))  # type: ignore[arg-type, unused-ignore]
        if self._replicas:
            pipe.execute_command("WAIT", self._replicas, round(BUDGET * 500))
        replies = await pipe.execute()
        if self._replicas and replies[-1] < self._replicas:
            raise TimeoutError("not copied in time")

    async def _replay(self, client: valkey.Client) -> None:
        shard, visit_id, body = self._spill[0]
        try:
            await self._append(client, shard, [(visit_id, body)], spilled=True)
        except AWAY:
            valkey.doubt(client)
            await asyncio.sleep(0.1)
        else:
            self._spill.popleft()
