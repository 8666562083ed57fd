"""Reports over a generated database: `python -m loadtests.reports generate --clicks 10000000 --folder F`, then `… run --folder F`.

`generate` fills an embedded PostgreSQL in the folder with a year of clicks, visits, fans and conversions (COPY, a day per
transaction) and has the real rollup job count them from notes like the recorder's. It may be stopped and goes on where it was.
`run` times every report and every report endpoint (p50, p95 of warm repeats, one caller), and with `--plans FILE` writes what
PostgreSQL did for each query. `check` compares totals with the rows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import structlog

from loadtests.report_data import DAYS, Year, found
from loadtests.report_times import measure
from tracker.recorder.partitions import ensure
from tracker.reports.rollups import settle_all
from tracker.stores import postgres
from tracker.stores.embedded import DataFolder, EmbeddedPostgres

NOTE_IDS = 20_000


async def generate(url: str, clicks: int, progress: bool = True) -> None:
    """Fill the database up to that many clicks over the year; days made before stay."""
    connection = await asyncpg.connect(url)
    await postgres.migrate(connection)
    await connection.execute("CREATE TABLE IF NOT EXISTS generated (clicks bigint, last date, days integer)")
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM generated)"):
        await connection.execute("INSERT INTO generated VALUES ($1, $2, 0)", clicks, datetime.now(UTC).date())
    row = await connection.fetchrow("SELECT clicks, last, days FROM generated")
    assert row is not None
    begun, last, days = row
    if begun != clicks:
        raise SystemExit(f"This folder is being filled with {begun} clicks; take another folder for {clicks}.")
    year = Year(clicks, last)
    for months in range(14):
        await ensure(connection, year.first + timedelta(days=30 * months))
    await found(connection, year)
    pool = await postgres.open_pool(url, max_size=2, command_timeout=3600)
    started = time.perf_counter()
    for day in range(days, DAYS):
        await _store(connection, year, day)
        await settle_all(pool, notes=20, marks=50_000)
        if day % 30 == 29:
            await connection.execute(
                "VACUUM (ANALYZE) report_quarters, report_days, breakdown_hours, breakdown_days, conversions",
                timeout=3600,
            )
        if progress and day % 5 == 4:
            done = sum(year.per_day[days : day + 1])
            rate = done / (time.perf_counter() - started)
            print(f"day {day + 1} of {DAYS}: {sum(year.per_day[: day + 1]):,} clicks, {rate:,.0f} a second", flush=True)
    await connection.execute("VACUUM (ANALYZE)", timeout=7200)
    await pool.close()
    await connection.close()


async def _store(connection: asyncpg.Connection[asyncpg.Record], year: Year, day: int) -> None:
    made = year.make(day)
    async with connection.transaction():
        for table, columns, source in made.tables():
            await connection.copy_to_table(table, source=source, columns=columns, format="text", null="", timeout=3600)
        for first in range(0, len(made.click_ids), NOTE_IDS):
            ids = ",".join(made.click_ids[first : first + NOTE_IDS])
            await connection.execute("INSERT INTO report_notes (click_ids) VALUES ($1)", ids)
        await connection.execute("INSERT INTO report_notes (visit_ids) VALUES ($1)", ",".join(made.visit_ids))
        await connection.execute("UPDATE generated SET days = $1", day + 1)


async def check(url: str) -> None:
    """Totals of every team against the rows, after counting what a stopped `generate` left. Raises AssertionError."""
    pool = await postgres.open_pool(url, max_size=2, command_timeout=3600)
    await settle_all(pool, notes=20, marks=50_000)
    await pool.close()
    connection = await asyncpg.connect(url)
    pairs = await connection.fetchrow(
        """SELECT (SELECT count(*) FROM clicks WHERE NOT is_bot), (SELECT count(*) FROM visits),
                  (SELECT count(*) FROM clicks WHERE is_bot), (SELECT sum(gross_cents) FROM revenue),
                  sum(clicks), sum(duplicates), sum(bots), sum(gross_cents)
           FROM report_days WHERE scope_id IN (SELECT team_id FROM teams)""",
        timeout=3600,
    )
    assert pairs is not None
    assert tuple(pairs)[:4] == tuple(pairs)[4:], tuple(pairs)
    await connection.close()


def main() -> int:
    """One of the commands; exit code 1 when a check fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=("generate", "run", "check"))
    parser.add_argument("--folder", type=Path, required=True, help="data folder of the generated database")
    parser.add_argument("--clicks", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--plans", type=Path, help="write the query plans to this Markdown file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = DataFolder(options.folder)
    folder.hold()
    server = EmbeddedPostgres(folder)
    try:
        server.start()
        if options.command == "generate":
            asyncio.run(generate(folder.database_url, options.clicks))
        elif options.command == "check":
            asyncio.run(check(folder.database_url))
        else:
            figures, plans = asyncio.run(measure(folder.database_url, options.repeats, plans=bool(options.plans)))
            if options.plans:
                options.plans.parent.mkdir(parents=True, exist_ok=True)
                options.plans.write_text(plans)
            print(
                json.dumps(figures)
                if options.json
                else "\n".join(_line(name, found) for name, found in figures.items())
            )
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        server.stop()
        folder.release()
    return 0


def _line(name: str, figures: dict[str, float]) -> str:
    return f"{name:64} " + "  ".join(f"{key} {value:,.1f}" for key, value in figures.items())


if __name__ == "__main__":
    sys.exit(main())
