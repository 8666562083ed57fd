"""The recorder role: `await run(settings)`."""

from __future__ import annotations

import asyncio
import signal

from tracker.metrics.common import PoolUse, add_process
from tracker.metrics.monitor import Monitor, listening
from tracker.metrics.readiness import store_problems
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
    recorder = Recorder(settings, pool, client, database_url=url)
    registry = recorder.metrics.registry
    add_process(registry, "recorder")
    registry.register(PoolUse(pool))
    monitor = Monitor(registry, lambda: store_problems(pool, client))
    try:
        async with listening(monitor, "recorder", settings.metrics_host, settings.recorder_port):
            await recorder.run(stop)
    finally:
        await valkey.close(client)
        await pool.close()
