"""The attribution worker: takes fans whose events or clicks changed, folds, stores. Any number may run at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from tracker.attribution import evidence
from tracker.attribution.credits import store
from tracker.attribution.evidence import SQL, Evidence, FanKey, RecordedUntil
from tracker.attribution.facts import Click, Folded
from tracker.attribution.fold import choose, fold
from tracker.stores.postgres import AWAY, Connection, Pool
from tracker.waiting import wait_any

log = structlog.get_logger()

BATCH = 128
RETRY_AFTER = timedelta(seconds=60)
# What one fan's rows can make the fold or its tables raise.
BAD_DATA = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)
LOOK_AGAIN = 150  # ms until a fan whose clicks are being recorded is looked at again


async def run_attribution(
    pool: Pool,
    *,
    price_wait: float,
    idle_poll: float,
    wake: asyncio.Event,
    stop: asyncio.Event,
    recorded_until: RecordedUntil | None = None,
    on_conversions: Callable[[], None] = lambda: None,
) -> None:
    """Fold due fans until `stop`. `wake` says fans are due; `on_conversions` is called when deliveries were written."""
    while not stop.is_set():
        wake.clear()
        try:
            taken, new = await fold_due(pool, price_wait=price_wait, recorded_until=recorded_until)
        except AWAY as error:
            log.warning("attribution.store_away", error=str(error))
            taken, new = 0, []
            await asyncio.sleep(1)
        if new:
            on_conversions()
        if taken < BATCH:
            # A fan put off for its clicks is due again in a moment.
            await wait_any(min(idle_poll, LOOK_AGAIN / 1000) if taken else idle_poll, wake, stop)


async def fold_due(
    pool: Pool, *, price_wait: float, batch: int = BATCH, recorded_until: RecordedUntil | None = None
) -> tuple[int, list[str]]:
    """Fold up to `batch` due fans in one transaction. Returns how many were taken and the new conversion ids.

    With `recorded_until`, fans whose newest event is later than the recorded clicks are put off for a moment.
    """
    try:
        async with pool.acquire() as connection, connection.transaction():
            fans = [(row["account_id"], row["fan_id"]) for row in await connection.fetch(SQL["take_fans"], batch)]
            if not fans:
                return 0, []
            return len(fans), await _fold(connection, fans, price_wait, recorded_until)
    except BAD_DATA as error:
        # One fan's data must not hold up the others: take them one by one and set the bad one aside for a minute.
        log.error("attribution.batch_failed", error=repr(error))
        return await _fold_singly(pool, fans, price_wait, recorded_until)


async def _fold_singly(
    pool: Pool, fans: Sequence[FanKey], price_wait: float, recorded_until: RecordedUntil | None
) -> tuple[int, list[str]]:
    new: list[str] = []
    for account_id, fan_id in fans:
        try:
            async with pool.acquire() as connection, connection.transaction():
                if await connection.fetch(SQL["take_fan"], account_id, fan_id):
                    new += await _fold(connection, [(account_id, fan_id)], price_wait, recorded_until)
        except BAD_DATA:
            log.exception("attribution.fan_failed", account_id=account_id, fan_id=fan_id)
            later = datetime.now(UTC) + RETRY_AFTER
            await pool.execute(SQL["postpone_fans"], [account_id], [fan_id], [later])
    return len(fans), new


async def _fold(
    connection: Connection, fans: Sequence[FanKey], price_wait: float, recorded_until: RecordedUntil | None
) -> list[str]:
    found = await evidence.load(connection, fans, recorded_until)
    folds = await _folds(connection, found, round(price_wait * 1000))
    now_ms = round(time.time() * 1000)
    new = await store(connection, folds, found.accounts, now_ms)
    await connection.execute(SQL["finish_fans"], [fan[0] for fan in fans], [fan[1] for fan in fans])
    releases = {fan: folded.next_release(now_ms) for fan, folded in folds.items()}
    held = [(*fan, evidence.from_ms(at)) for fan, at in sorted(releases.items()) if at is not None]
    held += [(*fan, evidence.from_ms(now_ms + LOOK_AGAIN)) for fan in found.waiting]
    if held:
        await connection.execute(SQL["postpone_fans"], *(list(column) for column in zip(*held, strict=True)))
    for conversion_id in new:
        log.info("conversion.stored", conversion_id=conversion_id)
    return new


async def _folds(connection: Connection, found: Evidence, price_wait: int) -> dict[FanKey, Folded]:
    credits_of = {fan: choose(events, found.leases) for fan, events in found.events.items()}
    visitors = [
        (fan[0], credit.click.visitor)
        for fan, chosen in credits_of.items()
        for credit in chosen
        if credit.click is not None
    ]
    visits: dict[str, dict[str, list[Click]]] = {account_id: {} for account_id in found.accounts}
    for (account_id, visitor), clicks in (await evidence.load_visitors(connection, visitors)).items():
        visits[account_id][visitor] = clicks
    return {
        fan: fold(
            events,
            credits_of[fan],
            visits[fan[0]],
            price_wait=price_wait,
            free_page=found.accounts[fan[0]].free_page,
        )
        for fan, events in found.events.items()
    }
