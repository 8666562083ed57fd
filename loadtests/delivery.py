"""How fast delivery is: `python -m loadtests.delivery [PART ...] [--json]`, all parts by default, each a minute or two.

- get: GET postbacks per core of the dispatcher, against a bare aiohttp loop to the same sink (budget: 0.6 of it).
- capi: Meta events per core against GET postbacks, both to a sink that accepts everything (budget: 20 times).
- latency: milliseconds from a webhook taken in to its postback received, on the idle whole product (budget: p99 250 ms).
- claim: the time to lease a batch behind a million delivered rows, against none (budget: twice).

Exits non-zero when a budget is missed. "Per core" is per CPU second of this process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import msgspec
import uvloop

from loadtests import pixel_rate, postback_rate
from loadtests.demo.stage import Stage
from loadtests.emulators.receiver import Received
from loadtests.scratch import database
from postbacks.queue import Queue
from tracker import logs
from tracker.settings import Settings
from tracker.stores import postgres
from tracker.stores.urls import database_url

BUDGETS = {"get": 0.6, "capi": 20.0, "latency": 250.0, "claim": 2.0}
AT_LEAST = ("get", "capi")
POSTBACK = {"smart_link_scope": "global", "conversion_types": ["new_subscriber", "new_transaction"]}
FILL = """
WITH e AS (INSERT INTO delivery_events (event_id, day, event_type, occurred_at, facts)
    SELECT $1 || n, current_date, 'new_transaction', now(), '{"conversion_id": "x"}' FROM generate_series(1, $2::int) n RETURNING event_id)
INSERT INTO deliveries (event_id, destination_id, day, state, finished_at, attempts)
SELECT event_id, 'd' || (row_number() OVER ()) % 10, current_date, $3, CASE WHEN $3 = 'delivered' THEN now() END,
       CASE WHEN $3 = 'delivered' THEN 1 ELSE 0 END FROM e
"""


def get(options: argparse.Namespace) -> dict[str, Any]:
    """GET postbacks, from outbox rows to settled and logged."""
    wanted = argparse.Namespace(rounds=options.rounds, events=options.events, destinations=1, concurrency=32)
    with postback_rate.sink(options.delay_ms) as told, database() as stored:
        figures = uvloop.run(postback_rate.run(wanted, stored, told["url"]))
    return {"result": figures["ratio_per_core"], **figures}


def capi(options: argparse.Namespace) -> dict[str, Any]:
    """Meta's batches, to a sink that says it received them."""
    wanted = argparse.Namespace(rounds=options.rounds, events=options.events)
    with postback_rate.sink(options.delay_ms) as told, database() as stored:
        figures = uvloop.run(pixel_rate.run(wanted, stored, told["url"], told["url"]))
        counts = postback_rate.received(told["url"])
    return {"result": figures["ratio_per_core"], **figures, "received": counts}


def latency(options: argparse.Namespace) -> dict[str, Any]:
    """Tips of one fan, one at a time, through the whole product."""
    with tempfile.TemporaryDirectory(prefix="clickbind-bench-") as name:
        Path(name).chmod(0o711)
        return asyncio.run(_latency(Path(name) / "data", options.tips))


async def _latency(data_dir: Path, tips: int) -> dict[str, Any]:
    stage = Stage(Settings(log_level="error"), data_dir, people=5, seed=3)
    try:
        await stage.start(lambda text: print(text, file=sys.stderr))
        await stage.api("DELETE", f"smart-link-postbacks/{stage.postback_id}")
        url = f"{stage.receiver_url}/p/latency?id={{conversion_id}}&type={{conversion_type}}"
        await stage.api("POST", "smart-link-postbacks", POSTBACK | {"url": url})
        connection = await asyncpg.connect(database_url(stage.settings))
        headers = {"User-Agent": "Mozilla/5.0 (iPhone)", "X-Forwarded-For": "198.51.100.9"}
        async with stage.session.get(stage.link_url("native"), allow_redirects=False, headers=headers) as answer:
            fan = await stage.admin("fans/subscribe", {"link_url": answer.headers["Location"]})
        await _postbacks(stage, 1)
        stages: list[dict[str, float]] = []
        for number in range(tips):
            # Long enough that nothing of the last one is left, and at no fixed phase of anybody's clock.
            await asyncio.sleep(1.0 + (number * 0.137) % 0.5)
            before = await connection.fetchval("SELECT clock_timestamp()")
            tip = {"account_id": fan["account_id"], "fan_id": fan["fan_id"], "amount": 5 + number}
            await stage.admin("fans/tip", tip)
            arrived = (await _postbacks(stage, number + 2))[-1].at
            row = await connection.fetchrow(
                "SELECT (SELECT min(received_at) FROM webhooks WHERE received_at >= $1 AND event_type = 'transactions.new') AS webhook,"
                " (SELECT min(first_seen_at) FROM platform_events WHERE first_seen_at >= $1) AS event,"
                " (SELECT max(created_at) FROM deliveries WHERE created_at >= $1) AS delivery",
                before,
            )
            assert row is not None
            if row["webhook"] is None or row["webhook"] > row["event"]:
                continue  # the poll of transactions was quicker than the vendor's webhook
            begun = row["webhook"].timestamp()
            stages.append(
                {
                    "event": row["event"].timestamp() - begun,
                    "credit": row["delivery"].timestamp() - begun,
                    "all": arrived - begun,
                }
            )
        await connection.close()
    finally:
        await stage.stop()
    waits = sorted(1000 * each["all"] for each in stages)
    return {
        "result": round(waits[min(len(waits) - 1, int(0.99 * len(waits)))], 1),
        "tips": tips,
        "told_by_webhook": len(waits),
        "p50_ms": round(median(waits), 1),
        "max_ms": round(waits[-1], 1),
        **{f"p50_ms_until_{name}": round(1000 * median(each[name] for each in stages), 1) for name in ("event", "credit")},
    }  # fmt: skip


