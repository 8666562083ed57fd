"""What a pool needs: how many links to make, which to retire. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

MARGIN = timedelta(hours=1)
RESERVE_MARGIN = timedelta(days=2)


class PooledLink(msgspec.Struct, frozen=True, kw_only=True):
    """A ready link of a pool. `subscribers`: the most anybody has counted."""

    inventory_link_id: int
    role: Literal["pool", "reserve"]
    subscribers: int = 0
    claim_limit: int | None = None
    expires_at: datetime | None = None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as it stands. `window`: the longest of its smart links. `creating`: links on their way, by role."""

    target: int
    window: timedelta
    links: tuple[PooledLink, ...] = ()
    creating: int = 0
    creating_reserve: int = 0


class PoolPlan(msgspec.Struct, frozen=True):
    """What to do: pool links to create, whether to create a reserve, links to retire with the reason."""

    create: int = 0
    create_reserve: bool = False
    retire: tuple[tuple[int, str], ...] = ()


def plan(pool: Pool, now: datetime) -> PoolPlan:
    """Keep `target` links that outlive their leases, and one reserve that is replaced before it wears out."""
    retire: list[tuple[int, str]] = []
    kept = 0
    reserves = [link for link in pool.links if link.role == "reserve"]
    fresh = [link for link in reserves if wear(link, pool.window + RESERVE_MARGIN, 20, now) is None]
    for link in pool.links:
        spent = wear(link, pool.window + MARGIN, 3 if link.role == "pool" else 10, now)
        if spent is not None:
            retire.append((link.inventory_link_id, spent))
        elif link.role == "pool":
            kept += 1
        elif fresh and link not in fresh:
            retire.append((link.inventory_link_id, "replaced"))
    return PoolPlan(
        create=max(0, pool.target - kept - pool.creating),
        create_reserve=not fresh and not pool.creating_reserve,
        retire=tuple(retire),
    )


def wear(link: PooledLink, needed: timedelta, spare_claims: int, now: datetime) -> str | None:
    """Why a link must not be leased any more: its offer ends within `needed`, or fewer than `spare_claims` are left.

    Counters lag behind fans, hence the spare claims.
    """
    if link.expires_at is not None and link.expires_at - now < needed:
        return "offer_ends"
    if link.claim_limit is not None and link.claim_limit - link.subscribers < min(spare_claims, link.claim_limit):
        return "claims_used"
    return None
