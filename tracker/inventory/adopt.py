"""Finds links whose creation was never confirmed: the platform's lists are searched for the names they were given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from tracker.inventory.offers import link_url
from tracker.providers.base import AccountClient, LinkKind, ProviderLink
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.inventory", "keeper.sql")
OLDER = timedelta(days=1)

log = structlog.get_logger()


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """A row without its platform link."""

    inventory_link_id: int
    kind: LinkKind
    offer: str
    name: str
    create_started_at: datetime | None


async def awaited(connection: Connection | Pool, account_id: str) -> dict[tuple[LinkKind, str], Awaited]:
    """All such rows of an account by (kind, name)."""
    rows = await connection.fetch(SQL["awaited"], account_id)
    found = [Awaited(**dict(row)) for row in rows]
    return {(row.kind, row.name): row for row in found}


def ours(link: ProviderLink, rows: Mapping[tuple[LinkKind, str], Awaited]) -> Awaited | None:
    """The row a listed link belongs to. One much older than its row is another installation's of the same name."""
    row = rows.get((link.kind, link.name))
    if row is None:
        return None
    too_old = link.created_at and row.create_started_at and link.created_at < row.create_started_at - OLDER
    return None if too_old else row


async def confirm(
    connection: Connection | Pool, inventory_link_id: int, link: ProviderLink, platform_url: str, username: str
) -> bool:
    """Put a made link into use. False when somebody else did already."""
    url = link_url(platform_url, username, link)
    return bool(
        await connection.fetchval(
            SQL["ready"], inventory_link_id, link.provider_link_id, url, link.claim_limit, link.expires_at
        )
    )


async def search(
    pool: Pool, client: AccountClient, account_id: str, wanted: Iterable[int], platform_url: str, username: str
) -> set[int]:
    """Look for the `wanted` rows in the platform's lists, newest first; returns those found. Others met on the way are taken too."""
    rows = await awaited(pool, account_id)
    missing = set(wanted)
    found: set[int] = set()
    for kind in sorted({row.kind for row in rows.values() if row.inventory_link_id in missing}):
        left = {row.inventory_link_id for row in rows.values() if row.kind == kind and row.inventory_link_id in missing}
        async for page in client.links(kind, newest_first=True):
            for link in page:
                row = ours(link, rows)
                if row is None or row.inventory_link_id in found:
                    continue
                if await confirm(pool, row.inventory_link_id, link, platform_url, username):
                    log.info("link found by name", account_id=account_id, inventory_link_id=row.inventory_link_id)
                found.add(row.inventory_link_id)
                left.discard(row.inventory_link_id)
            if not left:
                break
    return found