async def _postbacks(stage: Stage, count: int) -> list[Received]:
    async with asyncio.timeout(60):
        while True:
            async with stage.session.get(f"{stage.receiver_url}/__admin/counts") as answer:
                if (await answer.json()).get("latency", 0) >= count:
                    break
            await asyncio.sleep(0.05)
    async with stage.session.get(f"{stage.receiver_url}/__admin/requests", params={"name": "latency"}) as answer:
        return msgspec.json.decode(await answer.read(), type=list[Received])


def claim(options: argparse.Namespace) -> dict[str, Any]:
    """Leases among rows that were delivered long ago, and among none."""
    with database() as url:
        return asyncio.run(_claim(url, options.delivered, options.waiting))


async def _claim(url: str, delivered: int, waiting: int) -> dict[str, Any]:
    pool = await postgres.open_pool(url, max_size=2, command_timeout=300)
    async with pool.acquire() as connection:
        await postgres.migrate(connection)
    for number in range(10):
        await pool.execute(
            "INSERT INTO destinations (destination_id, team_id, kind, config, event_types) VALUES ($1, 't', 'postback', '{}', '{}')",
            f"d{number}",
        )
    await pool.execute(FILL, "small", 2000, "waiting")
    await pool.execute("VACUUM ANALYZE")
    small = await _claim_ms(pool)
    ready_small = await _ready_ms(pool)
    await pool.execute("TRUNCATE deliveries, delivery_events")
    for start in range(0, delivered, 250_000):
        await pool.execute(FILL, f"done{start}-", min(250_000, delivered - start), "delivered")
    await pool.execute(FILL, "due", waiting, "waiting")
    await pool.execute("VACUUM ANALYZE")
    large, ready_large = await _claim_ms(pool), await _ready_ms(pool)
    await pool.close()
    return {
        "result": round(large / small, 2),
        "delivered": delivered,
        "waiting": waiting,
        "claim_ms": round(large, 2),
        "claim_ms_without": round(small, 2),
        "ready_ms": round(ready_large, 2),
        "ready_ms_without": round(ready_small, 2),
    }


async def _claim_ms(pool: postgres.Pool) -> float:
    queue, spans = Queue(pool), []
    for _ in range(15):
        begun = time.perf_counter()
        chunks = await queue.claim({f"d{number}": 20 for number in range(10)}, 60)
        spans.append(1000 * (time.perf_counter() - begun))
        assert sum(map(len, chunks)) == 200
        await queue.release([claimed for chunk in chunks for claimed in chunk.claims()])
    return median(spans)


async def _ready_ms(pool: postgres.Pool) -> float:
    queue, spans = Queue(pool), []
    for _ in range(15):
        begun = time.perf_counter()
        assert len(await queue.ready()) == 10
        spans.append(1000 * (time.perf_counter() - begun))
    return median(spans)


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "get": get,
    "capi": capi,
    "latency": latency,
    "claim": claim,
}


def main() -> int:
    """Measure and print; the exit code says whether the budgets hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="get, capi, latency, claim (default: all)")
    parser.add_argument("--rounds", type=int, default=9, help="of get and capi; the figures are their medians")
    parser.add_argument("--events", type=int, default=5000, help="a round of get and capi")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="of the sink's answers in get and capi")
    parser.add_argument("--tips", type=int, default=40, help="of latency")
    parser.add_argument("--delivered", type=int, default=1_000_000, help="rows of claim")
    parser.add_argument("--waiting", type=int, default=100_000, help="rows of claim")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    logs.configure("bench", "error", "console")  # standard output is the report's
    report: dict[str, dict[str, Any]] = {}
    for name in options.parts or PARTS:
        figures = PARTS[name](options)
        held = figures["result"] >= BUDGETS[name] if name in AT_LEAST else figures["result"] <= BUDGETS[name]
        report[name] = {"budget": BUDGETS[name], "held": held, "load": round(os.getloadavg()[0], 1), **figures}
        if not options.json:
            print(
                f"{name}: {'held' if held else 'MISSED'}  "
                + "  ".join(f"{key}={value}" for key, value in report[name].items())
            )
    if options.json:
        print(json.dumps(report))
    return 0 if all(part["held"] for part in report.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
