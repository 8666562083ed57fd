"""The storm: flaky receivers, one that hangs for ever, `kill -9` of the dispatcher every few seconds, and then the books.

`python -m loadtests.storm [--conversions 20000] [--destinations 20] [--json]` feeds conversions at a steady pace to as many
destinations (each conversion to one of them), twice: with no sick destination, and with the sick ones. Both passes are
killed at the same times. It exits non-zero when a conversion is neither delivered nor visibly dead, when something
counts as delivered that no receiver has, when an event came twice that was not in flight at a kill, or when the healthy
destinations' p99 (written to received, while a dispatcher runs) suffers from the sick ones.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import asyncpg
import msgspec

from loadtests.emulators.receiver import Received
from loadtests.scratch import database, emulator
from loadtests.storm_books import Books, Kill, Report, Shape, balance, text
from postbacks.breaker import BreakerPolicy
from postbacks.configuration import DispatcherConfig
from postbacks.dispatcher import run_dispatcher
from postbacks.events import Event
from postbacks.facts import SAMPLE
from postbacks.outbox import enqueue
from postbacks.retry import RetryPolicy
from tracker.stores import postgres
from tracker.stores.processes import die_with_parent

VICTIM = "storm-dispatcher"
QUANTUM = 0.05  # seconds between two commits of the feed
FAIL_RATE = 0.3
P99_RATIO = 1.5
P99_SLACK = 0.25  # seconds of difference that a busy machine makes by itself


def configuration(shape: Shape) -> DispatcherConfig:
    """Hours of retrying in seconds; a destination that hangs is given up on after `give_up`."""
    return DispatcherConfig(
        timeout=shape.timeout,
        retry=RetryPolicy(schedule=(0.2, 0.4, 0.8, 1.6, 3.0), overload_floor=0.5, ours_first=0.2, ours_longest=1.0),
        breaker=BreakerPolicy(threshold=8, cooldown=0.25, longest_cooldown=1.0, disable_after=shape.give_up),
        egress_allow=("127.0.0.0/8",),
        idle_poll=0.1,
        lease_margin=3.0,  # a process starved by others must not outlive its leases: that would be a repeat without a kill
    )


async def dispatch(database_url: str, shape: Shape) -> None:
    """The victim: a dispatcher in a process of its own."""
    # Under a name of its own, so that its last statement can be told from ours when it is dead.
    pool = await asyncpg.create_pool(
        database_url, min_size=1, max_size=4, command_timeout=30, server_settings={"application_name": VICTIM}
    )
    await run_dispatcher(pool, config=configuration(shape), wake=asyncio.Event(), stop=asyncio.Event())


class Pass:
    """One pass of the storm over an empty queue."""

    def __init__(self, pool: postgres.Pool, database_url: str, shape: Shape) -> None:
        self._pool = pool
        self._database_url = database_url
        self._shape = shape
        self._session: aiohttp.ClientSession
        self._url = ""
        self._kills: list[Kill] = []
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> Books:
        """Feed, kill, wait until nothing waits, and count. Bounded by the shape's `seconds` and `drain`."""
        begun = time.monotonic()
        with emulator("loadtests.emulators.receiver") as told:
            self._url = told["url"]
            try:
                async with aiohttp.ClientSession() as self._session:
                    await self._set_up()
                    over = asyncio.Event()
                    killer = asyncio.create_task(self._kill_again_and_again(over))
                    try:
                        await self._feed()
                    finally:
                        over.set()  # not cancelled: a kill under way must be finished, and be in the books
                        await killer
                    await self._drain()
                    await self._kill()
                    seconds = time.monotonic() - begun
                    return await balance(self._pool, await self._received(), self._kills, self._shape, seconds)
            finally:
                await self._kill()

    async def _set_up(self) -> None:
        await self._pool.execute(
            "TRUNCATE destinations, destination_links, deliveries, delivery_events, attempts CASCADE"
        )
        shape = self._shape
        for number in range(shape.destinations):
            name = f"d{number:02}"
            await self._pool.execute(
                "INSERT INTO destinations (destination_id, team_id, kind, config, event_types)"
                " VALUES ($1, $1, 'postback', $2, '{new_transaction}')",
                name,
                {"url": f"{self._url}/p/{name}?id={{conversion_id}}&net={{amount_net}}"},
            )
            if shape.well:
                continue
            if number < shape.flaky:
                await self._mode(name, mode="fail_rate", rate=FAIL_RATE, status=503)
            elif number < shape.flaky + shape.hanging:
                await self._mode(name, mode="hang")

    async def _mode(self, name: str, **options: Any) -> None:
        async with self._session.post(f"{self._url}/__admin/mode", json={"name": name, **options}) as answer:
            answer.raise_for_status()

    async def _feed(self) -> None:
        """A steady pace: a burst would make every latency the length of the queue."""
        shape, sent, begun = self._shape, 0, time.monotonic()
        while sent < shape.conversions:
            due = min(shape.conversions, int((time.monotonic() - begun) / shape.seconds * shape.conversions) + 1)
            now = datetime.now(UTC)
            events = [
                Event(f"e{n}", "new_transaction", now, f"d{n % shape.destinations:02}", "SL", SAMPLE | {"conversion_id": f"e{n}"})
                for n in range(sent, due)
            ]  # fmt: skip
            async with self._pool.acquire() as connection, connection.transaction():
                await enqueue(connection, events)
            sent = due
            await asyncio.sleep(QUANTUM)

    async def _kill_again_and_again(self, over: asyncio.Event) -> None:
        """Until it is over; then one is left running."""
        while True:
            self._process = await self._start()
            try:
                async with asyncio.timeout(self._shape.every):
                    await over.wait()
            except TimeoutError:
                await self._kill()
            else:
                return

    async def _start(self) -> asyncio.subprocess.Process:
        shape = msgspec.json.encode(self._shape).decode()
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtests.storm", "--dispatcher", self._database_url, "--shape", shape,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip

    async def _kill(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        at = time.time()
        process.kill()
        await process.wait()
        # PostgreSQL may still be committing the dead one's last statement.
        await self._until(f"NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '{VICTIM}')", 5.0)
        rows = await self._pool.fetch("SELECT event_id FROM deliveries WHERE lease_token IS NOT NULL")
        self._kills.append(Kill(at, time.time(), {row["event_id"] for row in rows}))

    async def _drain(self) -> None:
        await self._until("NOT EXISTS (SELECT FROM deliveries WHERE state = 'waiting')", self._shape.drain)

    async def _until(self, condition: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not await self._pool.fetchval(f"SELECT {condition}") and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _received(self) -> dict[str, list[float]]:
        """When each event was taken (answered 2xx), by event id."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        for number in range(self._shape.destinations):
            async with self._session.get(f"{self._url}/__admin/requests", params={"name": f"d{number:02}"}) as answer:
                for request in msgspec.json.decode(await answer.read(), type=list[Received]):
                    if request.answered == "ok":
                        found[parse_qs(request.query)["id"][0]].append(request.at)
        return {event_id: sorted(at) for event_id, at in found.items()}


async def run_storm(database_url: str, shape: Shape) -> Report:
    """Both passes on a database, which is migrated, and whose queue tables are emptied."""
    pool = await postgres.open_pool(database_url, max_size=4)
    try:
        async with pool.acquire() as connection:
            await postgres.migrate(connection)
        calm = await Pass(pool, database_url, msgspec.structs.replace(shape, well=True)).run()
        storm = await Pass(pool, database_url, shape).run()
    finally:
        await pool.close()
    wrong = []
    for name, books in (("without sick destinations", calm), ("with sick destinations", storm)):
        if not books.balanced:
            wrong.append(f"{name}: the books do not balance")
        if books.kills < 2:
            wrong.append(f"{name}: the dispatcher was hardly killed")
    ratio = storm.running_p99 / calm.running_p99 if calm.running_p99 else 0.0
    if ratio > P99_RATIO and storm.running_p99 - calm.running_p99 > P99_SLACK:
        wrong.append(f"the healthy destinations' p99 rose to {ratio:.2f} times")
    return Report(calm=calm, storm=storm, p99_ratio=round(ratio, 2), wrong=wrong)


def main() -> int:
    """Run, print, and say by the exit code whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversions", type=int, default=20000)
    parser.add_argument("--destinations", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40.0, help="how long to feed")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between kills")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dispatcher", metavar="DATABASE_URL", help=argparse.SUPPRESS)
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.dispatcher:
        asyncio.run(dispatch(options.dispatcher, msgspec.json.decode(options.shape, type=Shape)))
        return 0
    shape = Shape(
        conversions=options.conversions, destinations=options.destinations, seconds=options.seconds, every=options.every
    )
    with database() as database_url:
        report = asyncio.run(run_storm(database_url, shape))
    print(msgspec.json.encode(report).decode() if options.json else text(report))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
