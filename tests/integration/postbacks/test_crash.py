"""`kill -9` of a dispatcher: nothing is lost, and what is sent again carries the same id."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs

from loadtests.emulators.receiver import running_receiver
from tests.integration.postbacks.scene import FAST, add_destination, enqueue_all, event, states, until
from tracker.stores.postgres import Pool

EVENTS = 1500
ROUNDS = 4


async def start(database_url: str, root: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.postbacks.dispatcher_process", database_url, cwd=root
    )


async def test_killed_dispatchers_lose_nothing(pool: Pool, database_url: str, repo_root: Path) -> None:
    async with running_receiver() as receiver:
        for name in ("a", "b"):
            await add_destination(pool, name, receiver.url_of(name) + "?id={conversion_id}")
        await enqueue_all(pool, [event(n) for n in range(EVENTS)])
        for step in range(1, ROUNDS):
            process = await start(database_url, repo_root)
            await receiver.wait_for("a", step * EVENTS // ROUNDS)
            process.kill()
            await process.wait()
        last = await start(database_url, repo_root)
        await until(pool, "NOT EXISTS (SELECT FROM deliveries WHERE state = 'waiting')", seconds=60)
        last.kill()
        await last.wait()
        assert await states(pool) == {"delivered": 2 * EVENTS}
        for name in ("a", "b"):
            seen = Counter(parse_qs(request.query)["id"][0] for request in receiver.received(name))
            assert set(seen) == {f"evt-{n}" for n in range(EVENTS)}
            # Sent again is only what was under way or not yet settled when a dispatcher died: at most once per death.
            assert max(seen.values()) <= ROUNDS
            assert sum(seen.values()) - EVENTS < (ROUNDS - 1) * (FAST.concurrency * 32 + 500)
