"""Turns waiting webhooks into platform events, fan wake-ups and account job wake-ups, a batch per transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import asyncpg
import msgspec
import structlog

from tracker.accounts.facts import Fact, record
from tracker.accounts.work import SQL as JOBS_SQL
from tracker.accounts.work import wake as wake_job
from tracker.protection.tombstones import SQL as PROTECTION_SQL
from tracker.protection.tombstones import erased
from tracker.providers.readings import Reading, SessionChange, Unintelligible
from tracker.providers.registry import WEBHOOKS
from tracker.settings import Settings
from tracker.stores.postgres import AWAY, Connection, Pool
from tracker.stores.queries import load_queries
from tracker.waiting import wait_any

SQL = load_queries("tracker.inbox", "inbox.sql")
BATCH = 200
MONEY_DEBOUNCE = 30.0  # transactions.new tells most payments itself; the poll is for those it does not

log = structlog.get_logger()


class Processed(msgspec.Struct, frozen=True):
    """What a batch did: deliveries taken, new facts, and whether fans or account jobs were woken."""

    webhooks: int = 0
    new_events: int = 0
    woke_jobs: bool = False


class _Verdict(msgspec.Struct, frozen=True):
    webhook_id: int
    account_id: str
    received_at: Any
    outcome: Literal["used", "ignored", "rejected"]
    note: str | None
    reading: Reading


async def process_batch(pool: Pool, settings: Settings, limit: int = BATCH) -> Processed:
    """Process up to `limit` waiting deliveries. Any number of processors may run; each takes what others do not hold.

    A delivery that breaks the batch is found by processing one at a time, and kept as 'rejected' with the reason.
    """
    try:
        async with pool.acquire() as connection, connection.transaction():
            return await _process(connection, await connection.fetch(SQL["waiting"], limit), settings)
    except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
        return Processed(webhooks=1)  # rolled back whole; the caller comes again
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError) as error:
        log.warning("webhook batch refused by the database", reason=type(error).__name__)
        return await _one_by_one(pool, settings, limit)


async def run_inbox(
    pool: Pool,
    settings: Settings,
    wake: asyncio.Event,
    stop: asyncio.Event,
    done: Callable[[Processed], None] | None = None,
) -> None:
    """Process waiting webhooks until `stop`. `wake`: there may be new ones. `done` is called after each batch that had any."""
    while not stop.is_set():
        wake.clear()
        try:
            processed = await process_batch(pool, settings)
        except AWAY as error:
            log.warning("inbox waits for the database", reason=type(error).__name__)
            await wait_any(1.0, stop)
            continue
        if processed.webhooks:
            if done is not None:
                done(processed)
            continue
        await wait_any(settings.idle_poll, wake, stop)


async def _one_by_one(pool: Pool, settings: Settings, limit: int) -> Processed:
    total = Processed()
    for row in await pool.fetch(SQL["waiting_ids"], limit):
        webhook_id = row["webhook_id"]
        try:
            async with pool.acquire() as connection, connection.transaction():
                one = await _process(connection, await connection.fetch(SQL["waiting_one"], webhook_id), settings)
        except (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.ProgramLimitExceededError,
        ) as error:
            note = f"the database refused it ({type(error).__name__})"
            await pool.execute(SQL["finish"], [webhook_id], ["rejected"], [note])
            one = Processed(webhooks=1)
        total = Processed(
            total.webhooks + one.webhooks, total.new_events + one.new_events, total.woke_jobs or one.woke_jobs
        )
    return total


async def _process(connection: Connection, rows: list[asyncpg.Record], settings: Settings) -> Processed:
    if not rows:
        return Processed()
    verdicts = [await _judge(connection, row) for row in rows]
    facts = [Fact(verdict.account_id, event, "webhook") for verdict in verdicts for event in verdict.reading.events]
    new = await record(connection, facts)
    gone = await erased(connection, ((fact.account_id, fact.event.fan_id) for fact in facts))
    about = [
        verdict.webhook_id for verdict in verdicts
        if any((verdict.account_id, event.fan_id) in gone for event in verdict.reading.events)
    ]  # fmt: skip
    wakes = _wakes(verdicts, new)
    for account_id, job in sorted(wakes):
        debounce, urgent = wakes[account_id, job]
        # The order of accounts and jobs is the same for every processor, so they cannot deadlock.
        await wake_job(connection, account_id, job, _delay(job, debounce, settings), urgent=urgent)  # type: ignore[arg-type]
    for verdict in sorted(verdicts, key=lambda verdict: verdict.account_id):
        if verdict.reading.session is not None:
            await _tell_session(connection, verdict, verdict.reading.session)
    await connection.execute(
        SQL["finish"],
        [verdict.webhook_id for verdict in verdicts],
        [verdict.outcome for verdict in verdicts],
        [verdict.note for verdict in verdicts],
    )
    if about:
        await connection.execute(PROTECTION_SQL["empty_webhook"], about)
    return Processed(len(rows), len(new), bool(wakes))


async def _judge(connection: Connection, row: asyncpg.Record) -> _Verdict:
    account_id, creator_id = row["account_id"], row["platform_user_id"]
    try:
        reader = WEBHOOKS[row["provider"]]
        named = reader.envelope(row["body"])[1]
        if named and named not in (row["provider_account_id"], creator_id):
            # A team-wide webhook brings every account's events to one address.
            sibling = await connection.fetchrow(SQL["sibling"], row["team_id"], row["provider"], named)
            if sibling is None:
                note = f"about {named}, which is not connected here"
                return _Verdict(row["webhook_id"], account_id, row["received_at"], "ignored", note, Reading())
            account_id, creator_id = sibling["account_id"], sibling["platform_user_id"]
        reading = reader.read(row["body"], creator_id)
    except Unintelligible as error:
        reading = Reading(rejected=True, note=str(error))
    except Exception as error:
        # Whatever a stranger's payload does to the reader, it concerns this delivery alone.
        log.exception("webhook could not be read", webhook_id=row["webhook_id"])
        reading = Reading(rejected=True, note=f"reading it failed ({type(error).__name__})")
    used = bool(reading.events or reading.wakes or reading.session)
    outcome: Literal["used", "ignored", "rejected"] = "rejected" if reading.rejected else "used" if used else "ignored"
    return _Verdict(row["webhook_id"], account_id, row["received_at"], outcome, reading.note or None, reading)


def _wakes(verdicts: list[_Verdict], new: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[bool, bool]]:
    """(account, job) -> (debounce, urgent). A delivery that told nothing new wakes nobody: a copy costs no credits."""
    wanted: dict[tuple[str, str], tuple[bool, bool]] = {}
    for verdict in verdicts:
        events = verdict.reading.events
        if events and not any((verdict.account_id, event.event_key) in new for event in events):
            continue
        for wake in verdict.reading.wakes:
            key = (verdict.account_id, wake.job)
            debounce, urgent = wanted.get(key, (True, False))
            wanted[key] = (debounce and wake.debounce, urgent or wake.urgent)
    return wanted


def _delay(job: str, debounce: bool, settings: Settings) -> float:
    if not debounce:
        return 0.0
    return settings.reconcile_debounce if job == "reconcile" else min(MONEY_DEBOUNCE, settings.transactions_poll / 4)


async def _tell_session(connection: Connection, verdict: _Verdict, change: SessionChange) -> None:
    at = change.at or verdict.received_at
    known = await connection.fetchval(JOBS_SQL["session_told"], verdict.account_id, change.state, change.message, at)
    log.info("account session told", account_id=verdict.account_id, state=change.state, believed=known is not None)
