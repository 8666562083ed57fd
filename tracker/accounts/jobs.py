"""The worker of account jobs: claims what is due, runs it under a lease, schedules the next run."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from tracker.accounts import messages, reconcile, session, transactions
from tracker.accounts.backoff import backoff
from tracker.accounts.work import JOBS, SQL, Account, Run, load_account, wake
from tracker.inventory import keeper
from tracker.inventory.publish import publish_if_lost
from tracker.providers.base import Job, ProviderError
from tracker.providers.registry import Providers
from tracker.secrets import SealError, Secrets
from tracker.settings import Settings
from tracker.stores.postgres import AWAY, Pool
from tracker.stores.valkey import Client, RedisError
from tracker.waiting import wait_any

__all__ = ["JOBS", "Account", "Run", "run_due", "run_jobs", "seed", "wake"]

log = structlog.get_logger()

Handler = Callable[[Run], Awaitable[float]]
HANDLERS: dict[Job, Handler] = {
    "session": session.check,
    "pools": keeper.keep,
    "reconcile": reconcile.reconcile,
    "transactions": transactions.poll,
    "messages": messages.read,
}
LEASE = 15.0  # seconds: how long the jobs of a worker that was killed wait; renewed every third of it
SEED_EVERY = 30.0
PUBLISH_CHECK_EVERY = 5.0


class LeaseLost(Exception):
    """Another worker took the job over."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A job under our lease. `state` is the handler's to change."""

    account_id: str
    job: Job
    generation: int
    failures: int
    state: dict[str, Any]
    token: str


class JobRunner:
    """Claims and runs account jobs with what this process has."""

    def __init__(self, pool: Pool, redis: Client, settings: Settings, secrets: Secrets, providers: Providers) -> None:
        self._pool = pool
        self._redis = redis
        self._settings = settings
        self._secrets = secrets
        self._providers = providers

    async def claim(self) -> Claimed | None:
        """Take one due job, None when nothing is due."""
        token = uuid.uuid4().hex
        row = await self._pool.fetchrow(SQL["claim"], LEASE, token)
        return None if row is None else Claimed(token=token, **dict(row))

    async def run(self, claimed: Claimed) -> None:
        """Run a claimed job to its end and schedule its next run, whatever happens."""
        try:
            account = await load_account(self._pool, claimed.account_id)
            if account is not None:
                await self._attempt(account, claimed)
        except AWAY as error:
            # The lease ends by itself, and the job runs again then.
            log.warning("account job could not be finished", account_id=claimed.account_id, reason=type(error).__name__)
        except asyncio.CancelledError:
            await self._pool.execute(SQL["release"], claimed.account_id, claimed.job, claimed.token)
            raise

    async def _attempt(self, account: Account, claimed: Claimed) -> None:
        try:
            next_in, problem = await self._held(account, claimed)
        except LeaseLost:
            log.warning("account job lost its lease", account_id=account.account_id, job=claimed.job)
        except ProviderError as error:
            await session.show_failure(self._pool, account, error)
            await self._failed(claimed, error)
        except (RedisError, *AWAY) as error:
            await self._failed(claimed, ProviderError("transient", f"A store is in trouble ({type(error).__name__})."))
        except Exception as error:
            # A defect in one account's job must not stop everybody's.
            log.exception("account job broke", account_id=account.account_id, job=claimed.job)
            trouble = ProviderError("ours", f"A defect in Clickbind ({type(error).__name__}); see the log.")
            await self._failed(claimed, trouble)
        else:
            await self._pool.execute(
                SQL["finish"],
                claimed.account_id,
                claimed.job,
                claimed.token,
                next_in,
                claimed.generation,
                claimed.state,
                problem[:500],
            )

    async def _held(self, account: Account, claimed: Claimed) -> tuple[float, str]:
        """Run the handler, its lease renewed meanwhile: (seconds to the next run, what a person should see)."""
        run = Run(self._pool, self._redis, self._settings, account, self._client(account), claimed.state)
        work = asyncio.ensure_future(HANDLERS[claimed.job](run))
        lease = (claimed.account_id, claimed.job, claimed.token, LEASE, claimed.generation)
        try:
            while not (await asyncio.wait([work], timeout=LEASE / 3))[0]:
                if await self._pool.fetchval(SQL["renew"], *lease) is None:
                    raise LeaseLost
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        next_in = work.result()
        if run.client.calls and claimed.job != "session":
            await session.prove(self._pool, account)
        log.debug(
            "account job done",
            account_id=account.account_id,
            job=claimed.job,
            calls=run.client.calls,
            next_in=round(next_in, 1),
        )
        return next_in, run.problem

    def _client(self, account: Account) -> Any:
        if account.api_key_sealed is None:
            raise ProviderError("auth", "No API key is set for this account.")
        try:
            key = self._secrets.open(account.api_key_sealed, f"account:{account.account_id}:api_key").decode()
        except (SealError, UnicodeDecodeError):
            raise ProviderError("auth", "The stored API key does not open; enter it again.") from None
        return self._providers.account(account.provider, account.provider_account_id, key.strip())

    async def _failed(self, claimed: Claimed, error: ProviderError) -> None:
        pause = backoff(error.kind, claimed.failures, error.retry_after, random.random())
        log.warning(
            "account job failed",
            account_id=claimed.account_id,
            job=claimed.job,
            kind=error.kind,
            reason=error.message,
            status=error.status,
            retry_in=round(pause, 1),
        )
        await self._pool.execute(
            SQL["fail"], claimed.account_id, claimed.job, claimed.token, pause, error.message[:500]
        )


