"""Who a key belongs to: the vendor's call (upstream 1.1), without an envelope."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.di import NamedDependency

from tracker.access.caller import Caller
from tracker.management.services import Services
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.api", "whoami.sql")


@get("/api/whoami", permission="signed-in")
async def whoami(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """The team, the key (null for a session) and what it may do."""
    row = await services.pool.fetchrow(SQL["whoami"], caller.team_id, caller.api_key_id)
    assert row is not None
    key = None
    if row["key_name"] is not None:
        key = {
            "name": row["key_name"],
            "created_at": row["created_at"].isoformat(),
            "last_used_at": row["last_used_at"] and row["last_used_at"].isoformat(),
        }
    return {
        "team": {"name": row["team_name"], "slug": caller.team_id},
        "api_key": key,
        "permissions": sorted(caller.permissions),
    }
