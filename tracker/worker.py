"""The worker role: platform events, account jobs, attribution and deliveries, woken by messages and by the clock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

from postbacks.configuration import DispatcherConfig
from postbacks.dispatcher import run_dispatcher
from postbacks.retry import RetryPolicy
from tracker.accounts.jobs import run_jobs
from tracker.attribution.recorded import RecordedClicks
from tracker.attribution.worker import run_attribution
from tracker.clicklog import WAKE_CHANNEL
from tracker.garbage import relax_collector
from tracker.inbox.process import Processed, run_inbox
from tracker.management.services import Services
from tracker.metrics.attempts import Attempts
from tracker.metrics.backlog import Backlog
from tracker.metrics.common import PoolUse, new_registry
from tracker.metrics.monitor import Monitor, listening
from tracker.metrics.readiness import store_problems
from tracker.protection import tombstones
from tracker.protection.keeper import run_protection
from tracker.reports.rollups import run_rollups
from tracker.rotation import adopt_hash_key
from tracker.secrets import installation_secrets
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.urls import database_url, redis_url

log = structlog.get_logger()


class Wakes:
    """One event per stage; a message on the wake channel, or an earlier stage in this process, sets it."""

    def __init__(self) -> None:
        self.webhooks = asyncio.Event()
        self.jobs = asyncio.Event()
        self.fans = asyncio.Event()
        self.deliveries = asyncio.Event()

    def set(self, name: str) -> None:
        """Wake a stage by its name in the message; unknown names wake nobody."""
        event = getattr(self, name, None)
        if isinstance(event, asyncio.Event):
            event.set()


async def run(settings: Settings) -> None:
    """Run until SIGTERM. Raises StoreError when a store does not answer at start."""
    pool = await postgres.open_pool(database_url(settings), max_size=16)
    redis = valkey.connect(redis_url(settings))
    secrets = installation_secrets(settings)
    await adopt_hash_key(pool, secrets)
    tombstones.adopt(secrets.hash_key)
    stop, wakes, recorded = asyncio.Event(), Wakes(), RecordedClicks(redis)
    registry, backlog = new_registry("worker"), Backlog(pool, redis)
    registry.register(backlog)
    registry.register(PoolUse(pool))
    attempts = Attempts(registry)
    monitor = Monitor(registry, lambda: store_problems(pool, redis), backlog.refresh)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def inbox_done(processed: Processed) -> None:
        if processed.new_events:
            wakes.fans.set()
        if processed.woke_jobs:
            wakes.jobs.set()

    stages: list[Coroutine[Any, Any, None]] = [
        listen(redis, wakes, recorded, stop),
        run_inbox(pool, settings, wake=wakes.webhooks, stop=stop, done=inbox_done),
        run_jobs(pool, redis, settings, wake=wakes.jobs, stop=stop, secrets=secrets),
        run_protection(Services(settings, pool, redis, secrets), stop=stop),
        run_attribution(
            pool,
            price_wait=settings.price_wait,
            idle_poll=settings.idle_poll,
            wake=wakes.fans,
            stop=stop,
            recorded_until=recorded.until,
            on_conversions=wakes.deliveries.set,
        ),
        run_dispatcher(
            pool,
            config=DispatcherConfig(
                timeout=settings.delivery_timeout,
                retry=RetryPolicy(schedule=settings.delivery_schedule),
                egress_allow=settings.egress_allow,
                idle_poll=settings.idle_poll,
                unseal=lambda destination_id, sealed: secrets.open(sealed, f"destination:{destination_id}"),
                base_urls=settings.service_urls,
                observe=attempts.observe,
            ),
            wake=wakes.deliveries,
            stop=stop,
        ),
        run_rollups(pool, stop=stop),
    ]
    relax_collector()
    try:
        async with (
            listening(monitor, "worker", settings.metrics_host, settings.worker_port),
            asyncio.TaskGroup() as group,
        ):
            for stage in stages:
                group.create_task(stage)
    finally:
        await redis.aclose()
        await pool.close()


async def listen(redis: valkey.Client, wakes: Wakes, recorded: RecordedClicks, stop: asyncio.Event) -> None:
    """Pass wake-up messages on. Losing the connection loses only speed: every stage also looks by itself."""
    while not stop.is_set():
        try:
            async with redis.pubsub() as channel:
                await channel.subscribe(WAKE_CHANNEL)
                while not stop.is_set():
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=0.5)
                    if message is not None:
                        wakes.set(message["data"].decode(errors="replace"))
        except (valkey.RedisError, OSError) as error:
            recorded.lost()
            log.warning("worker.wake_channel_away", error=type(error).__name__)
            try:
                await asyncio.wait_for(stop.wait(), 1.0)
            except TimeoutError:
                continue
