"""The recorder against bare COPY of the same rows: `python -m loadtests.recorder [--entries 200000] [--json]`.

Starts embedded stores of its own in a temporary folder, fills the click logs with made-up but realistic visits, lets the
recorder drain them, checks every count, and then copies the very rows it stored into an identical table, with and without
its indexes. Ratios hold between machines; rows per second belong to this one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import structlog
import uvloop

from loadtests.scratch import stores
from tracker.clicklog import (
    KIND_BOT,
    KIND_CLICK,
    KIND_DUPLICATE,
    KIND_LETTERS,
    KIND_PREFETCH,
    PlainVisit,
    log_key,
    pool_member,
)
from tracker.recorder import ulids
from tracker.recorder.partitions import ensure
from tracker.recorder.recorder import Recorder
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey

SMART_LINKS = 400
ACCOUNTS = 40
BODIES = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{a} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
    " Instagram 33{b}.0.4.32.{c} (iPhone14,{a}; iOS 17_{a}; en_US; en; scale=3.00; 1170x2532; 6097754{c})",
    "Mozilla/5.0 (Linux; Android 1{b}; SM-S91{a}B Build/UP1A.{c}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
    " Chrome/12{b}.0.6422.{c} Mobile Safari/537.36 Instagram 33{b}.0.0.{a}.{c} Android",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{a} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F{c}"
    " [FBAN/FBIOS;FBAV/46{b}.0.0.{a}.{c};FBDV/iPhone13,{b};FBMD/iPhone;FBSN/iOS;FBSV/17.{a};FBLC/en_US;FBOP/5]",
    "Mozilla/5.0 (Linux; Android 1{b}; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12{a}.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12{a}.0.0.0 Safari/537.36",
)


def user_agents(rng: random.Random) -> list[str]:
    """Some 3,000 different user agents: in-app browsers carry device and build, so the tail is long."""
    return [
        rng.choice(BODIES).format(a=rng.randrange(10), b=rng.randrange(10), c=rng.randrange(10, 100))
        for _ in range(4000)
    ]


class Made:
    """Entries made, by shard, and what the tables must hold afterwards."""

    def __init__(
        self, entries: int, shards: int, seed: int = 1, accounts: int = ACCOUNTS, smart_links: int = SMART_LINKS
    ) -> None:
        self.rng = random.Random(seed)
        self.accounts, self.links_each = accounts, smart_links // accounts
        self.kinds: Counter[str] = Counter()
        self.agents = user_agents(self.rng)
        self.shards = shards
        self.entries = entries
        self.at_ms = int(time.time() * 1000) - entries // 10
        self.recent: list[list[PlainVisit]] = [[] for _ in range(shards)]

    def entry(self, number: int) -> tuple[int, dict[str, bytes | str]]:
        """(shard, fields) of one entry: 84 % clicks, 8 % duplicates, 5 % bots, 3 % prefetches; 15 % come back by cookie."""
        rng = self.rng
        account = rng.randrange(self.accounts)
        shard = account % self.shards
        at_ms = self.at_ms + number // 10
        visit_id = ulids.prefix(at_ms) + "".join(rng.choices("0123456789abcdefghjkmnpqrstvwxyz", k=16))
        kind = rng.choices((KIND_CLICK, KIND_DUPLICATE, KIND_BOT, KIND_PREFETCH), (84, 8, 5, 3))[0]
        recent = self.recent[shard]
        if kind == KIND_DUPLICATE and not recent:
            kind = KIND_CLICK
        self.kinds[kind] += 1
        query = f"utm_source=ig&utm_medium=paid&utm_campaign=campaign-{number % 50}&ecid={visit_id}&fbclid=IwAR{visit_id}{visit_id}"
        visit = PlainVisit(
            visit_id=visit_id,
            at_ms=at_ms,
            smart_link_id=f"01KAY0SMARTLINK0000000{account + self.accounts * rng.randrange(self.links_each):04d}",
            account_id=f"acct_{account:04d}",
            ip=f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}",
            user_agent=rng.choice(self.agents),
            referrer="https://l.instagram.com/",
            accept_language="en-US,en;q=0.9",
            landing_url=f"https://go.example.com/go/01KAY0SMARTLINK00000000000?{query}",
            fbp=f"fb.1.{at_ms}.{rng.randrange(10**9)}",
            fbc="",
            ttp="",
            scid="",
            cdn_country="",
            bot_reason="",
        )
        click_id = visit_id
        if kind == KIND_DUPLICATE:
            first = rng.choice(recent)
            click_id = first.visit_id
            visit = msgspec.structs.replace(visit, smart_link_id=first.smart_link_id, account_id=first.account_id)
        elif kind == KIND_CLICK:
            recent.append(visit)
            del recent[:-2000]
        leased = kind in (KIND_CLICK, KIND_DUPLICATE)
        visitor = f"{rng.randrange(10**12):026x}"
        letters = KIND_LETTERS[kind] + ("c" if rng.random() < 0.15 else "n") + ("e" if leased else "n")
        member = pool_member(rng.randrange(1, 20_000), "https://example.com/creator/c1234") if leased else ""
        return shard, {"r": msgspec.msgpack.encode(visit), "o": f"{letters}{click_id}{visitor}{member}"}


async def fill(client: valkey.Client, made: Made) -> None:
    """Append all entries."""
    pipeline = client.pipeline(transaction=False)
    for number in range(made.entries):
        shard, fields = made.entry(number)
        pipeline.xadd(log_key(shard), fields)  # type: ignore[arg-type]
        if number % 2000 == 1999:
            await pipeline.execute()
    await pipeline.execute()


async def waiting(client: valkey.Client, shards: int) -> int:
    """Entries left in the logs."""
    return sum([int(await client.xlen(log_key(shard))) for shard in range(shards)])


async def drain(settings: Settings, pool: postgres.Pool, client: valkey.Client, url: str) -> float:
    """Seconds the recorder takes from its start to an empty log."""
    stop = asyncio.Event()
    started = time.perf_counter()
    task = asyncio.create_task(Recorder(settings, pool, client, database_url=url).run(stop))
    while await waiting(client, settings.shards):  # noqa: ASYNC110 - an empty stream tells nobody
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - started
    stop.set()
    await task
    return seconds


async def bare_copy(pool: postgres.Pool, *, indexes: bool, batch: int) -> tuple[int, float]:
    """(rows, seconds) of COPY of the stored clicks into a table like `clicks`, in transactions of `batch` rows."""
    like = "INCLUDING ALL" if indexes else "INCLUDING DEFAULTS"
    async with pool.acquire() as connection:
        rows = [
            tuple(row)
            for row in await connection.fetch(
                "SELECT * FROM clicks WHERE smart_link_id <> 'OLD' ORDER BY click_id", timeout=300
            )
        ]
        await connection.execute(f"DROP TABLE IF EXISTS bare; CREATE TABLE bare (LIKE clicks {like}); CHECKPOINT")
        started = time.perf_counter()
        for first in range(0, len(rows), batch):
            await connection.copy_records_to_table("bare", records=rows[first : first + batch])
        seconds = time.perf_counter() - started
        assert await connection.fetchval("SELECT count(*) FROM bare") == len(rows)
        await connection.execute("DROP TABLE bare")
    return len(rows), seconds


async def store_history(connection: asyncpg.Connection[asyncpg.Record], clicks: int) -> None:
    """Clicks and visits of the past two years in monthly partitions, as a busy installation has them; then ANALYZE."""
    today = datetime.now(UTC).date()
    for months in range(24, 0, -1):
        await ensure(connection, today - timedelta(days=30 * months))
    await connection.execute(
        """
        WITH made AS (
            SELECT n, now() - interval '25 days' - n * (interval '700 days' / $1::int) AS at FROM generate_series(1, $1::int) n
        ), stamped AS (
            SELECT n, at, (SELECT string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz',
                ((floor(extract(epoch FROM at) * 1000)::bigint >> shift) & 31)::int + 1, 1), '' ORDER BY shift DESC)
                FROM generate_series(0, 45, 5) shift) || lpad(n::text, 16, '0') AS id FROM made
        ), visited AS (
            INSERT INTO visits (visit_id, click_id, account_id, visited_at, visitor_by, inventory_link_id)
            SELECT id, id, 'acct_0001', at, 'new', n % 20000 FROM stamped WHERE n % 10 = 0
        )
        INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by,
            inventory_link_id, lease, user_agent, landing_url)
        SELECT id, 'OLD', 'acct_0001', at, at, 'v' || n, 'new', n % 20000, 'exclusive', repeat('u', 150), repeat('l', 150)
        FROM stamped
        """,
        clicks,
        timeout=1800,
    )
    for table in ("clicks", "visits"):
        await connection.execute(f"VACUUM ANALYZE {table}", timeout=1800)


async def check(pool: postgres.Pool, made: Made) -> None:
    """Every entry made is stored and counted once."""
    kinds = made.kinds
    found = await pool.fetchrow(
        "SELECT (SELECT count(*) FROM clicks WHERE NOT is_bot AND smart_link_id <> 'OLD'),"
        " (SELECT count(*) FROM clicks WHERE is_bot),"
        " (SELECT count(*) FROM visits v WHERE v.click_id <> v.visit_id), (SELECT count(*) FROM prefetches), (SELECT count(*) FROM log_rejects)",
        timeout=120,
    )
    expected = (kinds[KIND_CLICK], kinds[KIND_BOT], kinds[KIND_DUPLICATE], kinds[KIND_PREFETCH], 0)
    assert tuple(found or ()) == expected, f"stored {found}, made {expected}"
    counted = await pool.fetchrow(
        "SELECT sum(clicks)::int, sum(gross_clicks)::int, sum(bots)::int, sum(prefetches)::int FROM click_hours"
    )
    clicks, visits, bots, prefetches = expected[0], expected[2], expected[1], expected[3]
    assert tuple(counted or ()) == (clicks, clicks + visits, bots, prefetches), f"counted {counted}, made {expected}"
    gross = await pool.fetchval(
        "SELECT sum(gross_clicks)::int FROM clicks WHERE NOT is_bot AND smart_link_id <> 'OLD'", timeout=120
    )
    assert gross == clicks + visits, f"clicks count {gross} visits, made {clicks + visits}"


async def measure(folder: DataFolder, options: argparse.Namespace) -> dict[str, Any]:
    """Fill, record, check, copy."""
    settings = Settings(shards=options.shards, recorder_batch=options.batch)
    connection = await asyncpg.connect(folder.database_url)
    await postgres.migrate(connection)
    await ensure(connection)
    if options.stored:
        await store_history(connection, options.stored)
    await connection.close()
    pool = await postgres.open_pool(folder.database_url, max_size=8)
    client = valkey.connect(folder.redis_url)
    made = Made(options.entries, options.shards)
    await fill(client, made)
    cpu = time.process_time()
    seconds = await drain(settings, pool, client, folder.database_url)
    cpu = time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    await check(pool, made)
    rows, indexed = await bare_copy(pool, indexes=True, batch=options.batch)
    _, unindexed = await bare_copy(pool, indexes=False, batch=options.batch)
    await client.aclose()
    await pool.close()
    recorded = options.entries / seconds
    return {
        "entries": options.entries,
        "stored_before": options.stored,
        "shards": options.shards,
        "batch": options.batch,
        "recorder_entries_per_second": round(recorded),
        "recorder_cpu_us_per_entry": round(cpu / options.entries * 1e6, 1),
        "recorder_peak_mb_with_generator": peak_mb,
        "copy_same_indexes_rows_per_second": round(rows / indexed),
        "copy_no_indexes_rows_per_second": round(rows / unindexed),
        "ratio_to_copy_same_indexes": round(recorded / (rows / indexed), 2),
        "ratio_to_copy_no_indexes": round(recorded / (rows / unindexed), 2),
    }


def main() -> int:
    """Run once; exit code 1 when a count is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--batch", type=int, default=Settings().recorder_batch)
    parser.add_argument("--stored", type=int, default=0, help="clicks of the past two years stored beforehand")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="clickbind-bench-") as path,
            stores(Path(path) / "data", EmbeddedPostgres, EmbeddedValkey) as folder,
        ):
            figures = uvloop.run(measure(folder, options))
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name.replace('_', ' '):40} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
