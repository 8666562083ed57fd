"""Reports over a generated database: `python -m loadtests.reports generate --clicks 10000000 --folder F`, then `… run --folder F`.

`generate` fills an embedded PostgreSQL in a new folder with a year of clicks, visits, fans and conversions (COPY, a month at a time)
and with their rollups. `run` times every report, every GET endpoint of the API and every page of the dashboard, says which are
over budget, and with `--plans FILE` writes what PostgreSQL did for each query. `check` compares totals with the rows. `prove`
throws the rollups of a small database away, has the rollup job count them from the rows, and compares.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from loadtests.report_counts import Counts
from loadtests.report_data import ACCOUNTS, DAYS, TEAM_OF, TEAMS, Month, Year, ms_of, team_id
from loadtests.report_endpoints import over_budget
from loadtests.report_proof import prove
from loadtests.report_rows import BINDING_COLUMNS, CONVERSION_COLUMNS, Rows
from loadtests.report_times import measure
from tracker.recorder.rows import CLICK_COLUMNS, VISIT_COLUMNS
from tracker.recorder.ulids import prefix
from tracker.reports.rollups import settle_all
from tracker.stores import postgres
from tracker.stores.embedded import DataFolder, EmbeddedPostgres

QUICK = (
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "wal_level = minimal",
    "max_wal_senders = 0",
)
BEFORE_SUMS = 6  # the last migration whose tables are filled here; later ones fill theirs from these
INDEXING = "SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 2; SET work_mem = '256MB'"


async def generate(url: str, clicks: int, progress: bool = True) -> None:
    """Fill the database with a year of that many clicks and bots. Months made before stay."""
    connection = await asyncpg.connect(url)
    await migrate_to(connection, BEFORE_SUMS)
    await connection.execute("CREATE TABLE IF NOT EXISTS generated (clicks bigint, last date, days integer)")
    if await connection.fetchval("SELECT EXISTS (SELECT FROM generated)"):
        raise SystemExit("This folder has been filled before; take another one.")
    year = Year(clicks, (datetime.now(UTC) - timedelta(days=1)).date())  # of today, clicks would lie in the future
    await found(connection, year)
    await connection.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
    await connection.execute(INDEXING)
    counts, started, done = Counts(year), time.perf_counter(), 0
    for first in year.months:
        month = year.make(first)
        rows = Rows(year, month)
        facts = counts.facts(month, rows.click_ids)
        for table, lines, columns in (
            ("clicks", rows.clicks(), CLICK_COLUMNS), ("visits", rows.visits(), VISIT_COLUMNS), ("prefetches", None, None)
        ):  # fmt: skip
            await _partition(connection, table, month, lines, columns)
        await _copy(
            connection, "fans", rows.fans(), ("account_id", "fan_id", "username", "name", "first_subscribed_at")
        )
        await _copy(connection, "bindings", rows.bindings(), BINDING_COLUMNS)
        await _copy(connection, "conversions", rows.conversions(), CONVERSION_COLUMNS)
        for table, lines in counts.totals(first, month.following, facts):
            await _copy(connection, table, lines)
        for table, data in counts.breakdowns(first, month.following, facts):
            await _copy(connection, table, data, binary=True)
        done += len(rows.click_ids)
        if progress:
            took = time.perf_counter() - started
            print(f"{first:%Y-%m}: {done:,} clicks in {took:,.0f} s, {done / took:,.0f} a second", flush=True)
    for table, lines in counts.named():
        await _copy(connection, table, lines)
    await connection.fetchval(
        "SELECT setval(pg_get_serial_sequence('report_values', 'value_id'), max(value_id)) FROM report_values"
    )
    await connection.execute("SET session_replication_role = origin")
    await finish(connection, url)
    await connection.execute("INSERT INTO generated VALUES ($1, $2, $3)", clicks, year.last, DAYS)
    await connection.execute("VACUUM (ANALYZE)", timeout=7200)
    if progress:
        print(f"all in {time.perf_counter() - started:,.0f} s", flush=True)
    await connection.close()


async def migrate_to(connection: asyncpg.Connection[asyncpg.Record], last: int) -> None:
    """Make the schema as it was with that migration."""
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    done = {row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")}
    for number, name, sql in postgres.migrations():
        if number <= last and number not in done:
            await connection.execute(sql)
            await connection.execute("INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", number, name)


async def upgrade(url: str) -> None:
    """Bring a folder made by an earlier version up to date; its new tables are filled from what is there, as in any installation."""
    connection = await asyncpg.connect(url)
    await connection.execute("SET statement_timeout = 0")
    await connection.execute(INDEXING)
    started = time.perf_counter()
    if applied := await postgres.migrate(connection):
        print(f"{', '.join(applied)} in {time.perf_counter() - started:,.0f} s", file=sys.stderr, flush=True)
        await connection.execute("VACUUM (ANALYZE)", timeout=7200)
    await connection.close()


async def _configure(url: str) -> None:
    # A folder for measuring may be lost in a crash; making it need not wait for disks.
    connection = await asyncpg.connect(url)
    for setting in QUICK:
        await connection.execute(f"ALTER SYSTEM SET {setting}")
    await connection.close()


async def finish(connection: asyncpg.Connection[asyncpg.Record], url: str) -> None:
    """What is counted from stored conversions and days: spenders by one statement, what later versions keep by their migrations;
    cohorts and blocks of days by the job itself."""
    await connection.execute(
        """INSERT INTO report_spenders (smart_link_id, start, fan)
           SELECT DISTINCT r.smart_link_id, date_bin('15 minutes', r.conversion_at, 'epoch'), hashtextextended(r.account_id || ' ' || r.fan_id, 0)
           FROM revenue r WHERE r.gross_cents > 0""",
        timeout=3600,
    )
    await connection.execute(
        "ANALYZE conversions, report_spenders, report_quarters, report_days, smart_links", timeout=3600
    )
    await postgres.migrate(connection)
    await connection.execute(
        "INSERT INTO report_fan_marks (account_id, fan_id) SELECT account_id, fan_id FROM fans", timeout=3600
    )
    await connection.execute("ANALYZE conversions, cohort_fans, smart_links", timeout=3600)
    pool = await postgres.open_pool(url, max_size=2, command_timeout=3600)
    await settle_all(pool)
    await pool.close()


async def _partition(
    connection: asyncpg.Connection[asyncpg.Record],
    table: str,
    month: Month,
    lines: Iterator[bytes] | None,
    columns: Any,
) -> None:
    # Filled before it is attached: no index is in the way, and nothing is logged of a table made in the same transaction.
    name = f"{table}_{month.first:%Y_%m}"
    lower, upper = (prefix(ms_of(day)) for day in (month.first, month.following))
    async with connection.transaction():
        await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING INDEXES)")
        if lines is not None:
            await _copy(connection, name, lines, columns)
        await connection.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{lower}') TO ('{upper}')", timeout=3600
        )


async def _copy(
    connection: asyncpg.Connection[asyncpg.Record],
    table: str,
    lines: Iterator[bytes],
    columns: Any = None,
    binary: bool = False,
) -> None:
    async def source() -> AsyncIterator[bytes]:
        for line in lines:
            yield line

    options: dict[str, Any] = {"format": "binary"} if binary else {"format": "text", "null": ""}
    await connection.copy_to_table(table, source=source(), columns=columns, timeout=3600, **options)


async def found(connection: asyncpg.Connection[asyncpg.Record], year: Year) -> None:
    """Teams, accounts and smart links; every fifth link is tagged."""
    for number in range(TEAMS):
        await connection.execute("INSERT INTO teams (team_id, name) VALUES ($1, $2)", team_id(number), f"Team {number}")
    for number in range(ACCOUNTS):
        await connection.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, display_name, shard)"
            " VALUES ($1, $2, 'onlyfansapi', $1, $3, $3, $4)",
            f"acct_{number:04d}", team_id(TEAM_OF[number]), f"creator{number}", number % 4,
        )  # fmt: skip
    for link in year.links:
        created = datetime.combine(year.first + timedelta(days=link.first), datetime.min.time(), UTC)
        await connection.execute(
            "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer, created_at)"
            " VALUES ($1, $2, $3, $4, 'tracking_link', 'tracking', $5)",
            link.smart_link_id, link.team_id, link.account_id, f"Meta / creator{link.account} / {link.number}", created,
        )  # fmt: skip
        if link.number % 5 == 0:
            await connection.execute(
                "INSERT INTO link_tags (team_id, kind, target_id, tag) VALUES ($1, 'smart_links', $2, 'scaling')",
                link.team_id, link.smart_link_id,
            )  # fmt: skip


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
    parser.add_argument("command", choices=("generate", "run", "check", "prove"))
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
            asyncio.run(_configure(folder.database_url))
            server.stop()
            server.start()
            asyncio.run(generate(folder.database_url, options.clicks))
            return 0
        asyncio.run(upgrade(folder.database_url))
        if options.command == "prove":
            asyncio.run(prove(folder.database_url))
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
    told = "  ".join(f"{key} {value:,.1f}" for key, value in figures.items())
    return f"{name:64} {told}{'  OVER BUDGET' if over_budget(name, figures) else ''}"


if __name__ == "__main__":
    sys.exit(main())