async def run_due(pool: Pool, redis: Client, settings: Settings, secrets: Secrets, providers: Providers) -> int:
    """Run what is due now, one after the other; returns how many ran. For tools and tests; workers use `run_jobs`."""
    runner = JobRunner(pool, redis, settings, secrets, providers)
    ran = 0
    while (claimed := await runner.claim()) is not None:
        await runner.run(claimed)
        ran += 1
    return ran


async def run_jobs(
    pool: Pool,
    redis: Client,
    settings: Settings,
    wake: asyncio.Event,
    stop: asyncio.Event,
    secrets: Secrets,
    *,
    side_by_side: int = 8,
) -> None:
    """Run account jobs until `stop`, `side_by_side` at a time, one per account and job. `wake` says work may be due.

    On stop, running jobs are cancelled: everything they do is safe to cut off, and their leases end by themselves.
    """
    async with Providers(settings) as providers:
        runner = JobRunner(pool, redis, settings, secrets, providers)
        tasks = [
            asyncio.create_task(_dispatch(runner, settings, wake, stop, side_by_side)),
            asyncio.create_task(_repeat(partial(seed, pool), SEED_EVERY, stop)),
            asyncio.create_task(_repeat(partial(publish_if_lost, pool, redis, settings), PUBLISH_CHECK_EVERY, stop)),
        ]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def seed(pool: Pool) -> None:
    """Give every account its jobs."""
    await pool.execute(SQL["seed"], list(JOBS))


async def _dispatch(
    runner: JobRunner, settings: Settings, wake: asyncio.Event, stop: asyncio.Event, side_by_side: int
) -> None:
    running: set[asyncio.Task[None]] = set()
    freed = asyncio.Event()

    def done(task: asyncio.Task[None]) -> None:
        running.discard(task)
        freed.set()

    try:
        while not stop.is_set():
            wake.clear()
            freed.clear()
            claimed = None
            try:
                claimed = await runner.claim() if len(running) < side_by_side else None
            except AWAY as error:
                log.warning("account jobs wait for the database", reason=type(error).__name__)
            if claimed is None:
                await wait_any(settings.idle_poll, wake, stop, freed)
                continue
            task = asyncio.create_task(runner.run(claimed))
            running.add(task)
            task.add_done_callback(done)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _repeat(action: Callable[[], Awaitable[object]], seconds: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await action()
        except (RedisError, *AWAY) as error:
            log.warning("account jobs wait for a store", reason=type(error).__name__)
        await wait_any(seconds, stop)
