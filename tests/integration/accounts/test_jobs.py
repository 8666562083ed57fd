"""The job queue: leases, wakes that are not lost, pauses, and a worker that runs it all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.integration.accounts.harness import ACCOUNT, SECRETS, Bench, bench
from tracker.accounts import jobs
from tracker.accounts.jobs import JOBS, run_due, run_jobs, seed, wake
from tracker.accounts.work import Run
from tracker.providers.base import ProviderError
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SL = "01JD00000000000000000000A1"


@pytest.fixture
async def home(pool: Pool, redis: Client) -> AsyncIterator[Bench]:
    """An account with a smart link."""
    async with bench(pool, redis, settings={"idle_poll": 0.05}) as b:
        await b.smart_link(SL)
        yield b


async def run_all(b: Bench) -> int:
    """Run what is due."""
    return await run_due(b.pool, b.redis, b.settings, SECRETS, b.providers)


async def row(pool: Pool, job: str) -> asyncpg.Record:
    """A job."""
    found = await pool.fetchrow(
        "SELECT *, extract(epoch FROM due_at - now())::float8 AS due_in FROM account_jobs WHERE job = $1", job
    )
    assert found is not None
    return found


async def test_every_account_gets_its_jobs_and_they_run(pool: Pool, home: Bench) -> None:
    await seed(pool)
    await seed(pool)
    assert await run_all(home) == len(JOBS)
    for job in JOBS:
        state = await row(pool, job)
        assert (state["failures"], state["last_error"], state["lease_until"]) == (0, None, None)
        assert state["due_in"] > 10
    assert await pool.fetchval("SELECT session_state FROM accounts") == "ok"
    assert len(await home.links()) == 7
    assert await run_all(home) == 0


async def test_a_wake_during_a_run_is_not_lost(pool: Pool, home: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0

    async def handler(run: Run) -> float:
        nonlocal runs
        runs += 1
        if runs == 1:
            await wake(pool, ACCOUNT, "pools")
            assert await run_all(home) == 0, "held by us meanwhile"
        run.state["runs"] = runs
        return 3600.0

    monkeypatch.setitem(jobs.HANDLERS, "pools", handler)
    await wake(pool, ACCOUNT, "pools")
    assert await run_all(home) == 2
    state = await row(pool, "pools")
    assert state["due_in"] > 3000
    assert state["state"] == {"runs": 2}


async def test_two_workers_never_hold_one_job(pool: Pool, home: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = 0
    most = 0
    runs = 0

    async def handler(run: Run) -> float:
        nonlocal inside, most, runs
        inside, runs = inside + 1, runs + 1
        most = max(most, inside)
        if runs <= 20:
            await wake(pool, ACCOUNT, "pools")
        await asyncio.sleep(0)
        inside -= 1
        return 3600.0

    monkeypatch.setitem(jobs.HANDLERS, "pools", handler)
    await wake(pool, ACCOUNT, "pools")

    async def worker() -> None:
        while runs <= 20:
            await run_all(home)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(worker() for _ in range(4)))
    assert (most, runs > 20) == (1, True)


@pytest.mark.parametrize(
    ("error", "least", "most", "state"),
    [
        (ProviderError("throttled", "slow", retry_after=45), 45, 55, "unknown"),
        (ProviderError("throttled", "slow"), 30, 37, "unknown"),
        (ProviderError("transient", "oops"), 5, 7, "unknown"),
        (ProviderError("session", "login down"), 30, 37, "reconnecting"),
        (ProviderError("auth", "key refused"), 60, 73, "dead"),
        (RuntimeError("a defect"), 60, 73, "unknown"),
    ],
)
async def test_failures_wait_and_are_shown(
    pool: Pool, home: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception, least: float, most: float, state: str
) -> None:
    async def handler(run: Run) -> float:
        raise error

    monkeypatch.setitem(jobs.HANDLERS, "pools", handler)
    await wake(pool, ACCOUNT, "pools")
    assert await run_all(home) == 1
    failed = await row(pool, "pools")
    assert failed["failures"] == 1
    assert failed["last_error"]
    assert least - 1 < failed["due_in"] <= most
    account = await pool.fetchrow("SELECT session_state, session_message FROM accounts")
    assert account is not None
    assert account["session_state"] == state
    assert bool(account["session_message"]) == (state != "unknown")
    await wake(pool, ACCOUNT, "pools")
    assert (await row(pool, "pools"))["due_in"] > least - 2, "a wake does not turn a pause into a hot loop"
    await wake(pool, ACCOUNT, "pools", urgent=True)
    assert (await row(pool, "pools"))["due_in"] <= 0


async def test_a_crashed_worker_s_job_runs_again(pool: Pool, home: Bench) -> None:
    await wake(pool, ACCOUNT, "session")
    runner = jobs.JobRunner(pool, home.redis, home.settings, SECRETS, home.providers)
    assert await runner.claim() is not None
    assert await runner.claim() is None
    await pool.execute("UPDATE account_jobs SET lease_until = now() - interval '1 second', due_at = now()")
    assert await run_all(home) >= 1
    assert (await row(pool, "session"))["lease_until"] is None


async def test_a_missing_or_foreign_key_is_said_in_words(pool: Pool, home: Bench) -> None:
    await pool.execute("UPDATE accounts SET api_key_sealed = NULL")
    await wake(pool, ACCOUNT, "session")
    await run_all(home)
    assert await pool.fetchval("SELECT session_message FROM accounts") == "No API key is set for this account."
    await pool.execute("UPDATE accounts SET api_key_sealed = $1", SECRETS.seal(b"wrong", f"account:{ACCOUNT}:api_key"))
    await wake(pool, ACCOUNT, "session", urgent=True)
    await run_all(home)
    assert "refused the API key" in await pool.fetchval("SELECT session_message FROM accounts")
    assert "wrong" not in await pool.fetchval("SELECT last_error FROM account_jobs WHERE job = 'session'")


async def test_the_worker_survives_a_session_and_fills_pools_when_it_is_back(pool: Pool, home: Bench) -> None:
    home.platform.world.sessions.move(home.creator, "expired", notify=False)
    wake_up, stop = asyncio.Event(), asyncio.Event()
    worker = asyncio.create_task(run_jobs(pool, home.redis, home.settings, wake_up, stop, SECRETS))

    async def until(query: str, expected: Any) -> None:
        async with asyncio.timeout(30):
            while await pool.fetchval(query) != expected:
                await asyncio.sleep(0.02)

    await until("SELECT session_state FROM accounts", "reconnecting")
    await until("SELECT count(*) FROM account_jobs WHERE failures > 0 AND job IN ('pools', 'transactions')", 2)
    assert await home.links() == []
    home.platform.world.sessions.move(home.creator, "active", notify=False)
    await wake(pool, ACCOUNT, "session", urgent=True)
    wake_up.set()
    await until("SELECT count(*) FROM inventory_links WHERE state = 'ready'", 7)
    await until("SELECT session_state FROM accounts", "ok")
    stop.set()
    await asyncio.wait_for(worker, 10)
    assert await pool.fetchval("SELECT count(*) FROM account_jobs WHERE lease_until > now()") == 0
