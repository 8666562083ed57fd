"""Can a role work? The stores it needs, each asked for two seconds at most, and the answer in words."""

from __future__ import annotations

import asyncio

from tracker.stores.postgres import AWAY, Pool
from tracker.stores.valkey import Client, RedisError

LONGEST_WAIT = 2.0  # seconds a probe waits for a store


async def store_problems(pool: Pool, redis: Client) -> list[str]:
    """One sentence per store that does not answer. Also when every connection of the pool is taken: then nothing else works."""
    found = await asyncio.gather(_postgres(pool), _valkey(redis))
    return [problem for problem in found if problem]


async def _postgres(pool: Pool) -> str:
    try:
        async with asyncio.timeout(LONGEST_WAIT):
            await pool.fetchval("SELECT 1")
    except AWAY as error:
        return f"PostgreSQL does not answer ({type(error).__name__})."
    return ""


async def _valkey(redis: Client) -> str:
    try:
        async with asyncio.timeout(LONGEST_WAIT):
            await redis.ping()
    except (OSError, TimeoutError, RedisError) as error:
        return f"Valkey does not answer ({type(error).__name__})."
    return ""
