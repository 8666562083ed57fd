"""Attribution against bare inserts of the rows it writes: `python -m loadtests.attribution_rate [--fans 4000] [--json]`.

Starts an embedded PostgreSQL of its own in a temporary folder, stores clicks and five events per fan (notification, link,
payment, two messages) among a background of other clicks, and folds all fans with one worker. Then the very rows it wrote are
inserted into identical tables, in transactions of the same size. The ratio holds between machines; events per second do not.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
import uvloop

from loadtests.scratch import database, tell
from tracker.attribution.evidence import click_id_at
from tracker.attribution.worker import BATCH, fold_due
from tracker.stores import postgres

ACCOUNTS = 20
POOL = 200  # inventory links per account
EVENTS_PER_FAN = 5
WRITTEN = ("bindings", "conversions", "delivery_events", "deliveries")
TYPES = ["new_subscriber", "new_transaction", "message_received", "fan_sent_1_message", "fan_sent_3_messages"]


async def furnish(connection: postgres.Connection) -> None:
    """Accounts with a smart link and a pool each, and one destination that wants everything."""
    await connection.execute("INSERT INTO teams (team_id, name) VALUES ('team', 'team')")
    await connection.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, subscribe_price_cents, shard)"
        " SELECT 'acct_' || n, 'team', 'onlyfansapi', n::text, 500, 0 FROM generate_series(0, $1::int - 1) n",
        ACCOUNTS,
    )
    await connection.execute(
        "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer)"
        " SELECT 'S' || n, 'team', 'acct_' || n, 'ad', 'tracking_link', 'tracking' FROM generate_series(0, $1::int - 1) n",
        ACCOUNTS,
    )
    await connection.execute(
        "INSERT INTO inventory_links (inventory_link_id, account_id, offer, kind, state, provider_link_id)"
        " OVERRIDING SYSTEM VALUE SELECT n, 'acct_' || n % $1::int, 'tracking', 'tracking_link', 'ready', n::text"
        " FROM generate_series(0, $1::int * $2::int - 1) n",
        ACCOUNTS, POOL,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, event_types)"
        " VALUES ('D', 'team', 'postback', '{}', $1)",
        TYPES,
    )


def click(rng: random.Random, at: datetime, visitor: str) -> tuple[Any, ...]:
    """A click row: (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, link, lease, ecid)."""
    account = rng.randrange(ACCOUNTS)
    name = click_id_at(round(at.timestamp() * 1000))[:10] + f"{rng.getrandbits(53):016d}"
    link = account + ACCOUNTS * rng.randrange(POOL)
    return name, f"S{account}", f"acct_{account}", at, at, visitor, "cookie", link, "exclusive", name


def happenings(rng: random.Random, number: int, clicked: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Five platform events of a fan: (account_id, event_key, kind, fan_id, at, precision, link, detail, source)."""
    account_id, at, link, fan_id = clicked[2], clicked[3], clicked[7], str(number)
    subscribed = (at + timedelta(seconds=rng.randrange(20, 600))).replace(second=0, microsecond=0)
    payment: dict[str, Any] = {"transaction_id": f"t{number}", "type": "new_subscription", "status": "done"}
    payment |= {"gross_cents": 500, "net_cents": 400, "description": "Subscription"}
    yield account_id, f"sub:{number}", "subscribed", fan_id, subscribed, 60, None, {"price_cents": 500}, "webhook"
    yield account_id, f"link:{link}:{number}", "link_subscriber", fan_id, subscribed, 60, link, {}, "poll"
    yield (
        account_id,
        f"tx:t{number}:done",
        "transaction",
        fan_id,
        subscribed + timedelta(seconds=9),
        0,
        None,
        payment,
        "poll",
    )
    for message in range(2):
        later = subscribed + timedelta(hours=1 + message)
        yield account_id, f"msg:{number}-{message}", "message", fan_id, later, 0, None, {"is_tip": False}, "webhook"


