"""Finds which link a new subscriber came through: the 'reconcile' job.

No webhook names the link, so the links' counters are listed (one credit per hundred links) and the subscribers of those
whose counter moved are read (upstream spec 1.4). Runs soon after a subscription webhook, again in growing steps while a fan's link is
not found, and slowly without any webhook, since webhooks can be paused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import structlog

from tracker.accounts import feed, inference, newcomers
from tracker.accounts.counters import SQL, Moved, list_counters
from tracker.accounts.facts import Fact, record
from tracker.accounts.looks import Edge, looking_seconds, new_edges, next_look
from tracker.accounts.work import Run, wake
from tracker.protection.tombstones import erased
from tracker.providers.base import LinkSubscriber, ProviderError
from tracker.providers.events import EXACT, FIRST_SEEN, PlatformEvent
from tracker.stores.postgres import Connection, Pool

FIRST_PAGES = 3  # pages of a list read at the first try; four times as many at each further one
MOST_EXTERNAL = 5
LATEST_PAGES = 4
OVERDUE, MISSED_FOR = timedelta(minutes=15), timedelta(days=1)

log = structlog.get_logger()


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A fan told to have subscribed at platform time `at`, and when we heard of it."""

    at: datetime
    heard_at: datetime


@dataclass
class Times:
    """When fans subscribed, as the platform's newest-first list told in this run; read at most once."""

    fans: dict[str, datetime] = field(default_factory=dict)
    read: bool = False


async def reconcile(run: Run) -> float:
    """List the counters, read the lists of links that moved, store what they prove. Returns seconds to the next look."""
    traits = run.client.traits
    if traits.edges == "feed":
        return await feed.follow(run)
    account_id = run.account.account_id
    moved: list[Moved] = []
    for row in await run.pool.fetch(SQL["kinds"], account_id):
        moved += await list_counters(run, row["kind"])
    # Where a guess depends on it that nobody is missing, the newest fans are read too.
    if not traits.tells_fans or (traits.edges == "counters" and moved):
        await newcomers.note(run)
    waiting = await _waiting(run)
    tried = {int(link): times for link, times in (run.state.get("tries") or {}).items()}
    tries: dict[int, int] = {}
    found = 0
    missed = False
    times = Times()
    if traits.edges == "counters":
        return await _infer(run, moved, waiting, tried)
    for link in _worth_reading(run, moved, waiting):
        tries_before = tried.get(link.inventory_link_id, 0)
        told = {fan: fans.at for fan, fans in waiting.items()}
        events = await _read(run, link, told, tries_before, times)
        found += len(events)
        missed = missed or any(_untold(run, event, told) for event in events)
        for event in events:
            waiting.pop(event.fan_id, None)
        if len(events) < link.missing and not link.external:
            tries[link.inventory_link_id] = tries_before + 1
    if not waiting:
        await run.pool.execute(SQL["settle_external"], account_id)
    await _give_up(run, tries)
    run.state["tries"] = {str(link): times for link, times in tries.items()}
    run.state["listed"] = True
    if missed and traits.tells_fans:
        await wake(run.pool, account_id, "messages")
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


def _untold(run: Run, event: PlatformEvent, told: dict[str, datetime]) -> bool:
    """Whether a webhook should have told of it long ago: then messages were missed as well."""
    exact = event.precision_seconds == EXACT and event.fan_id not in told
    return exact and OVERDUE < run.now() - event.at < MISSED_FOR


