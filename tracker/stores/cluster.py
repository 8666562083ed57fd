"""A Valkey Cluster as one client: commands go to the master of their key, and follow it when it moves.

redis-py's cluster client does the routing. What is added here: its own exceptions become the ones every caller already takes
for "Valkey is away", and `server_of` gives a plain client of one master, for who must know which server answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio as redis_async
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import RedisClusterException

from tracker.stores.connections import plain_failures
from tracker.stores.urls import ClusterUrl

LOOK_SECONDS = 0.25  # least time between two looks at the cluster's map


class Cluster(RedisCluster):  # type: ignore[misc, unused-ignore]
    """The cluster `address` names. `make` makes the plain client of one node from its host and port."""

    def __init__(
        self, address: ClusterUrl, make: Callable[[str, int], redis_async.Redis], options: dict[str, Any]
    ) -> None:
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in address.nodes],
            username=address.username or None,
            password=address.password or None,
            ssl=address.tls,
            require_full_coverage=False,  # a shard whose master is away must not stop the others
            **options,
        )
        self.connection_kwargs["connection_class"] = plain_failures(
            self.connection_kwargs.get("connection_class", Connection)
        )
        self._make = make
        self._asked = address.nodes
        self._turn = 0
        self._servers: dict[tuple[str, int], redis_async.Redis] = {}
        self._doubted = False
        self._looked_at = 0.0
        self._looking = asyncio.Lock()

    async def initialize(self, *args: Any, **kwargs: Any) -> RedisCluster:
        """Read the cluster's map when it is not known. Raises redis' ConnectionError when no node tells."""
        try:
            return await super().initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise AwayError(f"no node of the cluster answers: {error}") from error

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """As in redis-py; a shard without a master raises redis' ConnectionError."""
        try:
            return await super().execute_command(*args, **kwargs)
        except RedisClusterException as error:
            raise AwayError(str(error)) from error

    async def server_of(self, key: str) -> redis_async.Redis:
        """A client of the master that has `key`, as far as is known. Raises redis' ConnectionError when nobody has it."""
        await self.initialize()
        if self._doubted:
            await self._look()
        try:
            node = self.get_node_from_key(key)
        except RedisClusterException as error:
            self._doubted = True
            raise AwayError(f"no master has {key}: {error}") from error
        if node is None:
            self._doubted = True
            raise AwayError(f"no master has {key}")
        return self._server(node.host, int(node.port))

    def pubsub(self, **options: Any) -> Any:  # type: ignore[override, unused-ignore]
        """A subscriber at some node: every node passes every message on. After a failure the next call takes another.

        (redis-py's own subscriber needs the cluster's map before its first use, and stays with a node that is gone.)
        """
        nodes = [(node.host, int(node.port)) for node in self.get_nodes()] or self._asked
        self._turn += 1
        return self._server(*nodes[self._turn % len(nodes)]).pubsub(**options)

    def _server(self, host: str, port: int) -> redis_async.Redis:
        if (host, port) not in self._servers:
            self._servers[host, port] = self._make(host, port)
        return self._servers[host, port]

    def doubt(self) -> None:
        """A server sent us away or did not answer: look at the map before it is used again."""
        self._doubted = True

    async def _look(self) -> None:
        async with self._looking:
            if not self._doubted or time.monotonic() - self._looked_at < LOOK_SECONDS:
                return
            self._looked_at, self._doubted = time.monotonic(), False
            try:
                await self.nodes_manager.initialize()
            except RedisClusterException as error:
                self._doubted = True
                raise AwayError(f"no node of the cluster answers: {error}") from error

    async def close(self) -> None:
        """Close every connection for good. (`aclose` is what redis-py calls to look at the map anew.)"""
        for server in self._servers.values():
            await server.aclose()
        await self.aclose()
