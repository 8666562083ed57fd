"""`python -m loadtests.chaos`: load, faults, books. Exit code 0 when every book balances, 1 when one does not, 2 on wrong usage."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from loadtests.chaos.books import Books, Records
from loadtests.chaos.injector import Injector
from loadtests.chaos.load import Load
from loadtests.chaos.schedule import FAULTS, Strike, parse, schedule
from loadtests.chaos.stage import ChaosStage
from loadtests.demo.books import Invariant
from loadtests.demo.cast import LINKS
from loadtests.demo.stage import Stage
from tracker.logs import configure
from tracker.settings import load
from tracker.stores.postgres import AWAY

LINK_KEYS = ("meta", "native")
SHOWN = 8


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="seconds of load (default 600)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same schedule and people")
    parser.add_argument("--faults", default="all", help="all, none, or names with commas")
    parser.add_argument("--rate", type=float, default=12.0, help="people a second (default 12)")
    parser.add_argument("--settle", type=float, default=180.0, help="seconds the books may take to balance afterwards")
    parser.add_argument("--plan", action="store_true", help="print the schedule and leave")
    parser.add_argument("--list", action="store_true", help="print the faults and leave")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the data folder")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(f"{fault.name:16}{fault.words}" for fault in FAULTS.values()))
        return 0
    try:
        strikes = schedule(options.seed, options.seconds, parse(options.faults))
    except ValueError as error:
        print(f"loadtests.chaos: --faults: {error}", file=sys.stderr)
        return 2
    if options.plan:
        print(_plan(strikes))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="clickbind-chaos-"))
    folder.chmod(0o711)
    try:
        return asyncio.run(_run(options, strikes, folder))
    finally:
        if options.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _plan(strikes: list[Strike]) -> str:
    return "\n".join(f"{s.at:8.2f} s  {s.fault.name:16} {s.seconds:6.2f} s  {s.fault.words}" for s in strikes)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _run(options: argparse.Namespace, strikes: list[Strike], folder: Path) -> int:
    configure("chaos", "error", "console")
    stage = ChaosStage(
        msgspec.structs.replace(load(os.environ), edge_port=0, api_port=0), folder, pool_target=40, seed=options.seed
    )
    try:
        await stage.start(_topics())
        people = Load(
            options.seed,
            options.rate,
            stage.platform_url,
            {key: stage.link_url(key) for key in LINK_KEYS},
            {key: stage.platform_accounts[LINKS[key][0]] for key in LINK_KEYS},
        )
        injector = Injector(stage, options.seed, _say)
        _say(f"Load for {options.seconds:.0f} s, {len(strikes)} faults")
        async with asyncio.TaskGroup() as group:
            group.create_task(people.run(options.seconds, _say))
            group.create_task(injector.run(strikes))
        _say("The last visitor has left; waiting until the books balance")
        began = time.monotonic()
        invariants, notes = await _settle(stage, people, injector, options.settle)
        report = _report(stage, people, injector, invariants, notes, time.monotonic() - began)
        print(json.dumps(report, indent=2) if options.json else _words(report))
        return 0 if report["balanced"] else 1
    finally:
        await stage.stop()


def _topics() -> Any:
    last = ""

    def say(text: str) -> None:
        nonlocal last
        topic = text.partition(":")[0]
        if topic != last:
            last = topic
            _say(f"{text} …")

    return say


async def _settle(
    stage: ChaosStage, people: Load, injector: Injector, seconds: float
) -> tuple[list[Invariant], list[str]]:
    began = told = time.monotonic()
    deadline = began + seconds
    while True:
        try:
            records = await Records.read(stage.direct_database_url)
        except AWAY:  # the last fault's recovery still goes on
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
            continue
        books = Books(people, injector.windows, records, await received(stage))
        invariants = books.balance()
        if all(each.holds for each in invariants) or time.monotonic() > deadline:
            return invariants, books.notes
        if time.monotonic() - told > 10:
            told = time.monotonic()
            _say(f"{told - began:7.1f} s  not yet: {', '.join(each.name for each in invariants if not each.holds)}")
        await asyncio.sleep(1.0)


async def received(stage: Stage) -> list[dict[str, Any]]:
    """What the receiver took: {event_id, at} per accepted request."""
    async with stage.session.get(f"{stage.receiver_url}/__admin/requests?name=demo") as answer:
        rows = await answer.json()
    taken = [row for row in (rows if isinstance(rows, list) else rows["requests"]) if row["answered"] == "ok"]
    return [{"event_id": parse_qs(row["query"])["cid"][0], "at": row["at"]} for row in taken]


def _report(
    stage: ChaosStage, people: Load, injector: Injector, invariants: list[Invariant], notes: list[str], settled: float
) -> dict[str, Any]:
    latencies = sorted(people.latencies) or [0.0]
    return {
        "balanced": all(each.holds for each in invariants),
        "people": len(people.people),
        "attempted": sum(each.attempted for each in people.people),
        "answered": sum(each.answered for each in people.people),
        "unanswered": dict(people.unanswered),
        "slow": people.slow,
        "fans": sum(bool(each.fan_id) for each in people.people),
        "latency_ms": {f"p{share}": round(latencies[min(len(latencies) - 1, len(latencies) * share // 100)] * 1000, 1)
                       for share in (50, 95, 99, 100)},
        "restarts": dict(stage.restarts()) | {name: store.starts for name, store in stage.stores.items()},
        "faults": [{"name": w.fault.name, "seconds": round(w.done - w.began, 2)} for w in injector.windows],
        "settled_after_seconds": round(settled, 1),
        "notes": notes,
        "books": [asdict(each) | {"holds": each.holds} for each in invariants],
    }  # fmt: skip


def _words(report: dict[str, Any]) -> str:
    lines = [
        f"\n{report['people']} people, {report['attempted']} requests, {report['answered']} answered, not answered {report['unanswered']}",
        f"{report['fans']} fans; latency ms {report['latency_ms']}; started again {report['restarts']}",
        f"settled {report['settled_after_seconds']} s after the last visitor",
        "",
    ]
    for book in report["books"]:
        lines.append(f"{'ok   ' if book['holds'] else 'WRONG'} {book['name']:60} {book['found']} of {book['expected']}")
        lines += [f"        {text}" for text in book["wrong"][:SHOWN]]
        if len(book["wrong"]) > SHOWN:
            lines.append(f"        and {len(book['wrong']) - SHOWN} more")
    lines += [f"note  {note}" for note in report["notes"]]
    lines.append("\nThe books balance." if report["balanced"] else "\nTHE BOOKS DO NOT BALANCE.")
    return "\n".join(lines)
