"""The worker's part of data protection: one process of the installation at a time."""

from __future__ import annotations

import asyncio
import time

import structlog

from tracker.management.services import Services
from tracker.protection.erasure import sweep_due
from tracker.protection.retention import anonymise, retain
from tracker.secrets import SealError
from tracker.stores.postgres import AWAY, locked
from tracker.waiting import wait_any

log = structlog.get_logger()

KEEPER_LOCK = 0x436C626B  # "Clbk"
LOOK = 60.0  # seconds between looks for erasures to go over again
HOUR, DAY = 3600.0, 86400.0


async def run_protection(services: Services, *, stop: asyncio.Event) -> None:
    """Erase what came late each minute, anonymise each hour, drop what is old each day. Until `stop`."""
    hour = day = 0.0
    while not stop.is_set():
        now = time.monotonic()
        try:
            if await keep(services, hourly=now >= hour, daily=now >= day):
                hour = now + HOUR if now >= hour else hour
                day = now + DAY if now >= day else day
        except AWAY as error:
            log.warning("protection.store_away", error=type(error).__name__)
        except SealError as error:
            log.error("protection.erasure_not_opened", reason=str(error))
        await wait_any(LOOK, stop)


async def keep(services: Services, *, hourly: bool, daily: bool) -> bool:
    """One look; False when another process is at it. Raises what the stores raise, SealError."""
    async with services.pool.acquire() as connection, locked(connection, KEEPER_LOCK) as held:
        if held:
            await sweep_due(services)
            if hourly:
                await anonymise(services.pool, services.settings)
            if daily:
                await retain(services.pool, services.settings)
    return held
