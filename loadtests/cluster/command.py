"""`python -m loadtests.cluster`: the product on a Valkey Cluster; a failover and a resharding under load; books.

Exit code 0 when every book balances, 1 when one does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from redis.crc import key_slot

from loadtests.chaos.books import Books, Records
from loadtests.chaos.command import LINK_KEYS, received
from loadtests.chaos.injector import Window
from loadtests.chaos.load import Load
from loadtests.chaos.schedule import Fault
from loadtests.cluster.producer import Produced, Producer
from loadtests.cluster.stage import SHARDS, ClusterStage
from loadtests.demo.books import Invariant
from loadtests.demo.cast import LINKS
from tracker.clicklog import LINKS_KEY, log_key
from tracker.logs import configure
from tracker.settings import load
from tracker.stores import valkey

SETTLE_SECONDS = 60.0
QUIET = 0.25  # share of the run before the first blow


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.cluster", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="seconds of load (default 40)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--masters", type=int, default=3, help="masters, each with one replica (default 3)")
    parser.add_argument("--rate", type=float, default=400.0, help="clicks a second written to all shards (default 400)")
    parser.add_argument("--wait", type=int, default=0, metavar="N", help="confirm a click only when N replicas have it")
    parser.add_argument(
        "--lag", type=float, default=0.0, metavar="S", help="the replica falls S seconds behind before its master dies"
    )
    parser.add_argument("--blows", default="reshard,failover", help="reshard, failover, both with a comma, or none")
    parser.add_argument("--people", type=float, default=10.0, help="visitors a second through the edges (default 10)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="cb-cluster-"))
    folder.chmod(0o711)
    try:
        return asyncio.run(_run(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _run(options: argparse.Namespace, folder: Path) -> int:
    configure("cluster", "error", "console")
    stage = ClusterStage(
        msgspec.structs.replace(load(os.environ), edge_port=0, api_port=0), folder, options.masters, options.seed
    )
    try:
        await stage.start(_topics())
        spread = await _spread(stage)
        _say(f"Shards per master: {dict(spread)}")
        producer = Producer(stage.cluster.url, SHARDS, options.rate, options.wait, options.seed)
        people = Load(
            options.seed,
            options.people,
            stage.platform_url,
            {key: stage.link_url(key) for key in LINK_KEYS},
            {key: stage.platform_accounts[LINKS[key][0]] for key in LINK_KEYS},
        )
        stop = asyncio.Event()
        producing = asyncio.create_task(producer.run(stop))
        visiting = asyncio.create_task(people.run(options.seconds, _say))
        windows: list[Window] = []
        began = time.monotonic()
        blows = [blow for blow in options.blows.split(",") if blow in ("reshard", "failover")]
        told: dict[str, Any] = {}
        for number, blow in enumerate(blows):
            at = options.seconds * (QUIET + number * (1 - QUIET) / max(1, len(blows)))
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            windows.append(Window(Fault(blow, blow, "valkey", (0.0, 0.0), blow), time.time()))
            told[blow] = await _strike(stage, blow, options.lag)
            windows[-1].done = time.time()
            _say(f"{time.monotonic() - began:7.1f} s  {blow}: {told[blow]}")
        await asyncio.sleep(max(0.0, began + options.seconds - time.monotonic()))
        stop.set()
        produced = await producing
        await visiting
        _say("The last click is written; waiting until the books balance")
        invariants, notes = await _settle(stage, produced, people, windows)
        latencies = sorted(people.latencies) or [0.0]
        report = {
            "balanced": all(each.holds for each in invariants),
            "confirmed": len(produced.confirmed),
            "kept_and_replayed": len(produced.kept),
            "longest_gap_seconds": round(max(produced.longest_gap.values(), default=0.0), 2),
            "shards_per_master": dict(spread),
            "blows": told,
            "people": len(people.people),
            "redirects": sum(each.answered for each in people.people),
            "unanswered": dict(people.unanswered),
            "slow": people.slow,
            "latency_ms": {
                f"p{share}": round(latencies[min(len(latencies) - 1, len(latencies) * share // 100)] * 1000, 1)
                for share in (50, 95, 99, 100)
            },
            "notes": notes,
            "books": [asdict(each) | {"holds": each.holds} for each in invariants],
        }
        print(json.dumps(report, indent=2) if options.json else _words(report))
        return 0 if report["balanced"] else 1
    finally:
        await stage.stop()


def _topics() -> Any:
    last = ""

    def say(text: str) -> None:
        nonlocal last
        if (topic := text.partition(":")[0]) != last:
            last = topic
            _say(f"{text} …")

    return say


async def _spread(stage: ClusterStage) -> Counter[int]:
    return Counter([(await stage.cluster.master_of(log_key(shard))).port for shard in range(SHARDS)])


async def _strike(stage: ClusterStage, blow: str, lag: float) -> str:
    cluster = stage.cluster
    if blow == "failover":
        dead, seconds = await cluster.fail_over(log_key(0), lag)
        await dead.start()  # as a replica of whoever took over
        await cluster.whole()
        return f"the master on port {dead.port} killed; another in its place after {seconds:.2f} s; whole again as its replica"
    began = time.monotonic()
    source = await cluster.master_of(log_key(1))
    target = next(
        [each for each in [await cluster.master_of(log_key(n)) for n in range(SHARDS)] if each is not source].__iter__()
    )
    keys = [log_key(n) for n in range(SHARDS) if (await cluster.master_of(log_key(n))) is source]
    moved = await cluster.move(keys, target)
    slots = [key_slot(key.encode()) for key in keys]
    return f"slots {slots} of {len(keys)} shards from {source.port} to {target.port}: {moved} moved in {time.monotonic() - began:.2f} s"


async def _settle(
    stage: ClusterStage, produced: Produced, people: Load, windows: list[Window]
) -> tuple[list[Invariant], list[str]]:
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        invariants = await _balance(stage, produced)
        books = Books(people, windows, await Records.read(stage.database_url), await received(stage))
        invariants += books.balance()
        if all(each.holds for each in invariants) or time.monotonic() > deadline:
            return invariants, books.notes
        await asyncio.sleep(0.5)


async def _balance(stage: ClusterStage, produced: Produced) -> list[Invariant]:
    connection = await asyncpg.connect(stage.database_url, timeout=10)
    try:
        rows = await connection.fetch(
            "SELECT click_id, count(*) AS found FROM clicks WHERE utm_source IS DISTINCT FROM 'chaos' GROUP BY 1"
        )
        counted = await connection.fetchval("SELECT coalesce(sum(clicks), 0)::bigint FROM click_hours")
        stored = await connection.fetchval("SELECT count(*) FROM clicks WHERE NOT is_bot")
        rejects = await connection.fetchval("SELECT count(*)::int FROM log_rejects")
        published = await connection.fetchval("SELECT count(*)::int FROM smart_links WHERE state <> 'deleted'")
    finally:
        await connection.close()
    client = valkey.connect(stage.cluster.url)
    try:
        links = int(await client.hlen(LINKS_KEY))  # type: ignore[misc, unused-ignore]
        left = sum([int(await client.xlen(log_key(shard))) for shard in range(SHARDS)])
    finally:
        await valkey.close(client)
    recorded = {row["click_id"] for row in rows}
    sent = {each.lower() for each in produced.confirmed | produced.kept}
    lost = sorted(sent - recorded)
    return [
        Invariant("every click written to a log is recorded", len(sent), len(sent & recorded), tuple(lost[:20])),
        Invariant("no click is recorded twice", 0, sum(row["found"] > 1 for row in rows)),
        Invariant("nothing recorded that was not sent", 0, len(recorded - sent)),
        Invariant("hourly counters equal all rows", stored, counted),
        Invariant("no log entry was refused", 0, rejects),
        Invariant("the logs are trimmed", 0, left),
        Invariant("every smart link is published to the cluster", published, links),
    ]


def _words(report: dict[str, Any]) -> str:
    lines = [
        f"\n{report['confirmed']} clicks confirmed, {report['kept_and_replayed']} kept and replayed;"
        f" longest gap of a shard {report['longest_gap_seconds']} s",
        f"{report['people']} people, {report['redirects']} redirects, not answered {report['unanswered']}, latency ms {report['latency_ms']}",
        *(f"{blow}: {words}" for blow, words in report["blows"].items()),
        "",
    ]
    for book in report["books"]:
        lines.append(f"{'ok   ' if book['holds'] else 'WRONG'} {book['name']:50} {book['found']} of {book['expected']}")
        lines += [f"        {text}" for text in book["wrong"][:5]]
    lines += [f"note  {note}" for note in report["notes"]]
    lines.append("\nThe books balance." if report["balanced"] else "\nTHE BOOKS DO NOT BALANCE.")
    return "\n".join(lines)
