"""Pools: what they hold, how their leases turn out, how many links they need (spec 3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import get
from litestar.di import NamedDependency

from tracker.access.caller import Caller
from tracker.api.envelope import envelope
from tracker.inventory.pools import report
from tracker.management.services import Services


@get("/api/pools", permission="smart-links.view")
async def list_pools(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """Every pool of the team, per account and offer: size, leased now, leases by kind, and how many links would keep 99.9 %
    of leases exclusive at the present click rate."""
    found = await report(services.pool, services.redis, services.settings, caller.team_id, datetime.now(UTC))
    return envelope([msgspec.to_builtins(pool) for pool in found])
