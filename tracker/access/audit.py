"""The audit log: who changed what, when, from where. Written in the transaction of the change, never with secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from tracker.access.caller import Caller
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.access", "audit.sql")
MAX_ID = 2**63 - 1


class Entry(msgspec.Struct, frozen=True):
    """One act. `actor` is the name of that time; `detail` what changed."""

    audit_id: int
    at: datetime
    user_id: str | None
    api_key_id: str | None
    actor: str
    address: str
    action: str
    object_kind: str
    object_id: str
    detail: dict[str, Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries: all when empty. `object_kind` and `object_id` together are the history of one thing."""

    object_kind: str | None = None
    object_id: str | None = None
    action: str | None = None
    user_id: str | None = None
    api_key_id: str | None = None


async def record(
    connection: Connection | Pool,
    caller: Caller,
    action: str,
    object_kind: str,
    object_id: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one act, e.g. `record(c, caller, "smart_link.created", "smart_link", id, {"name": "A"})`.

    Call it inside the change's transaction: either both stand, or neither. `detail` holds JSON values and no secret.
    """
    await connection.execute(
        SQL["record"], caller.team_id, caller.user_id, caller.api_key_id, caller.actor, caller.address,
        action, object_kind, object_id, dict(detail or {}),
    )  # fmt: skip


async def entries(
    db: Connection | Pool, team_id: str, wanted: Wanted | None = None, before: int | None = None, limit: int = 50
) -> list[Entry]:
    """The team's entries, newest first. `before`: an audit_id, the last one of the page before."""
    wanted = wanted or Wanted()
    rows = await db.fetch(
        SQL["entries"], team_id, before, wanted.object_kind, wanted.object_id, wanted.action, wanted.user_id,
        wanted.api_key_id, limit,
    )  # fmt: skip
    return [Entry(**dict(row)) for row in rows]
