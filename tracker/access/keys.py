"""API keys: made, found, listed, revoked. A key is shown once, stored as a keyed hash, and never exceeds its maker."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import msgspec
import ulid

from tracker.access.audit import record
from tracker.access.caller import Caller
from tracker.access.permissions import PERMISSIONS, effective, known, may_grant, of_key
from tracker.management.errors import Invalid, Refused, not_found
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.access", "keys.sql")
NAME_LIMIT = 100


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is shown. `scopes` as given (None: all its maker may), `permissions` what it may at this moment."""

    id: str
    name: str
    prefix: str
    scopes: list[str] | None
    permissions: list[str]
    made_by: str | None
    made_by_email: str | None
    made_by_key: str | None
    state: str  # 'active' | 'expired' | 'revoked' | 'maker_left'
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


async def find(db: Connection | Pool, hash_of: Callable[[str], bytes], key: str, address: str = "") -> Caller | None:
    """The caller a key stands for, None when it is unknown, expired, revoked, or its maker left the team."""
    row = await db.fetchrow(SQL["use"], hash_of(key))
    if row is None:
        return None
    return Caller(
        row["team_id"], row["api_key_id"], row["made_by"], _permissions(row), f"{row['name']} ({row['prefix']}…)", address
    )  # fmt: skip


def _permissions(row: asyncpg.Record) -> frozenset[str]:
    maker = PERMISSIONS if row["role"] is None else effective(row["role"], row["granted"])
    return of_key(maker, row["permissions"])


async def make_key(
    connection: Connection | Pool, hash_of: Callable[[str], bytes], team_id: str, name: str,
    scopes: list[str] | None = None, made_by: str | None = None, made_by_key: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, str]:  # fmt: skip
    """A new key of a team: (its id, the key itself, which is stored only as a keyed hash).

    Without `made_by` nobody stands behind it and it may what its scopes say: everything when they are None.
    """
    api_key_id = ulid.new().str
    key = "cb_" + random.token_urlsafe(32)
    await connection.execute(
        SQL["insert"], api_key_id, team_id, name, key[:8], hash_of(key), scopes, made_by, made_by_key, expires_at
    )
    return api_key_id, key


async def make(
    pool: Pool, hash_of: Callable[[str], bytes], caller: Caller, name: str, scopes: list[str] | None,
    expires_at: datetime | None,
) -> tuple[Key, str]:  # fmt: skip
    """A key of the caller's team, shown this once. Raises Invalid, and Refused (403) for a scope the caller lacks.

    A key made with a key inherits its maker, its limits and its end: it can outdo neither.
    """
    name = _name(name)
    if scopes is not None:
        scopes = known(scopes, "permissions")
        if not scopes:
            raise Invalid({"permissions": ["Name at least one permission, or leave the field out for all of yours."]})
        may_grant(caller.permissions, scopes)
    elif caller.api_key_id is not None:
        scopes = await _scopes(pool, caller)
    if expires_at is not None:
        expires_at = expires_at.replace(tzinfo=UTC) if expires_at.tzinfo is None else expires_at
        if expires_at <= datetime.now(UTC):
            raise Invalid({"expires_at": ["The expires at must be a time to come."]})
    async with pool.acquire() as connection, connection.transaction():
        api_key_id, key = await make_key(
            connection, hash_of, caller.team_id, name, scopes, caller.user_id, caller.api_key_id, expires_at
        )
        await record(
            connection, caller, "api_key.created", "api_key", api_key_id, {"name": name, "permissions": scopes}
        )
        made = await get(connection, caller.team_id, api_key_id)
    return made, key


async def _scopes(pool: Pool, caller: Caller) -> list[str] | None:
    row = await pool.fetchrow(SQL["authority"], caller.team_id, caller.api_key_id)
    if row is None:
        raise Refused(401, "UNAUTHORIZED", "This API key is not known, expired or revoked.")
    scopes: list[str] | None = row["permissions"]
    return scopes


async def authority(db: Connection | Pool, team_id: str, api_key_id: str) -> frozenset[str] | None:
    """What a key may now; None when it is no longer a key."""
    row = await db.fetchrow(SQL["authority"], team_id, api_key_id)
    return None if row is None else _permissions(row)


async def listed(db: Connection | Pool, team_id: str, limit: int, offset: int = 0) -> list[Key]:
    """The team's keys, newest first."""
    return [_key(row) for row in await db.fetch(SQL["keys"], team_id, None, limit, offset)]


async def get(db: Connection | Pool, team_id: str, api_key_id: str) -> Key:
    """One key of the team. Raises Refused (404)."""
    row = await db.fetchrow(SQL["keys"], team_id, api_key_id.upper(), 1, 0)
    if row is None:
        raise not_found("This API key")
    return _key(row)


async def rename(pool: Pool, caller: Caller, api_key_id: str, name: str) -> Key:
    """Another name. What a key may never changes: make another key instead. Raises Refused (404), Invalid."""
    name = _name(name)
    async with pool.acquire() as connection, connection.transaction():
        found = await get(connection, caller.team_id, api_key_id)
        await connection.execute(SQL["rename"], caller.team_id, found.id, name)
        await record(connection, caller, "api_key.renamed", "api_key", found.id, {"from": found.name, "to": name})
        return await get(connection, caller.team_id, found.id)


async def revoke(pool: Pool, caller: Caller, api_key_id: str, keep_made: bool = False) -> list[str]:
    """End a key at once and for good, and the keys made with it unless `keep_made`. Returns the ids of those ended.

    Raises Refused (404), and (403) when the key may more than the caller: nobody disarms those above them.
    """
    async with pool.acquire() as connection, connection.transaction():
        found = await get(connection, caller.team_id, api_key_id)
        may_grant(caller.permissions, found.permissions)
        ended = [
            row["api_key_id"] for row in await connection.fetch(SQL["revoke"], caller.team_id, found.id, keep_made)
        ]
        for each in ended:
            await record(
                connection, caller, "api_key.revoked", "api_key", each, {"name": found.name} if each == found.id else {}
            )
    return ended


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_LIMIT:
        raise Invalid({"name": [f"The name must have 1 to {NAME_LIMIT} characters."]})
    return name


def _key(row: asyncpg.Record) -> Key:
    now = datetime.now(UTC)
    state = "active"
    if row["revoked_at"] is not None:
        state = "revoked"
    elif row["expires_at"] is not None and row["expires_at"] <= now:
        state = "expired"
    elif row["orphaned"]:
        state = "maker_left"
    return Key(
        id=row["api_key_id"], name=row["name"], prefix=row["prefix"], scopes=row["permissions"],
        permissions=sorted(_permissions(row)) if state == "active" else [],
        made_by=row["made_by"], made_by_email=row["maker_email"], made_by_key=row["made_by_key"], state=state,
        created_at=row["created_at"], last_used_at=row["last_used_at"], expires_at=row["expires_at"], revoked_at=row["revoked_at"],
    )  # fmt: skip
