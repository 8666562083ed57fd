"""The links' counters as the provider lists them: which links moved, which are not ours, which are gone."""

from __future__ import annotations

import asyncpg
import msgspec
import structlog

from tracker.accounts.work import Run
from tracker.inventory import adopt
from tracker.inventory.keeper import retire
from tracker.inventory.offers import external_offer
from tracker.inventory.publish import publish_account
from tracker.providers.base import LinkKind, ProviderLink
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.accounts", "reconcile.sql")
MOST_CHECKS = 10

log = structlog.get_logger()


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A link that counts more subscribers than are explained."""

    inventory_link_id: int
    kind: LinkKind
    provider_link_id: str
    external: bool
    missing: int


async def list_counters(run: Run, kind: LinkKind) -> list[Moved]:
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
            elif await adopt.confirm(run.pool, row.inventory_link_id, link, run.platform_url, run.account.username):
                changed = True
    await _take_in(run, kind, list(strangers.values()))
    changed = await _import(run, kind, list(listed.values())) or changed
    if changed or strangers:
        known = {
            row["provider_link_id"]: row for row in await run.pool.fetch(SQL["known"], run.account.account_id, kind)
        }
    moved = await _count(run, kind, known, listed)
    changed = await _retire_gone(run, kind, known, listed) or changed
    if changed:
        await publish_account(run.pool, run.redis, run.account.account_id, run.platform_url)
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


async def _import(run: Run, kind: LinkKind, links: list[ProviderLink]) -> bool:
    """Links of a kind the provider cannot make for us join the pools, where the account says by which names."""
    prefix = run.account.import_prefix
    if prefix is None or kind in run.client.traits.creates:
        return False
    chosen = [link for link in links if link.name.startswith(prefix) and link.url and not link.finished]
    if not chosen:
        return False
    rows = await run.pool.fetch(
        SQL["import"],
        run.account.account_id,
        kind,
        [external_offer(link) for link in chosen],
        [link.provider_link_id for link in chosen],
        [link.name for link in chosen],
        [link.url for link in chosen],
        [link.claim_limit for link in chosen],
        [link.expires_at for link in chosen],
    )
    if rows:
        log.info("links imported", account_id=run.account.account_id, kind=kind, count=len(rows))
    return bool(rows)


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
