"""A session's advisory lock ends with its block, whatever happens: connections are not reset between uses."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tracker.stores.postgres import Pool, locked

KEY = 1234
LEFT = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $1)"


async def gone(pool: Pool) -> bool:
    """Whether nobody holds the lock any more, within ten seconds: a closed connection's goes when the server notices."""
    async with asyncio.timeout(10):
        while await pool.fetchval(LEFT, KEY):
            await asyncio.sleep(0.02)
    return True


async def test_one_session_at_a_time(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other, locked(one, KEY) as held:
        assert held
        async with locked(other, KEY) as too:
            assert not too
        assert await pool.fetchval(LEFT, KEY)
    assert not await pool.fetchval(LEFT, KEY)


async def test_who_waits_gets_it(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        async with locked(one, KEY):
            waiting = asyncio.create_task(locked(other, KEY, wait=True).__aenter__())
            await asyncio.sleep(0.05)
            assert not waiting.done()
        assert await waiting


async def test_it_is_given_back_when_the_block_fails(pool: Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(ZeroDivisionError):
            async with locked(connection, KEY):
                raise ZeroDivisionError
        assert not await pool.fetchval(LEFT, KEY)
        assert await connection.fetchval("SELECT 1") == 1


async def test_it_is_given_back_when_giving_it_back_is_cancelled(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cancelled(*_args: Any, **_options: Any) -> str:
        raise asyncio.CancelledError

    async def lock() -> None:
        async with pool.acquire() as connection, locked(connection, KEY):
            monkeypatch.setattr(asyncpg.Connection, "execute", cancelled)

    with pytest.raises(asyncio.CancelledError):
        await lock()
    monkeypatch.undo()
    assert await gone(pool)


async def test_it_is_given_back_when_taking_it_is_cancelled(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = asyncpg.Connection.fetchval

    async def cancelled(self: Any, query: str, *args: Any, **options: Any) -> Any:
        answer = await taken(self, query, *args, **options)
        if "try_advisory" in query:
            raise asyncio.CancelledError
        return answer

    monkeypatch.setattr(asyncpg.Connection, "fetchval", cancelled)
    with pytest.raises(asyncio.CancelledError):
        async with pool.acquire() as connection, locked(connection, KEY):
            pass
    assert await gone(pool)


async def test_what_a_transaction_set_ends_with_it_and_the_next_use_finds_none(pool: Pool) -> None:
    connection = await pool.acquire()
    number = await connection.fetchval("SELECT pg_backend_pid()")
    await connection.execute("BEGIN; SET LOCAL lock_timeout = '7s'")
    await pool.release(connection)
    found = await pool.fetchrow(
        "SELECT pg_backend_pid(), current_setting('lock_timeout'), pg_current_xact_id_if_assigned()"
    )
    assert found is not None
    assert tuple(found) == (number, "0", None)
