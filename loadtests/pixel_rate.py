"""Ad platform events per second: the dispatcher's batches against a platform with the real rules, and against GET postbacks.

`python -m loadtests.pixel_rate [--rounds 3] [--events 10000]` starts an embedded PostgreSQL, the fake ad platforms and a sink (each in a
process of its own), delivers so many events to a postback URL and ten times as many to a Meta pixel, which cost less, from outbox
rows to settled and logged, and prints one JSON line. `per_core` is events per CPU second of this process alone.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any

import msgspec
import uvloop

from loadtests.postback_rate import TEMPLATE, dispatched, measured, sink
from loadtests.requests import FACTS
from loadtests.scratch import database, emulator
from postbacks.configuration import DispatcherConfig
from postbacks.events import Event
from postbacks.outbox import enqueue
from tracker import logs
from tracker.garbage import relax_collector
from tracker.stores import postgres

BATCH = 1000
MORE = 10  # events of a pixel for each postback: a round of as many would be over before it has begun, and tell what beginning costs


async def fill(pool: postgres.Pool, event_type: str, number: int, count: int) -> None:
    """Put one round's events of a type, which one destination wants, into the outbox."""
    now = datetime.now(UTC)
    clicked = str(int(now.timestamp() * 1000))
    for start in range(0, count, BATCH):
        events = []
        for n in range(start, min(start + BATCH, count)):
            own = {"conversion_id": f"{event_type}-{number}-{n}", "external_click_id": f"c{n}", "_click_ms": clicked}
            own |= {"_ip": f"198.51.{n // 256 % 256}.{n % 256}", "_fbp": f"fb.1.{clicked}.{n}"}
            events.append(Event(own["conversion_id"], event_type, now, "t1", "SL", FACTS | own))
        async with pool.acquire() as connection:
            await enqueue(connection, events)
    await pool.execute("VACUUM ANALYZE deliveries")


async def run(options: argparse.Namespace, database_url: str, receiver_url: str, meta_url: str) -> dict[str, Any]:
    """Rounds of both, in turn; the figures are medians."""
    relax_collector()
    pool = await postgres.open_pool(database_url, max_size=4)
    async with pool.acquire() as connection:
        await postgres.migrate(connection)
    insert = (
        "INSERT INTO destinations (destination_id, team_id, kind, config, secrets_sealed, event_types)"
        " VALUES ($1, 't1', $1, $2, $3, $4)"
    )
    token = msgspec.json.encode({"token": "test-token"})
    await pool.execute(insert, "meta", {"pixel_id": "123456789012345"}, token, ["new_subscriber"])
    await pool.execute(insert, "postback", {"url": f"{receiver_url}/p/a{TEMPLATE}"}, None, ["message_received"])
    config = DispatcherConfig(
        egress_allow=("127.0.0.0/8",), concurrency=32, base_urls={"meta": meta_url}, unseal=lambda _, sealed: sealed
    )
    rounds: dict[str, list[dict[str, float]]] = {"meta": [], "postback": []}
    for number in range(options.rounds):
        for kind, event_type, count in (
            ("meta", "new_subscriber", MORE * options.events),
            ("postback", "message_received", options.events),
        ):
            await fill(pool, event_type, number, count)
            rounds[kind].append(await measured(partial(dispatched, pool, config, count), count))
    states = await pool.fetch("SELECT destination_id, state, count(*) FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2")
    await pool.close()
    figures: dict[str, Any] = {
        "rounds": options.rounds,
        "events": options.events,
        "states": [list(row) for row in states],
    }
    for name in ("per_second", "per_core"):
        for kind, measures in rounds.items():
            figures[f"{kind}_{name}"] = median(measure[name] for measure in measures)
        pairs = zip(rounds["meta"], rounds["postback"], strict=True)
        figures[f"ratio_{name}"] = round(median(pixel[name] / get[name] for pixel, get in pairs), 1)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=10000)
    options = parser.parse_args()
    logs.configure("bench", "error", "console")  # standard output is the report's
    with (
        database() as database_url,
        sink() as told,
        emulator("loadtests.emulators.adplatforms", "--count-only") as ads,
    ):
        print(json.dumps(uvloop.run(run(options, database_url, told["url"], ads["meta"]))))


if __name__ == "__main__":
    main()