async def _infer(run: Run, moved: list[Moved], waiting: dict[str, Waiting], tried: dict[int, int]) -> float:
    """Links that only count: pair the one new fan with the one counter that moved, or let go what cannot be told apart."""
    said = inference.verdict(moved, waiting)
    if said == "pair":
        (link,), ((fan_id, fan),) = moved, waiting.items()
        event = inference.guess(link, fan_id, fan.at)
        async with run.pool.acquire() as connection, connection.transaction():
            if await record(connection, [Fact(run.account.account_id, event, "poll")]):
                await connection.execute(SQL["read_up_to"], link.inventory_link_id, 1)
        moved, waiting = [], {}
    elif said == "ambiguous":
        await run.pool.execute(SQL["give_up"], [link.inventory_link_id for link in moved])
        log.info("links and fans cannot be told apart", account_id=run.account.account_id, fans=len(waiting))
        moved = []
    tries = {link.inventory_link_id: tried.get(link.inventory_link_id, 0) + 1 for link in moved}
    await _give_up(run, tries)
    run.state["tries"] = {str(link): times for link, times in tries.items()}
    run.state["listed"] = True
    return _next_run(run, [fan.heard_at for fan in waiting.values()], tries)


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
    times = [min(settings.reconcile_poll, run.client.traits.looks_every or settings.reconcile_poll)]
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


async def _read(run: Run, link: Moved, waiting: dict[str, datetime], tried: int, times: Times) -> list[PlatformEvent]:
    """Page through a link's subscribers until the missing ones are found or the list ends; store them."""
    pages_left = FIRST_PAGES * 4**tried
    found: list[PlatformEvent] = []
    async for page in run.client.subscribers(link.kind, link.provider_link_id):
        if link.kind == "tracking_link" and not link.external:
            page = await _timed(run, link, page, waiting, link.missing - len(found), times)
        found += await _store(run, link, page, waiting, link.missing - len(found))
        pages_left -= 1
        if len(found) >= link.missing or pages_left <= 0:
            break
    if link.external and found:
        # Its list has a past before us; what else it counts is not ours to explain.
        await run.pool.execute(SQL["give_up"], [link.inventory_link_id])
    return found


async def _timed(
    run: Run,
    link: Moved,
    page: list[LinkSubscriber],
    waiting: dict[str, datetime],
    missing: int,
    times: Times,
) -> list[LinkSubscriber]:
    """The page with exact times, where nobody else told one of a new fan: tracking lists show none.

    Without it the moment of our look would stand for the subscription, and a webhook that comes later tell another.
    """
    known = await _edges(run.pool, run, link, page)
    fresh = new_edges(link.inventory_link_id, page, known, waiting, missing, run.now())
    untold = {event.fan_id for event in fresh if event.precision_seconds == FIRST_SEEN}
    if untold - times.fans.keys() and not times.read:
        times.read = True
        try:
            pages_left = LATEST_PAGES
            async for latest in run.client.latest_fans():
                times.fans |= {fan.fan_id: fan.subscribed_at for fan in latest if fan.subscribed_at is not None}
                pages_left -= 1
                if pages_left <= 0 or not untold - times.fans.keys():
                    break
        except ProviderError as error:
            log.info("latest fans not read", account_id=run.account.account_id, reason=error.message)
    return [
        msgspec.structs.replace(row, subscribed_at=times.fans.get(row.fan_id)) if row.fan_id in untold else row
        for row in page
    ]


async def _edges(connection: Connection | Pool, run: Run, link: Moved, page: list[LinkSubscriber]) -> dict[str, Edge]:
    fans = [row.fan_id for row in page]
    rows = await connection.fetch(SQL["edges"], run.account.account_id, fans, link.inventory_link_id)
    edges = {row["fan_id"]: Edge(row["occurrences"], row["latest_here"], row["latest_anywhere"]) for row in rows}
    # An erased fan is never new: nothing is asked about them, and nothing stored.
    now = run.now()
    edges.update(
        (fan, Edge(1, now, now)) for _, fan in await erased(connection, ((run.account.account_id, fan) for fan in fans))
    )
    return edges


async def _store(
    run: Run, link: Moved, page: list[LinkSubscriber], waiting: dict[str, datetime], missing: int
) -> list[PlatformEvent]:
    """The new subscriptions of one page, stored together with how far the link is read."""
    if not page:
        return []
    account_id = run.account.account_id
    async with run.pool.acquire() as connection, connection.transaction():
        known = await _edges(connection, run, link, page)
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
