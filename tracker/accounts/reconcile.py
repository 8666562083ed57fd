"""Finds which link a new subscriber came through: the 'reconcile' job.

No webhook names the link, so the links' counters are listed (one credit per hundred links) and the subscribers of those
whose counter moved are read (upstream spec 1.4). Runs soon after a subscription webhook, again in growing steps while a fan's link is
not found, and slowly without any webhook, since webhooks can be paused.
"""

from __future__ import annotations

from datetime import datetime

import asyncpg
import msgspec
import structlog

from tracker.accounts.facts import Fact, record
from tracker.accounts.looks import Edge, looking_seconds, new_edges, next_look
from tracker.accounts.work import Run
from tracker.inventory import adopt
from tracker.inventory.keeper import retire
from tracker.inventory.offers import external_offer
from tracker.inventory.publish import publish_account
from tracker.providers.base import LinkKind, LinkSubscriber, PlatformEvent, ProviderLink
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.accounts", "reconcile.sql")
FIRST_PAGES = 3  # pages of a list read at the first try; four times as many at each further one
MOST_CHECKS = 10
MOST_EXTERNAL = 5

log = structlog.get_logger()


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A fan told to have subscribed at platform time `at`, and when we heard of it."""

    at: datetime
    heard_at: datetime


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A link that counts more subscribers than are explained."""

    inventory_link_id: int
    kind: LinkKind
    provider_link_id: str
    external: bool
    missing: int


async def reconcile(run: Run) -> float:
    """List the counters, read the lists of links that moved, store what they prove. Returns seconds to the next look."""
    account_id = run.account.account_id
    moved: list[Moved] = []
    for row in await run.pool.fetch(SQL["kinds"], account_id):
        moved += await _list(run, row["kind"])
    waiting = await _waiting(run)
    tried = {int(link): times for link, times in (run.state.get("tries") or {}).items()}
    tries: dict[int, int] = {}
    found = 0
    for link in _worth_reading(run, moved, waiting):
        times = tried.get(link.inventory_link_id, 0)
        told = {fan: fans.at for fan, fans in waiting.items()}
        events = await _read(run, link, told, times)
        found += len(events)
        for event in events:
            waiting.pop(event.fan_id, None)
        if len(events) < link.missing and not link.external:
            tries[link.inventory_link_id] = times + 1
    if not waiting:
        await run.pool.execute(SQL["settle_external"], account_id)
    await _give_up(run, tries)
    run.state["tries"] = {str(link): times for link, times in tries.items()}
    run.state["listed"] = True
    log.info(
        "links reconciled",
        account_id=account_id,
        calls=run.client.calls,
        moved=len(moved),
        found=found,
        waiting=len(waiting),
        unexplained=len(tries),
    )
    return _next_run(run, [fan.heard_at for fan in (await _waiting(run)).values()], tries)


def _worth_reading(run: Run, moved: list[Moved], waiting: dict[str, Waiting]) -> list[Moved]:
    """Our links that moved, newest first. Links that are not ours only when a fan was looked for in vain for a while:
    they tell just why nobody is credited, so a few of them, the least moved, are enough."""
    ours = sorted((link for link in moved if not link.external), key=lambda link: -link.inventory_link_id)
    patience = looking_seconds(run.settings.reconcile_debounce, run.settings.reconcile_retry) / 4
    if not any((run.now() - fan.heard_at).total_seconds() >= patience for fan in waiting.values()):
        return ours
    theirs = sorted((link for link in moved if link.external), key=lambda link: (link.missing, -link.inventory_link_id))
    return ours + theirs[:MOST_EXTERNAL]


def _next_run(run: Run, heard: list[datetime], tries: dict[int, int]) -> float:
    settings = run.settings
    times = [settings.reconcile_poll]
    look = next_look(heard, run.now(), settings.reconcile_debounce, settings.reconcile_retry)
    if look is not None:
        times.append(max(look, 0.5))
    times += [settings.reconcile_retry[tried - 1] for tried in tries.values()]
    return min(times)


async def _waiting(run: Run) -> dict[str, Waiting]:
    """Fans told to have subscribed whose link is looked for."""
    seconds = looking_seconds(run.settings.reconcile_debounce, run.settings.reconcile_retry)
    rows = await run.pool.fetch(SQL["waiting"], run.account.account_id, seconds + 60.0)
    return {row["fan_id"]: Waiting(at=row["at"], heard_at=row["first_seen_at"]) for row in rows}


async def _list(run: Run, kind: LinkKind) -> list[Moved]:
    """Read all counters of a kind and keep them; returns the links that moved. Unknown links are taken in."""
    known = {row["provider_link_id"]: row for row in await run.pool.fetch(SQL["known"], run.account.account_id, kind)}
    rows = await adopt.awaited(run.pool, run.account.account_id)
    listed: dict[str, ProviderLink] = {}
    strangers: dict[str, ProviderLink] = {}
    changed = False
    async for page in run.client.links(kind):
        for link in page:
            listed[link.provider_link_id] = link
            if link.provider_link_id in known:
                continue
            row = adopt.ours(link, rows)
            if row is None:
                strangers[link.provider_link_id] = link
            elif await adopt.confirm(
                run.pool, row.inventory_link_id, link, run.settings.platform_url, run.account.username
            ):
                changed = True
    await _take_in(run, kind, list(strangers.values()))
    if changed or strangers:
        known = {
            row["provider_link_id"]: row for row in await run.pool.fetch(SQL["known"], run.account.account_id, kind)
        }
    moved = await _count(run, kind, known, listed)
    changed = await _retire_gone(run, kind, known, listed) or changed
    if changed:
        await publish_account(run.pool, run.redis, run.account.account_id, run.settings.platform_url)
    return moved


