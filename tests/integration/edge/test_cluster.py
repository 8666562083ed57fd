"""The edge on a Valkey Cluster: each shard's clicks at its master, through a failover and a moved slot."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.crc import key_slot

from loadtests.cluster.servers import ValkeyCluster
from tests.integration.edge.conftest import ACCOUNT, PROFILE, RESERVE, SECRET, Clock, World, decode_entry
from tests.integration.edge.test_degraded import until
from tracker.clicklog import LINKS_CHANNEL, LINKS_KEY, EdgeLink, log_key, pool_key, pool_member
from tracker.edge.server import Service
from tracker.settings import Settings
from tracker.stores import valkey

SHARDS = 6


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ValkeyCluster]:
    """Three masters with a replica each, for all tests here: the last one kills one of them."""
    made = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def world(cluster: ValkeyCluster, tmp_path: Path) -> AsyncIterator[World]:
    """An edge with a link and a pool on every shard."""
    settings = Settings(
        data_dir=str(tmp_path / "edge"), redis_url=cluster.url, secret_key=SECRET, claim_timeout_ms=500,
        public_url="https://go.example.com",
    )  # fmt: skip
    client: Any = valkey.connect(cluster.url)
    await cluster.whole()
    for shard in range(SHARDS):
        await client.hset(LINKS_KEY, _link(shard), msgspec.msgpack.encode(_record(shard)))
        members = {pool_member(n, f"https://onlyfans.com/s{shard}/c{n}"): 0 for n in range(1, 400)}
        await client.zadd(pool_key(shard, ACCOUNT, "tracking"), members)
    service = Service(settings, clock := Clock())
    await service.start()
    made = World(service, client, clock, settings)
    await until(lambda: _is_well(made))
    yield made
    await service.stop()
    await valkey.close(client)


def _link(shard: int) -> str:
    return f"01K5AAAAAAAAAAAAAAAAAAAAA{shard}"


def _record(shard: int, state: str = "active") -> EdgeLink:
    return EdgeLink(_link(shard), ACCOUNT, shard, "tracking", 21_600_000, state, PROFILE, RESERVE)


async def _is_well(world: World) -> bool:
    return world.service.pipeline.up and not list(world.settings.spill_path.glob("*.spill"))


async def _logged(world: World) -> dict[str, list[Any]]:
    """Log entries of all shards by ecid."""
    found: dict[str, list[Any]] = {}
    for shard in range(SHARDS):
        for _, fields in await world.redis.xrange(log_key(shard)):
            entry = decode_entry(fields)
            assert entry.visit.smart_link_id == _link(shard)
            found.setdefault(entry.visit.ecid, []).append(entry)
    return found


class Fans:
    """Clicks on all shards until told to stop; every answer must be a redirect."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name.encode()
        self._stop = asyncio.Event()
        self.answered: Counter[int] = Counter()
        self._tasks = [asyncio.create_task(self._click(shard)) for shard in range(SHARDS)]

    async def _click(self, shard: int) -> None:
        while not self._stop.is_set():
            number = self.answered[shard]
            answer = await self._world.request(f"/go/{_link(shard)}", b"ecid=%b-%d-%d" % (self._name, shard, number))
            assert answer.status == 302
            self.answered[shard] += 1
            await asyncio.sleep(0.005)

    async def more(self, count: int) -> None:
        """Until every shard has had `count` more."""
        aims = {shard: self.answered[shard] + count for shard in range(SHARDS)}

        async def done() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return all(self.answered[shard] >= aim for shard, aim in aims.items())

        await until(done)

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)


