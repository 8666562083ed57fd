"""A connection lost in the middle of anything is a lost connection, on every event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tracker.stores import valkey
from tracker.stores.embedded import DataFolder

RUNS: list[Callable[[Coroutine[Any, Any, None]], None]] = [asyncio.run, uvloop.run]


async def ping(connection: Any) -> None:
    """Ask over this very connection."""
    await connection.send_packed_command([b"*1\r\n$4\r\nPING\r\n"])
    await connection.read_response()


@pytest.mark.parametrize("run", RUNS)
def test_a_connection_that_was_reset_before_a_write(store_folder: DataFolder, run: Any) -> None:
    async def lose() -> None:
        client: Any = valkey.connect(store_folder.redis_url, retry=Retry(NoBackoff(), 0))
        connection = await client.connection_pool.get_connection()
        connection._writer.transport.abort()
        with pytest.raises(valkey.RedisError):
            await ping(connection)
        await client.connection_pool.release(connection)
        assert await client.ping()
        await client.aclose()

    run(lose())
