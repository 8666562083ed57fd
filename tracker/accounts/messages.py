"""Reads chats: the 'messages' job.

Where webhooks tell messages, chats are read only after a gap (a session that was down, facts that came without their webhook)
and in a slow sweep. Where nothing tells them, the chats that moved are read at every look. Only fans with a credit count, and
one look takes a bounded number of calls (`allowance`): a fan passed over has their turn at the next.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from tracker.accounts.facts import Fact, record
from tracker.accounts.work import Run
from tracker.providers.base import ProviderError
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.accounts", "messages.sql")
OVERLAP = timedelta(minutes=10)
LATE = timedelta(minutes=2)  # how long after its time a message may show
ACTIVE_DAYS = 14
NEXT_LOOK = 60.0
MOST = 10  # times `messages_budget`: what a sweep, or one look at chats that moved, takes at most
MOST_FANS = 500
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

log = structlog.get_logger()


def allowance(budget: int, waiting: int, left: int | None = None) -> int:
    """Provider calls one look may take. Pure.

    `budget` of them, or as many as fans wait, up to MOST times the budget: hundreds of chats after an outage are read in one
    look, as fast as the provider's pace lets them, instead of a few a minute. `left`: what the sweep may still spend.
    """
    most = budget * MOST
    return min(max(budget, waiting), most if left is None else min(left, most))


async def read(run: Run) -> float:
    """Read what is due within the budget; returns seconds to the next look. Raises ProviderError."""
    means = run.client.traits.messages
    if means == "unreadable":
        return run.settings.messages_sweep
    if means == "polled":
        return max(run.settings.messages_poll, await _moved_chats(run))
    return await _sweep(run)


async def _sweep(run: Run) -> float:
    """A part of a sweep through the chats of all active fans with a credit. A login that came back begins a new one."""
    began = _time(run.state.get("began"))
    calls = int(run.state.get("calls_left", 0))
    if began is None or calls <= 0 or run.account.session_changed_at > began:
        began, calls = run.now(), run.settings.messages_budget * MOST
    fans = await run.pool.fetch(SQL["bound"], run.account.account_id, began, ACTIVE_DAYS, None, MOST_FANS)
    left, pause = await _read_chats(run, fans, allowance(run.settings.messages_budget, len(fans), calls))
    run.state["began"] = began.isoformat()
    run.state["calls_left"] = max(0, calls - run.client.calls) if left or len(fans) == MOST_FANS else 0
    return max(NEXT_LOOK, pause) if run.state["calls_left"] else run.settings.messages_sweep


async def _moved_chats(run: Run) -> float:
    """The chats with something written since the last look. Returns the pause the provider wants, 0 for none."""
    looked = _time(run.state.get("looked"))
    now = run.now()
    moved: dict[str, datetime | None] = {}
    async for page in run.client.chats():
        moved |= {chat.fan_id: chat.last_at for chat in page}
        oldest = min((chat.last_at for chat in page if chat.last_at is not None), default=None)
        until = looked - OVERLAP if looked is not None else run.account.created_at
        if not page or oldest is None or oldest < until or run.client.calls >= run.settings.messages_budget:
            break
    account_id = run.account.account_id
    # A fan may have written before we knew whose they are: every one is read once, whatever moved.
    due = await run.pool.fetch(SQL["bound"], account_id, LONG_AGO, ACTIVE_DAYS, None, MOST_FANS)
    rows = await run.pool.fetch(SQL["bound"], account_id, now, ACTIVE_DAYS, list(moved), MOST_FANS)
    for row in rows:
        at, read_at = moved[row["fan_id"]], row["messages_read_at"]
        if read_at is not None and (at is None or at >= read_at - LATE):
            due.append(row)
    # A chat that stayed over is still in the list then, and its fan's own position says from where to read.
    left, pause = await _read_chats(run, due, allowance(run.settings.messages_budget, len(due)))
    if not left:
        run.state["looked"] = now.isoformat()
    return pause


async def _read_chats(run: Run, fans: list[asyncpg.Record], calls: int) -> tuple[int, float]:
    """Read the fans' chats until the look has taken `calls` calls: (fans left over, seconds the provider wants us to pause).

    A chat the provider refuses for good is passed over and told, it must not keep the others unread. Other ProviderErrors are
    raised, but a throttle or a hiccup after the first chat ends the look as a spent budget does: what was read stays counted.
    """
    account_id = run.account.account_id
    found = 0
    for place, row in enumerate(fans):
        left = len(fans) - place
        if run.client.calls >= calls:
            log.info("messages wait for the next look", account_id=account_id, fans=left)
            return left, 0.0
        try:
            found += await _read_chat(run, row)
        except ProviderError as error:
            if error.kind == "permanent":
                run.problem = f"A chat could not be read: {error.message}"
                await run.pool.execute(SQL["read"], account_id, row["fan_id"], run.now())
            elif place and error.kind in ("throttled", "transient"):
                log.info("messages wait for the next look", account_id=account_id, fans=left, reason=error.kind)
                return left, error.retry_after or 0.0
            else:
                raise
    if fans:
        log.info("messages read", account_id=account_id, fans=len(fans), calls=run.client.calls, found=found)
    return 0, 0.0


async def _read_chat(run: Run, row: asyncpg.Record) -> int:
    """Store a fan's messages since they were last read; older ones than the credit tell nothing."""
    account_id, fan_id = run.account.account_id, row["fan_id"]
    since = max(row["since"], row["messages_read_at"] or row["since"]) - OVERLAP
    now = run.now()
    found = 0
    most = run.client.calls + run.settings.messages_budget  # an endless chat is not everybody's budget
    async for page in run.client.messages(fan_id):
        facts = [Fact(account_id, one.event(fan_id), "poll") for one in page if one.from_fan and one.at >= since]
        async with run.pool.acquire() as connection, connection.transaction():
            found += len(await record(connection, facts))
        if any(one.at < since for one in page) or run.client.calls >= most:
            break
    await run.pool.execute(SQL["read"], account_id, fan_id, now)
    return found


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