async def _take_in(run: Run, kind: LinkKind, links: list[ProviderLink]) -> None:
    """Remember links that are not ours. What they counted before the first look is not ours to explain."""
    if not links:
        return
    first_look = not run.state.get("listed")
    await run.pool.execute(
        SQL["adopt_external"],
        run.account.account_id,
        kind,
        [external_offer(link) for link in links],
        [link.provider_link_id for link in links],
        [link.name for link in links],
        [link.url for link in links],
        [link.claim_limit for link in links],
        [link.expires_at for link in links],
        [link.clicks or 0 for link in links],
        [link.subscribers or 0 for link in links],
        [(link.subscribers or 0) if first_look else 0 for link in links],
    )


async def _count(
    run: Run, kind: LinkKind, known: dict[str, asyncpg.Record], listed: dict[str, ProviderLink]
) -> list[Moved]:
    counted = [(known[link_id], link) for link_id, link in listed.items() if link_id in known]
    counted.sort(key=lambda pair: pair[0]["inventory_link_id"])
    await run.pool.execute(
        SQL["count"],
        [row["inventory_link_id"] for row, _ in counted],
        [link.clicks or 0 for _, link in counted],
        [link.subscribers or 0 for _, link in counted],
    )
    moved = []
    for row, link in counted:
        subscribers = link.subscribers or 0
        fell = subscribers < row["subscribers_seen"]
        read = min(row["subscribers_read"], subscribers) if fell else row["subscribers_read"]
        if subscribers > read:
            moved.append(
                Moved(
                    inventory_link_id=row["inventory_link_id"],
                    kind=kind,
                    provider_link_id=link.provider_link_id,
                    external=row["role"] == "external",
                    missing=subscribers - read,
                )
            )
    return moved


async def _retire_gone(
    run: Run, kind: LinkKind, known: dict[str, asyncpg.Record], listed: dict[str, ProviderLink]
) -> bool:
    """Links in use that ended or are not listed any more. Absence is asked about: a list can skip a row while it moves."""
    changed = False
    checks = 0
    for link_id, row in known.items():
        if row["state"] != "ready" or row["role"] == "external":
            continue
        link = listed.get(link_id)
        if link is None and checks < MOST_CHECKS:
            checks += 1
            if not await run.client.link_exists(kind, link_id):
                changed = await retire(run, row["inventory_link_id"], "deleted") or changed
        elif link is not None and link.finished:
            changed = await retire(run, row["inventory_link_id"], "ended") or changed
    return changed


async def _read(run: Run, link: Moved, waiting: dict[str, datetime], tried: int) -> list[PlatformEvent]:
    """Page through a link's subscribers until the missing ones are found or the list ends; store them."""
    pages_left = FIRST_PAGES * 4**tried
    found: list[PlatformEvent] = []
    async for page in run.client.subscribers(link.kind, link.provider_link_id):
        found += await _store(run, link, page, waiting, link.missing - len(found))
        pages_left -= 1
        if len(found) >= link.missing or pages_left <= 0:
            break
    if link.external and found:
        # Its list has a past before us; what else it counts is not ours to explain.
        await run.pool.execute(SQL["give_up"], [link.inventory_link_id])
    return found


async def _store(
    run: Run, link: Moved, page: list[LinkSubscriber], waiting: dict[str, datetime], missing: int
) -> list[PlatformEvent]:
    """The new subscriptions of one page, stored together with how far the link is read."""
    if not page:
        return []
    account_id = run.account.account_id
    async with run.pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(SQL["edges"], account_id, [row.fan_id for row in page], link.inventory_link_id)
        known = {row["fan_id"]: Edge(row["occurrences"], row["latest_here"], row["latest_anywhere"]) for row in rows}
        events = new_edges(link.inventory_link_id, page, known, waiting, missing, run.now(), only_waiting=link.external)
        new = await record(connection, [Fact(account_id, event, "poll") for event in events])
        if new and not link.external:
            await connection.execute(SQL["read_up_to"], link.inventory_link_id, len(new))
    return events


async def _give_up(run: Run, tries: dict[int, int]) -> None:
    """Drop (from `tries` too) the links whose list never showed whom the counter counts."""
    hopeless = [link for link, times in tries.items() if times > len(run.settings.reconcile_retry)]
    for link in hopeless:
        del tries[link]
    if hopeless:
        await run.pool.execute(SQL["give_up"], hopeless)
        log.warning("link counters never explained", account_id=run.account.account_id, inventory_link_ids=hopeless)
