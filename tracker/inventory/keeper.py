"""Keeps every pool of an account filled: the 'pools' job.

A link's row is written before the provider is asked, so whatever happens in between (time-out, crash) the link is found again by its
name. One row asks at most once: a link is never made twice.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

import asyncpg
import msgspec
import structlog

from tracker.accounts.session import describe
from tracker.accounts.work import Run, load_account
from tracker.inventory import adopt
from tracker.inventory.offers import split_offer, terms
from tracker.inventory.plan import Pool as PoolView
from tracker.inventory.plan import PooledLink, PoolPlan, plan
from tracker.inventory.planning import forecast
from tracker.inventory.pools import account_demands
from tracker.inventory.publish import publish_account
from tracker.providers.base import ProviderError
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.inventory", "keeper.sql")
PERIOD = 60.0
LOOK_AGAIN = (5.0, 15.0, 30.0, 60.0, 120.0)
LOST_AFTER = timedelta(minutes=5)
REFUSED_FOR = 900.0

log = structlog.get_logger()


class Wanted(msgspec.Struct, frozen=True):
    """A link to make."""

    offer: str
    role: str
    window: timedelta


async def keep(run: Run) -> float:
    """Find unconfirmed links, retire worn ones, make what is missing, publish. Returns seconds to the next look.

    Raises ProviderError when creation must pause; what was made before is in use by then.
    """
    if not run.account.username:
        await _learn_username(run)
    await publish_account(run.pool, run.redis, run.account.account_id, run.platform_url)
    lost = await _find_unconfirmed(run)
    wanted = await _plan(run)
    _refused(run)
    trouble: ProviderError | None = None
    while wanted and trouble is None:
        batch, wanted = wanted[: run.settings.pool_batch], wanted[run.settings.pool_batch :]
        trouble, unconfirmed = await _create_batch(run, batch)
        lost += unconfirmed
        refused = _refused(run)
        wanted = [link for link in wanted if link.offer not in refused]
    await publish_account(run.pool, run.redis, run.account.account_id, run.platform_url)
    if trouble is not None:
        raise trouble
    looks = int(run.state.get("looks", 0))
    run.state["looks"] = looks + 1 if lost else 0
    return LOOK_AGAIN[min(looks, len(LOOK_AGAIN) - 1)] if lost else PERIOD


async def retire(run: Run, inventory_link_id: int, reason: str) -> bool:
    """Take a link out of use; the caller publishes. False when it was out already."""
    done = await run.pool.fetchval(SQL["retire"], inventory_link_id, reason)
    if done is not None:
        log.info("link retired", account_id=run.account.account_id, inventory_link_id=inventory_link_id, reason=reason)
    return done is not None


async def _learn_username(run: Run) -> None:
    # A tracking link's URL is made of the creator's name, so it has to be known before the first is made.
    await describe(run.pool, run.account, await run.client.info(), run.platform_url)
    account = await load_account(run.pool, run.account.account_id)
    if account is None or not account.username:
        raise ProviderError("transient", "The provider does not tell the creator's username yet.")
    run.account = account


async def _find_unconfirmed(run: Run) -> int:
    """Look for links whose creation was not confirmed; returns how many are still on their way."""
    rows = [row for row in await _links(run) if row["state"] == "creating"]
    if not rows:
        return 0
    wanted = {row["inventory_link_id"] for row in rows}
    account = run.account
    found = await adopt.search(run.pool, run.client, account.account_id, wanted, run.platform_url, account.username)
    now = run.now()
    given_up = [
        row["inventory_link_id"]
        for row in rows
        if row["inventory_link_id"] not in found and now - row["create_started_at"] > LOST_AFTER
    ]
    if given_up:
        await run.pool.execute(SQL["give_up"], given_up)
        log.warning("links never confirmed", account_id=account.account_id, inventory_link_ids=given_up)
    return len(wanted - found - set(given_up))


async def _links(run: Run) -> list[asyncpg.Record]:
    return await run.pool.fetch(SQL["links"], run.account.account_id)


async def _plan(run: Run) -> list[Wanted]:
    """Retire what is worn; returns what to make, reserves first, then pools in turn."""
    rows = defaultdict(list)
    for row in await _links(run):
        rows[row["offer"]].append(row)
    refused = _refused(run)
    targets = await _targets(run, rows)
    plans: list[tuple[Wanted, PoolPlan]] = []
    for offer in await run.pool.fetch(SQL["offers"], run.account.account_id):
        window = timedelta(seconds=offer["window_seconds"])
        decided = plan(
            _view(rows[offer["offer"]], targets.get(offer["offer"], run.settings.pool_target), window), run.now()
        )
        for inventory_link_id, reason in decided.retire:
            await retire(run, inventory_link_id, reason)
        if split_offer(offer["offer"])[0] not in run.client.traits.creates:
            await _import_only(run, offer["offer"], decided)
        elif offer["offer"] not in refused:
            plans.append((Wanted(offer["offer"], "pool", window), decided))
    wanted = [msgspec.structs.replace(link, role="reserve") for link, decided in plans if decided.create_reserve]
    for turn in range(max((decided.create for _, decided in plans), default=0)):
        wanted += [link for link, decided in plans if turn < decided.create]
    return wanted


async def _import_only(run: Run, offer: str, decided: PoolPlan) -> None:
    """A pool of imported links: one of them serves as the reserve, and a person is told how many are wanting."""
    if decided.create_reserve:
        await run.pool.execute(SQL["reserve_imported"], run.account.account_id, offer)
    run.state["imports"] = {**(run.state.get("imports") or {}), offer: decided.create}


async def _targets(run: Run, rows: Mapping[str, Sequence[asyncpg.Record]]) -> dict[str, int]:
    """How many links each pool is to hold at its click rate; says when a pool becomes short, and when it no longer is."""
    short_before = set(run.state.get("short") or ())
    short: list[str] = []
    targets = {}
    for offer, (demand, leases) in (await account_demands(run.pool, run.account.account_id, run.now())).items():
        size = sum(row["role"] == "pool" and row["state"] == "ready" for row in rows.get(offer, ()))
        expected = forecast(demand, size, at_least=run.settings.pool_target, at_most=run.settings.pool_max)
        targets[offer] = expected.target
        if expected.short:
            short.append(offer)
        if expected.short != (offer in short_before):
            (log.warning if expected.short else log.info)(
                "pool is short" if expected.short else "pool is no longer short",
                account_id=run.account.account_id,
                offer=offer,
                size=size,
                needed=expected.needed,
                target=expected.target,
                shared_last_hour=leases.shared,
                expected_shared_share=round(expected.shared_share, 4),
            )
    run.state["short"] = short
    return targets


def _view(rows: list[asyncpg.Record], target: int, window: timedelta) -> PoolView:
    creating = [row["role"] for row in rows if row["state"] == "creating"]
    return PoolView(
        target=target,
        window=window,
        links=tuple(
            PooledLink(
                inventory_link_id=row["inventory_link_id"],
                role=row["role"],
                subscribers=row["subscribers"],
                claim_limit=row["claim_limit"],
                expires_at=row["expires_at"],
            )
            for row in rows
            if row["state"] == "ready"
        ),
        creating=creating.count("pool"),
        creating_reserve=creating.count("reserve"),
    )


async def _create_batch(run: Run, batch: list[Wanted]) -> tuple[ProviderError | None, int]:
    """Make links side by side. Returns (why to stop, links not confirmed)."""
    results = await asyncio.gather(*(_create(run, wanted) for wanted in batch), return_exceptions=True)
    stop: ProviderError | None = None
    uncertain = 0
    for wanted, result in zip(batch, results, strict=True):
        if not isinstance(result, BaseException):
            continue
        if not isinstance(result, ProviderError):
            raise result
        uncertain += result.uncertain
        if result.kind == "permanent":
            # This offer will not be made now (a trial on a free page); the account's other pools go on.
            _refuse(run, wanted.offer, result)
        elif not result.uncertain:
            stop = result
        elif uncertain > 1:
            stop = stop or result  # more than one lost answer in a batch: the provider is ill, leave it alone
    await publish_account(run.pool, run.redis, run.account.account_id, run.platform_url)
    return stop, uncertain


async def _create(run: Run, wanted: Wanted) -> None:
    kind, _ = split_offer(wanted.offer)
    row = await run.pool.fetchrow(SQL["begin"], run.account.account_id, wanted.offer, kind, wanted.role)
    assert row is not None
    number = row["inventory_link_id"]
    try:
        link = await run.client.create_link(kind, row["name"], terms(wanted.offer, wanted.role, wanted.window))
    except ProviderError as error:
        if not error.uncertain:
            await run.pool.execute(SQL["discard"], number)
        log.warning(
            "link not created",
            account_id=run.account.account_id,
            inventory_link_id=number,
            offer=wanted.offer,
            kind=error.kind,
            uncertain=error.uncertain,
            reason=error.message,
        )
        raise
    await adopt.confirm(run.pool, number, link, run.platform_url, run.account.username)


def _refuse(run: Run, offer: str, error: ProviderError) -> None:
    refused = dict(run.state.get("refused") or {})
    refused[offer] = {"until": run.now().timestamp() + REFUSED_FOR, "reason": error.message}
    run.state["refused"] = refused


def _refused(run: Run) -> set[str]:
    """Offers the provider refused lately; why, stays visible on the account meanwhile."""
    now = run.now().timestamp()
    refused = {offer: told for offer, told in (run.state.get("refused") or {}).items() if told["until"] > now}
    run.state["refused"] = refused
    problems = [f"{offer}: {told['reason']}" for offer, told in sorted(refused.items())]
    for offer, wanting in sorted((run.state.get("imports") or {}).items()):
        if wanting:
            problems.append(f"{offer}: {wanting} more links are wanted; make them on the platform, named for import")
    run.problem = "; ".join(problems)
    return set(refused)
