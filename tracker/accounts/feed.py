"""Follows a provider's feed of all link users: the 'reconcile' job where there is one (upstream spec 3).

The feed tells link, fan and time together, so no counters are compared and no lists read. It is read from some minutes before the
newest collection known, for collections overlap; what comes twice is one fact.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from tracker.accounts.counters import SQL, list_counters
from tracker.accounts.facts import Fact, record
from tracker.accounts.work import Run
from tracker.providers.base import LinkKind, LinkUse
from tracker.providers.events import EXACT, PlatformEvent

OVERLAP = timedelta(minutes=20)  # what is collected takes up to a quarter of an hour to be so
BEFORE_US = timedelta(days=1)
LIST_EVERY = timedelta(minutes=5)

log = structlog.get_logger()


async def follow(run: Run) -> float:
    """Take in links that are new, then everybody the feed has since the last look. Returns seconds to the next."""
    await _list(run)
    positions = dict(run.state.get("collected") or {})
    found = 0
    for kind in run.client.traits.kinds:
        newest = _time(positions.get(kind))
        since = newest - OVERLAP if newest is not None else run.account.created_at - BEFORE_US
        async for page in run.client.link_users(kind, since):
            found += await _store(run, kind, page)
            newest = max([use.collected_at for use in page] + ([newest] if newest is not None else []), default=newest)
        # Only after the last page, and never ahead of our own clock: what is collected meanwhile must not be skipped.
        if newest is not None:
            positions[kind] = min(newest, run.now()).isoformat()
    run.state["collected"] = positions
    log.info("link users read", account_id=run.account.account_id, calls=run.client.calls, found=found)
    return min(run.settings.reconcile_poll, run.client.traits.looks_every or run.settings.reconcile_poll)


async def _list(run: Run) -> None:
    """The links and their counters, every few minutes: nothing waits for them but imports and retirements."""
    listed = _time(run.state.get("listed_at"))
    if listed is not None and run.now() - listed < LIST_EVERY:
        return
    for kind in run.client.traits.kinds:
        await list_counters(run, kind)
    run.state["listed"] = True
    run.state["listed_at"] = run.now().isoformat()


async def _store(run: Run, kind: LinkKind, page: list[LinkUse]) -> int:
    """The new subscriptions of a page. A link the list did not show yet is remembered as one that is not ours."""
    account_id = run.account.account_id
    page = [use for use in page if use.fan_id != run.account.platform_user_id]
    if not page:
        return 0
    numbers = sorted({use.provider_link_id for use in page})
    async with run.pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(SQL["by_provider_id"], account_id, kind, numbers)
        known = {row["provider_link_id"]: row["inventory_link_id"] for row in rows}
        if unknown := [number for number in numbers if number not in known]:
            await connection.execute(SQL["adopt_unlisted"], account_id, kind, unknown)
            rows = await connection.fetch(SQL["by_provider_id"], account_id, kind, unknown)
            known |= {row["provider_link_id"]: row["inventory_link_id"] for row in rows}
        facts = [Fact(account_id, edge(use, known[use.provider_link_id]), "poll") for use in page]
        return len(await record(connection, facts))


def edge(use: LinkUse, inventory_link_id: int) -> PlatformEvent:
    """The fact that a fan subscribed through a link at an exact time."""
    return PlatformEvent(
        event_key=f"link:{inventory_link_id}:{use.fan_id}:@{int(use.subscribed_at.timestamp())}",
        kind="link_subscriber",
        fan_id=use.fan_id,
        at=use.subscribed_at,
        precision_seconds=EXACT,
        inventory_link_id=inventory_link_id,
        username=use.username,
        name=use.name,
        detail={"username": use.username, "name": use.name},
    )


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