async def fill(connection: postgres.Connection, fans: int, background: int) -> None:
    """Clicks, one per fan among the background, and the fans' events, all due."""
    rng = random.Random(1)
    start = datetime.now(UTC) - timedelta(days=30)
    spread = [start + timedelta(seconds=rng.random() * 29 * 86400) for _ in range(fans + background)]
    clicks = [click(rng, at, f"v{number}") for number, at in enumerate(spread)]
    events = [event for number, clicked in enumerate(clicks[:fans]) for event in happenings(rng, number, clicked)]
    await connection.copy_records_to_table(
        "clicks",
        records=sorted(clicks),
        columns=["click_id", "smart_link_id", "account_id", "clicked_at", "last_visit_at", "visitor", "visitor_by",
                 "inventory_link_id", "lease", "ecid"],
    )  # fmt: skip
    await connection.executemany(
        "INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, precision_seconds, inventory_link_id, detail,"
        " source) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        events,
    )
    await connection.execute(
        "INSERT INTO fans (account_id, fan_id) SELECT DISTINCT account_id, fan_id FROM platform_events"
    )
    await connection.execute("INSERT INTO fan_queue (account_id, fan_id) SELECT account_id, fan_id FROM fans")
    await connection.execute("ANALYZE")


async def fold_all(pool: postgres.Pool) -> float:
    """Seconds one worker takes for all fans."""
    started = time.perf_counter()
    while (await fold_due(pool, price_wait=300))[0]:
        pass
    return time.perf_counter() - started


async def insert_bare(connection: postgres.Connection, fans: int) -> float:
    """Seconds the same rows take as plain inserts into identical tables, in as many transactions."""
    batches: list[list[tuple[str, Sequence[tuple[Any, ...]]]]] = [[] for _ in range(-(-fans // BATCH))]
    for table in WRITTEN:
        await connection.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
        rows = await connection.fetch(f"SELECT * FROM {table}")
        names = [name for name in rows[0].keys() if name != "binding_id"]  # noqa: SIM118 - a record iterates over values
        places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        query = f"INSERT INTO bare_{table} ({', '.join(names)}) VALUES ({places})"
        values = [tuple(row[name] for name in names) for row in rows]
        size = -(-len(values) // len(batches))
        for index, batch in enumerate(batches):
            batch.append((query, values[index * size : (index + 1) * size]))
    started = time.perf_counter()
    for batch in batches:
        async with connection.transaction():
            for query, part in batch:
                await connection.executemany(query, part)
    return time.perf_counter() - started


async def measure(url: str, fans: int, background: int) -> dict[str, float]:
    """Fold, then insert; the figures."""
    pool = await postgres.open_pool(url, command_timeout=600)
    try:
        async with pool.acquire() as connection:
            await postgres.migrate(connection)
            await furnish(connection)
            await fill(connection, fans, background)
        folding = await fold_all(pool)
        async with pool.acquire() as connection:
            counts = {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in WRITTEN}
            expected = {"bindings": fans, "conversions": 5 * fans, "delivery_events": 5 * fans, "deliveries": 5 * fans}
            if counts != expected:
                raise SystemExit(f"wrong result: {counts}, expected {expected}")
            bare = await insert_bare(connection, fans)
        return {
            "fans": fans,
            "background_clicks": background,
            "fold_seconds": round(folding, 3),
            "bare_seconds": round(bare, 3),
            "events_per_second": round(EVENTS_PER_FAN * fans / folding),
            "conversions_per_second": round(counts["conversions"] / folding),
            "ratio_to_bare_inserts": round(bare / folding, 3),
        }
    finally:
        await pool.close()


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fans", type=int, default=4000)
    parser.add_argument("--background", type=int, default=200_000, help="other clicks in the table")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with database() as database_url:
        figures = uvloop.run(measure(database_url, options.fans, options.background))
    tell(figures, options.json)


if __name__ == "__main__":
    main()
