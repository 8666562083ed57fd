"""The recorder role: `await run(settings)`."""

from __future__ import annotations

import asyncio
import signal

from tracker.recorder.recorder import Recorder
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.urls import database_url, redis_url


async def run(settings: Settings) -> None:
    """Record until SIGTERM or SIGINT, then finish what is begun. Raises StoreError when PostgreSQL does not answer at start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    url = database_url(settings)
    pool = await postgres.open_pool(url, max_size=8)
    client = valkey.connect(redis_url(settings))
    try:
        await Recorder(settings, pool, client, database_url=url).run(stop)
    finally:
        await client.aclose()
        await pool.close()
