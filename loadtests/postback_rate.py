"""GET postbacks per second: the dispatcher, from outbox rows to settled and logged, against a bare aiohttp loop.

`python -m loadtests.postback_rate [--rounds 5] [--events 10000] [--delay-ms 0]` starts an embedded PostgreSQL and a sink (each in a
process of its own), sends the same number of GETs to the same sink both ways, and prints one JSON line. `cpu` is the
seconds of this process alone; `per_core` divides by it. `--delay-ms`: the sink answers as from so far away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from statistics import median
from typing import Any

import aiohttp
import msgspec
import uvloop

from loadtests.scratch import database, emulator
from postbacks.configuration import DispatcherConfig
from postbacks.dispatcher import run_dispatcher
from postbacks.events import Event
from postbacks.facts import SAMPLE
from postbacks.outbox import enqueue
from postbacks.templates import parse_url, preview
from tracker import logs
from tracker.garbage import relax_collector
from tracker.stores import postgres

TEMPLATE = "?cid={click_id}&ecid={external_click_id}&id={conversion_id}&net={amount_net}&at={conversion_at}&t={transaction_type}"


def sink(delay_ms: float = 0.0) -> AbstractContextManager[dict[str, str]]:
    """A receiver that only counts, and answers so many milliseconds later; yields its `url`."""
    return emulator("loadtests.emulators.sink", "--delay-ms", str(delay_ms))


def received(url: str) -> dict[str, int]:
    """What the sink counted, by name."""
    with urllib.request.urlopen(f"{url}/__admin/counts", timeout=10) as answer:
        return msgspec.json.decode(answer.read(), type=dict[str, int])


async def measured(work: Callable[[], Awaitable[None]], events: int) -> dict[str, float]:
    """Wall and CPU rates of sending so many events."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "per_second": round(events / wall),
        "per_core": round(events / cpu),
        "wall": round(wall, 2),
        "cpu": round(cpu, 2),
    }


async def bare_loop(url: str, events: int, concurrency: int) -> None:
    """The least that could send the same URLs: one aiohttp session, `concurrency` loops, nothing recorded."""
    numbers = iter(range(events))
    before, after = preview(parse_url(f"{url}/p/bare{TEMPLATE}")).split(SAMPLE["conversion_id"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def sender() -> None:
            for number in numbers:
                async with session.get(f"{before}e{number}{after}") as response:
                    await response.read()

        await asyncio.gather(*(sender() for _ in range(concurrency)))


async def dispatched(pool: postgres.Pool, config: DispatcherConfig, events: int) -> None:
    """Run a dispatcher until so many have been tried and nothing waits."""
    stop, all_tried = asyncio.Event(), asyncio.Event()
    left = events

    def observe(_kind: str, outcomes: list[str], _seconds: float) -> None:
        nonlocal left
        left -= len(outcomes)
        if left <= 0:
            all_tried.set()

    config = msgspec.structs.replace(config, observe=observe)
    task = asyncio.create_task(run_dispatcher(pool, config=config, wake=asyncio.Event(), stop=stop))
    await all_tried.wait()  # asking the database meanwhile is not the dispatcher's work
    async with pool.acquire() as connection:
        while await connection.fetchval("SELECT EXISTS (SELECT FROM deliveries WHERE state = 'waiting')"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await task


async def fill(pool: postgres.Pool, number: int, per_destination: int) -> None:
    """Put one round's events into the outbox."""
    for start in range(0, per_destination, 1000):
        ids = [f"e{number}-{n}" for n in range(start, min(start + 1000, per_destination))]
        now = datetime.now(UTC)
        events = [Event(i, "new_transaction", now, "t1", "SL", {**SAMPLE, "conversion_id": i}) for i in ids]
        async with pool.acquire() as connection:
            await enqueue(connection, events)
    await pool.execute("VACUUM ANALYZE deliveries")


async def run(options: argparse.Namespace, database_url: str, url: str) -> dict[str, Any]:
    """Rounds of both, in turn, so that a busy machine slows both alike; the figures are medians."""
    relax_collector()  # as every worker does; the bare loop gains by it too
    pool = await postgres.open_pool(database_url, max_size=4)
    async with pool.acquire() as connection:
        await postgres.migrate(connection)
        for number in range(options.destinations):
            await connection.execute(
                "INSERT INTO destinations (destination_id, team_id, kind, config, event_types)"
                " VALUES ($1, 't1', 'postback', $2, '{new_transaction}')",
                f"d{number}",
                {"url": f"{url}/p/d{number}{TEMPLATE}"},
            )
    per_destination = options.events // options.destinations
    sent = per_destination * options.destinations
    config = DispatcherConfig(
        egress_allow=("127.0.0.0/8",), concurrency=max(1, options.concurrency // options.destinations)
    )
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    for number in range(options.rounds):
        await fill(pool, number, per_destination)
        bare = await measured(lambda: bare_loop(url, sent, options.concurrency), sent)
        ours = await measured(lambda: dispatched(pool, config, sent), sent)
        rounds.append((bare, ours))
    delivered = await pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'delivered'")
    logged = await pool.fetchval("SELECT count(*) FROM attempts")
    await pool.close()
    counts = received(url)
    figures: dict[str, Any] = {
        "rounds": len(rounds),
        "events": sent,
        "delivered": delivered,
        "attempts_logged": logged,
        "received": sum(counts[f"d{number}"] for number in range(options.destinations)),
        "received_bare": counts["bare"],
    }
    for name in ("per_second", "per_core"):
        figures[f"bare_{name}"] = median(bare[name] for bare, _ in rounds)
        figures[f"dispatcher_{name}"] = median(ours[name] for _, ours in rounds)
        figures[f"ratio_{name}"] = round(median(ours[name] / bare[name] for bare, ours in rounds), 2)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=10000)
    parser.add_argument("--destinations", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    options = parser.parse_args()
    logs.configure("bench", "error", "console")  # standard output is the report's
    with database() as database_url, sink(options.delay_ms) as told:
        print(json.dumps(uvloop.run(run(options, database_url, told["url"]))))


if __name__ == "__main__":
    main()