async def test_clicks_go_to_the_master_of_their_shard_and_follow_a_moved_slot(
    cluster: ValkeyCluster, world: World
) -> None:
    assert len({(await cluster.master_of(log_key(shard))).port for shard in range(SHARDS)}) > 1
    fans = Fans(world, "move")
    await fans.more(20)
    assert not any(entry.spilled for entries in (await _logged(world)).values() for entry in entries)
    source = await cluster.master_of(log_key(0))
    target = next(server for server in cluster.servers[:3] if server is not source)
    await cluster.move([log_key(0)], target)
    await fans.more(40)
    await fans.stop()
    await until(lambda: _is_well(world))
    logged = await _logged(world)
    for shard in range(SHARDS):
        for number in range(fans.answered[shard]):
            assert len({entry.click for entry in logged[f"move-{shard}-{number}"]}) == 1
        assert not logged[f"move-{shard}-{fans.answered[shard] - 1}"][0].spilled
    await cluster.move([log_key(0)], source)


async def test_clicks_on_a_slot_that_is_moved_key_by_key_are_kept_and_come_into_the_log(
    cluster: ValkeyCluster, world: World
) -> None:
    source = await cluster.master_of(log_key(1))
    target = next(server for server in cluster.servers[:3] if server is not source)
    slot = key_slot(log_key(1).encode())
    source_id, target_id = await source.node_id(), await target.node_id()
    fans = Fans(world, "ask")
    await fans.more(5)
    await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    await fans.more(20)  # ASK and TRYAGAIN: neither of the two may make a record
    assert list(world.settings.spill_path.glob("*.spill"))
    while keys := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
        await source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
    await fans.more(20)
    for server in (target, source):
        await server.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    await fans.more(20)
    await fans.stop()
    await until(lambda: _is_well(world))
    logged = await _logged(world)
    for shard in range(SHARDS):
        for number in range(fans.answered[shard]):
            assert len({entry.click for entry in logged[f"ask-{shard}-{number}"]}) == 1
    assert any(logged[f"ask-1-{number}"][0].spilled for number in range(fans.answered[1]))
    assert not any(logged[f"ask-{shard}-0"][0].spilled for shard in range(SHARDS))
    await cluster.move([log_key(1)], source)


async def test_a_changed_link_is_heard_of(cluster: ValkeyCluster, world: World) -> None:
    async def is_heard() -> bool:
        # Told again until heard: the subscription may be on its way still.
        await world.redis.hset(LINKS_KEY, _link(2), msgspec.msgpack.encode(_record(2, "paused")))
        server = await valkey.server_of(world.redis, LINKS_KEY)
        await server.publish(LINKS_CHANNEL, _link(2))
        return (await world.request(f"/go/{_link(2)}")).status == 410

    await until(is_heard)


async def test_a_failover_degrades_the_dead_masters_shards_only_and_then_heals(
    cluster: ValkeyCluster, world: World
) -> None:
    dying = await cluster.master_of(log_key(0))
    hit = {shard for shard in range(SHARDS) if await cluster.master_of(log_key(shard)) is dying}
    assert hit != set(range(SHARDS))
    fans = Fans(world, "fail")
    await fans.more(20)
    failover = asyncio.create_task(cluster.fail_over(log_key(0)))

    async def is_named() -> bool:
        ready = await world.request("/health/ready")
        assert ready.status == 200
        return b"ok, degraded: " in ready.body and b"127.0.0.1:%d: " % dying.port in ready.body

    await until(is_named)
    await failover
    await until(lambda: _is_well(world))
    healed = dict(fans.answered)
    await fans.more(20)
    await fans.stop()
    await until(lambda: _is_well(world))

    logged = await _logged(world)
    missing = 0
    for shard in range(SHARDS):
        for number in range(fans.answered[shard]):
            entries = logged.get(f"fail-{shard}-{number}", [])
            assert len({entry.click for entry in entries}) <= 1
            if shard not in hit:
                assert len(entries) == 1, "a shard whose master lives loses and spills nothing"
                assert not entries[0].spilled
            elif number >= healed[shard]:
                assert not entries[0].spilled
            missing += not entries
    assert any(entry.spilled for entries in logged.values() for entry in entries)
    # What the dead master had confirmed and not yet copied is gone with it: replication is asynchronous (decision 0011).
    assert missing <= 2 * len(hit)
