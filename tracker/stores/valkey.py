"""Valkey/Redis clients of the background roles; the click path has connections of its own (`tracker/edge/wire.py`)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import redis.asyncio as redis_async
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from tracker.stores.cluster import Cluster
from tracker.stores.connections import plain_failures
from tracker.stores.errors import StoreError
from tracker.stores.urls import cluster_url

RedisError = redis.exceptions.RedisError
Client = redis_async.Redis


def connect(url: str, **options: Any) -> Client:
    """A client for recorder, worker and api: bytes in and out, 5 s timeouts, two quick retries of connecting."""
    defaults: dict[str, Any] = {
        "socket_timeout": 5.0,
        "socket_connect_timeout": 5.0,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    }
    address = cluster_url(url)
    if address is None:
        return _plain(redis_async.from_url(url, **(defaults | options)))  # type: ignore[no-untyped-call,unused-ignore]
    signed_in: dict[str, Any] = {
        "username": address.username or None,
        "password": address.password or None,
        "ssl": address.tls,
    }

    def of_node(host: str, port: int) -> Client:
        return _plain(Client(host=host, port=port, **signed_in, **(defaults | options)))

    return Cluster(address, of_node, defaults | options)  # type: ignore[return-value]


def _plain(client: Client) -> Client:
    pool = client.connection_pool
    pool.connection_class = plain_failures(pool.connection_class)
    return client


async def server_of(client: Client, key: str) -> Client:
    """A client of the one server that has `key`: `client` itself unless it is a cluster's. Raises RedisError."""
    return await client.server_of(key) if isinstance(client, Cluster) else client


def doubt(client: Client) -> None:
    """The server `server_of` gave failed or sent us away: perhaps another has the key by now."""
    if isinstance(client, Cluster):
        client.doubt()


async def close(client: Client) -> None:
    """Close every connection of a client."""
    if isinstance(client, Cluster):
        await client.close()
    else:
        await client.aclose()


async def wait_ready(client: Client, seconds: float = 15.0) -> None:
    """Wait until the server answers PING and has loaded its data. Raises StoreError with what to check."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await client.ping()
        except (RedisError, OSError) as error:
            if time.monotonic() > deadline:
                raise StoreError(f"Valkey does not answer: {error}. Is it running where REDIS_URL points?") from error
            await asyncio.sleep(0.1)
        else:
            return
