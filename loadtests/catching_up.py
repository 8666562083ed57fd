"""An hour's backlog beside people who look at reports: `python -m loadtests.catching_up`, some three minutes.

A database with a made-up year (`loadtests.reports`), and a click log that nobody has read for an hour at 100 clicks a second.
Reports of the last 30 days are asked for one after another: first while nothing else happens, then while the recorder and the
rollup job catch up. Printed: how fast the log is recorded, how long the rollup job needs until its figures hold everything, and
the reports' times in both. Every entry must be recorded and counted.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
import uvloop

from loadtests.recorder import Made, drain, fill
from loadtests.report_data import ACCOUNTS, SMART_LINKS
from loadtests.report_times import TEAM
from loadtests.reports import generate
from loadtests.scratch import stores, tell
from tracker.recorder.partitions import ensure
from tracker.reports.breakdowns import breakdown
from tracker.reports.ranges import days
from tracker.reports.rollups import run_rollups, settle_all
from tracker.reports.series import series
from tracker.reports.totals import by_link, total
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey

PAUSE_SECONDS = 0.05  # between two reports: somebody looks, several times a second


async def looking(pool: postgres.Pool, goes_on: Callable[[], bool]) -> list[float]:
    """Milliseconds of each report, while `goes_on`."""
    last = await pool.fetchval("SELECT last FROM generated")
    month = days(last - timedelta(days=29), last, "America/New_York")
    reports: list[Callable[[], Awaitable[Any]]] = [
        lambda: total(pool, TEAM, month),
        lambda: series(pool, TEAM, month, "day"),
        lambda: by_link(pool, TEAM, month),
        lambda: breakdown(pool, TEAM, month, "country"),
    ]
    found: list[float] = []
    while goes_on():
        for report in reports:
            started = time.perf_counter()
            await report()
            found.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(PAUSE_SECONDS)
    return sorted(found)


def p95(times: list[float]) -> float:
    """Of sorted times."""
    return round(times[int(len(times) * 0.95)], 1)


async def measure(folder: DataFolder, options: argparse.Namespace) -> dict[str, float]:
    """Fill, look, catch up while looking, compare."""
    await generate(folder.database_url, options.clicks, progress=False)
    pool = await postgres.open_pool(folder.database_url, max_size=12, command_timeout=600)
    async with pool.acquire() as connection:
        await ensure(connection)
    client = valkey.connect(folder.redis_url)
    settings = Settings()
    made = Made(options.entries, settings.shards, accounts=ACCOUNTS, smart_links=SMART_LINKS)
    before = await counted(pool)
    await fill(client, made)
    until = time.monotonic() + options.seconds
    alone = await looking(pool, lambda: time.monotonic() < until)
    stop = asyncio.Event()
    started = time.perf_counter()
    job = asyncio.create_task(run_rollups(pool, stop=stop))
    beside = asyncio.create_task(looking(pool, lambda: not stop.is_set()))
    recording = await drain(settings, pool, client, folder.database_url)
    while await pool.fetchval("SELECT EXISTS (SELECT FROM report_notes)"):  # noqa: ASYNC110 - the job tells nobody
        await asyncio.sleep(0.1)
    counting = time.perf_counter() - started
    stop.set()
    times = await beside
    await job
    await settle_all(pool)
    recorded = await counted(pool) - before
    await client.aclose()
    await pool.close()
    expected = made.kinds["click"] + made.kinds["bot"]
    if recorded != expected:
        raise SystemExit(f"{expected} clicks and bots were in the log, {recorded} are in the reports")
    return {
        "entries": options.entries,
        "recorded_per_second": round(options.entries / recording),
        "seconds_to_record": round(recording, 1),
        "seconds_until_reports_hold_all": round(counting, 1),
        "reports_alone_p95_ms": p95(alone),
        "reports_beside_p95_ms": p95(times),
        "reports_beside_to_alone": round(p95(times) / p95(alone), 2),
    }


async def counted(pool: postgres.Pool) -> int:
    """Clicks and bots in the reports of all teams."""
    found = await pool.fetchval(
        "SELECT coalesce(sum(clicks + bots), 0)::bigint FROM report_days WHERE scope_id IN (SELECT team_id FROM teams)"
    )
    return int(found)


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=360_000, help="in the log: an hour at 100 a second")
    parser.add_argument("--clicks", type=int, default=300_000, help="in the database before")
    parser.add_argument("--seconds", type=float, default=15.0, help="of looking while nothing else happens")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with (
        tempfile.TemporaryDirectory(prefix="clickbind-bench-") as path,
        stores(Path(path) / "data", EmbeddedPostgres, EmbeddedValkey) as folder,
    ):
        figures = uvloop.run(measure(folder, options))
    tell(figures, options.json)


if __name__ == "__main__":
    main()
