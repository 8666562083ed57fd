"""`clickbind demo`: plays the cast, balances the books, reports; stays up with a live tail unless `--once`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import asyncpg
from rich.console import Console

from loadtests.demo import books, report
from loadtests.demo.cast import LINKS, Person, plan
from loadtests.demo.stage import Stage
from loadtests.demo.visitors import Played, Visitors
from tracker.access import first_run
from tracker.secrets import installation_secrets
from tracker.settings import Settings
from tracker.stores.urls import database_url

SETTLE_SECONDS = 60.0
LATER_SECONDS = 7 * 3600.0
CHAOS_TARGETS = ("edge", "recorder", "worker", "api", "valkey", "postgres")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """The command. Exit code 0 when every invariant holds."""
    targets = [name for name in options.chaos.split(",") if name]
    unknown = [name for name in targets if name not in CHAOS_TARGETS]
    if unknown:
        print(f"clickbind demo: --chaos {unknown[0]!r}: use {', '.join(CHAOS_TARGETS)}", file=sys.stderr)
        return 2
    if not 20 <= options.fans <= 5000:
        print("clickbind demo: --fans takes 20 to 5000", file=sys.stderr)
        return 2
    return asyncio.run(_demo(settings, options, targets))


async def _demo(settings: Settings, options: argparse.Namespace, targets: list[str]) -> int:
    console = Console(stderr=True)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with _folder(keep=not options.once) as folder:
        stage = Stage(settings, folder, options.fans, options.seed)
        try:
            work = asyncio.create_task(_play(stage, options, targets, console))
            await asyncio.wait({work, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                return 130
            result = await work
            if options.json:
                print(json.dumps(result, indent=2, default=str))
            else:
                report.show(Console(), result)
            if not options.once:
                await _stay(stage, Console(), stopping)
            return 0 if result["ok"] else 1
        except RuntimeError as error:
            print(f"clickbind demo: {error}", file=sys.stderr)
            return 1
        finally:
            await stage.stop()


@contextlib.contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    # The embedded stores want a short path for their sockets; a fresh folder each time keeps the books of one run apart.
    path = Path(tempfile.mkdtemp(prefix="clickbind-demo-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def _play(stage: Stage, options: argparse.Namespace, targets: list[str], console: Console) -> dict[str, Any]:
    started = time.monotonic()
    with console.status("Starting …") as status:
        say: Callable[[str], None] = lambda text: status.update(f"{text} …")  # noqa: E731
        if not console.is_terminal:
            say = _lines(console)
        await stage.start(say)
        people = plan(options.fans, options.seed)
        played = Played()
        visitors = Visitors(
            stage.session,
            stage.platform_url,
            {key: stage.link_url(key) for key in LINKS},
            {key: stage.platform_accounts[username] for key, (username, _, _) in LINKS.items()},
            played,
        )
        done = 0

        def one_done() -> None:
            nonlocal done
            done += 1
            say(f"Visitors: {done} of {len(people)}")

        opened = time.monotonic()
        parts = [asyncio.create_task(visitors.play(person, opened, one_done)) for person in people]
        chaos = asyncio.create_task(_chaos(stage, targets, opened))
        await asyncio.gather(*parts)
        killed = await chaos
        say("Seven hours pass on the platform; late fans subscribe")
        await stage.admin("clock/advance", {"seconds": LATER_SECONDS})
        await asyncio.gather(*(visitors.subscribe_late(person) for person in people if person.late))
        say("Waiting until everything is recorded, credited and delivered")
        invariants, records, received = await _settle(stage, people, played, exact=not killed)
    return report.collect(stage, people, played, invariants, records, received, killed, time.monotonic() - started)


def _lines(console: Console) -> Callable[[str], None]:
    last = ""

    def say(text: str) -> None:
        nonlocal last
        topic = text.split(":")[0]
        if topic != last:
            last = topic
            console.print(f"{text} …")

    return say


async def _chaos(stage: Stage, targets: list[str], opened: float) -> list[str]:
    """kill -9, one target after the other, while the visitors come."""
    killed = []
    for number, name in enumerate(targets):
        await asyncio.sleep(max(0.0, opened + 5 + 3 * number - time.monotonic()))
        pids = [role.process.pid for role in stage.supervisor.roles if role.name == name and role.process is not None]
        pids += [
            store.process.pid for label, store in stage.supervisor.stores if label == name and store.process is not None
        ]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            killed.append(name)
    return killed


async def _settle(
    stage: Stage, people: list[Person], played: Played, exact: bool
) -> tuple[list[books.Invariant], books.Records, list[dict[str, str]]]:
    """Read the books until they balance, or until nothing more can be hoped for."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        truth = await stage.admin("truth")
        received = await _received(stage)
        connection = await asyncpg.connect(database_url(stage.settings), timeout=10)
        try:
            records = await books.read(connection)
        finally:
            await connection.close()
        invariants = books.balance(people, played, truth, records, received, exact)
        if all(invariant.holds for invariant in invariants) or time.monotonic() > deadline:
            return invariants, records, received
        await asyncio.sleep(0.5)


async def _received(stage: Stage) -> list[dict[str, str]]:
    """What the receiver took, one row per accepted request."""
    async with stage.session.get(f"{stage.receiver_url}/__admin/requests?name=demo") as answer:
        rows = await answer.json()
    parsed = []
    for row in rows if isinstance(rows, list) else rows["requests"]:
        if row["answered"] != "ok":
            continue  # refused by the receiver: it must come again
        query = parse_qs(row["query"], keep_blank_values=True)
        parsed.append({name: values[0] for name, values in query.items()})
    return parsed


async def _stay(stage: Stage, console: Console, stopping: asyncio.Event) -> None:
    console.print(
        "\nClickbind stays up. Try it in your own browser: open a link, press Subscribe on the page, watch below.\n"
    )
    for key in LINKS:
        console.print(f"  {key:8} {stage.link_url(key)}?ecid=my-own-click", soft_wrap=True)
    setup = first_run.url(stage.settings, installation_secrets(stage.settings))
    console.print(f"\n  Dashboard       {setup}   choose a name and a password, and see all of this", soft_wrap=True)
    console.print(f"  Management API  http://127.0.0.1:{stage.settings.api_port}/api/smart-links   key {stage.api_key}")
    console.print("\nStop with Ctrl-C.\n")
    # Back to the present, or whoever tries a link now subscribes seven hours after the click.
    await stage.admin("clock/present", {})
    since = datetime.now(UTC)
    connection = await asyncpg.connect(database_url(stage.settings), timeout=10)
    try:
        while not stopping.is_set():
            for row in await connection.fetch(books.SQL["news"], since):
                since = max(since, row["at"])
                console.print(report.news(row), highlight=False, markup=False, soft_wrap=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 0.5)
    finally:
        await connection.close()
