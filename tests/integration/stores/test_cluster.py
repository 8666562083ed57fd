"""The client of a cluster: keys at their master, followed when they move, trouble told in the words everybody takes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import MovedError

from loadtests.cluster.servers import ValkeyCluster
from tracker.clicklog import log_key
from tracker.stores import cluster as clusters
from tracker.stores import valkey
from tracker.stores.cluster import Cluster

KEYS = [log_key(shard) for shard in range(8)]
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ValkeyCluster]:
    """Two masters with a replica each."""
    made = ValkeyCluster(tmp_path_factory.mktemp("cluster"), masters=2)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def client(servers: ValkeyCluster) -> AsyncIterator[Cluster]:
    """What recorder, worker and api use; each question is asked once."""
    made = valkey.connect(servers.url)
    assert isinstance(made, Cluster)
    yield made
    await valkey.close(made)


def _port(server: valkey.Client) -> int:
    return int(server.connection_pool.connection_kwargs["port"])


async def _has(server: valkey.Client, key: str) -> bool:
    try:
        await server.get(key)
    except MovedError:
        return False
    return True


async def test_each_key_has_the_client_of_its_master(servers: ValkeyCluster, client: Cluster) -> None:
    ports = set()
    for key in KEYS:
        server = await client.server_of(key)
        assert _port(server) == (await servers.master_of(key)).port
        assert server is await client.server_of(key), "one client a server"
        await server.set(key, "there")
        assert await client.get(key) == b"there"
        ports.add(_port(server))
    assert len(ports) == 2


async def test_a_key_that_moved_is_followed_once_its_server_is_doubted(
    servers: ValkeyCluster, client: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "LOOK_SECONDS", 0.0)
    key = KEYS[0]
    before = await client.server_of(key)
    await before.set(key, "moves")
    here = await servers.master_of(key)
    target = next(each for each in [await servers.master_of(other) for other in KEYS] if each is not here)
    assert await servers.move([key], target) == 1
    assert await client.server_of(key) is before, "nobody has said anything yet"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await _has(before, key):
            await asyncio.sleep(0.02)
        while _port(after := await client.server_of(key)) != target.port:
            valkey.doubt(client)  # type: ignore[arg-type, unused-ignore]
            await asyncio.sleep(0.02)
    assert await after.get(key) == b"moves"
    assert await client.get(key) == b"moves"


async def test_a_message_reaches_subscribers_at_every_node(servers: ValkeyCluster, client: Cluster) -> None:
    await client.initialize()
    subscribers = [client.pubsub() for _ in servers.servers]
    for each in subscribers:
        await each.subscribe("cb:test")
    async with asyncio.timeout(PATIENCE_SECONDS):
        for each in subscribers:
            while (await each.get_message(timeout=None))["type"] != "subscribe":
                pass
        await client.publish("cb:test", "hello")
        for each in subscribers:
            assert (await each.get_message(timeout=None))["data"] == b"hello"
    assert len({each.connection.port for each in subscribers}) == len(client.get_nodes()) > 1, "they take turns"
    for each in subscribers:
        await each.aclose()


async def test_no_node_that_answers_is_a_server_that_is_away() -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        client = valkey.connect(f"redis-cluster://127.0.0.1:{closed.getsockname()[1]}")
        for attempt in (client.get("key"), valkey.server_of(client, "key")):
            with pytest.raises(AwayError, match="no node of the cluster answers"):
                await attempt
        await valkey.close(client)


async def test_a_shard_without_master_stops_no_other(servers: ValkeyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Last: it kills a master and its replica."""
    monkeypatch.setattr(clusters, "LOOK_SECONDS", 0.0)
    client = valkey.connect(servers.url, socket_timeout=0.5)
    dead = await servers.master_of(KEYS[1])
    other = [key for key in KEYS if await servers.master_of(key) is not dead][0]  # noqa: RUF015
    await (await valkey.server_of(client, KEYS[1])).set(KEYS[1], "there")
    (await servers.replica_of(dead)).kill()
    dead.kill()
    with pytest.raises((AwayError, OSError)):
        await (await valkey.server_of(client, KEYS[1])).get(KEYS[1])
    valkey.doubt(client)
    server = await valkey.server_of(client, other)
    await server.set(other, "still there")
    assert await server.get(other) == b"still there"
    await valkey.close(client)
