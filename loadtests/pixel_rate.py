"""Ad platform events per second: the dispatcher's batches against a platform with the real rules, and against GET postbacks.

`python -m loadtests.pixel_rate [--rounds 3] [--events 10000]` starts an embedded PostgreSQL, the fake ad platforms and a counting
receiver (each in a process of its own), delivers the same number of events to a Meta pixel and to a postback URL from outbox rows to
settled and logged, and prints one JSON line. `per_core` is events per CPU second of this process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import uvloop

from loadtests.postback_rate import TEMPLATE, measured, receiver_process
from loadtests.requests import FACTS
from postbacks.dispatcher import DispatcherConfig, run_dispatcher
from postbacks.events import Event
from postbacks.outbox import enqueue
from tracker.garbage import relax_collector
from tracker.stores import postgres
from tracker.stores.embedded import DataFolder, EmbeddedPostgres

BATCH = 1000


@contextmanager
def platform_process() -> Iterator[str]:
    """The fake ad platforms, counting only; yields Meta's base URL."""
    command = [sys.executable, "-m", "loadtests.emulators.adplatforms", "--port", "0", "--count-only"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["meta"]
    finally:
        process.terminate()
        process.wait()


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


async def dispatched(pool: postgres.Pool, meta_url: str) -> None:
    """Run a dispatcher until nothing waits."""
    wake, stop = asyncio.Event(), asyncio.Event()
    config = DispatcherConfig(
        egress_allow=("127.0.0.0/8",), concurrency=32, base_urls={"meta": meta_url}, unseal=lambda _, sealed: sealed
    )
    task = asyncio.create_task(run_dispatcher(pool, config=config, wake=wake, stop=stop))
    while await pool.fetchval("SELECT EXISTS (SELECT FROM deliveries WHERE state = 'waiting')"):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    stop.set()
    await task


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
    rounds: dict[str, list[dict[str, float]]] = {"meta": [], "postback": []}
    for number in range(options.rounds):
        for kind, event_type in (("meta", "new_subscriber"), ("postback", "message_received")):
            await fill(pool, event_type, number, options.events)
            rounds[kind].append(await measured(lambda: dispatched(pool, meta_url), options.events))
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
    with tempfile.TemporaryDirectory() as name, receiver_process() as receiver_url, platform_process() as meta_url:
        folder = DataFolder(Path(name))
        folder.hold()
        server = EmbeddedPostgres(folder)
        server.start()
        try:
            print(json.dumps(uvloop.run(run(options, folder.database_url, receiver_url, meta_url))))
        finally:
            server.stop()
            folder.release()


if __name__ == "__main__":
    main()
