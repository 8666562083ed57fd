"""API keys of the team."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tracker.access import keys
from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, envelope, page
from tracker.management.services import Services


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """A key. `permissions`: what it may, at most what its maker may; left out: all its maker may, now and later."""

    name: str
    permissions: list[str] | None = None
    expires_at: datetime | None = None


class KeyName(msgspec.Struct, forbid_unknown_fields=True):
    """A key's new name."""

    name: str


@get("/api/api-keys", permission="api-keys.view")
async def list_keys(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The team's keys, newest first: prefix, maker, permissions, last use, end."""
    rows = await keys.listed(services.pool, caller.team_id, limit + 1, offset)
    return page(request, msgspec.to_builtins(rows), limit, offset)


@get("/api/api-keys/{api_key_id:str}", permission="api-keys.view")
async def get_key(
    api_key_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One key."""
    return envelope(msgspec.to_builtins(await keys.get(services.pool, caller.team_id, api_key_id)))


@post("/api/api-keys", status_code=201, permission="api-keys.manage")
async def create_key(
    data: JSONBody[NewKey], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Make a key. The key itself is in this answer only."""
    made, key = await keys.make(
        services.pool, services.secrets.key_hash, caller, data.name, data.permissions, data.expires_at
    )
    return envelope(msgspec.to_builtins(made) | {"api_key": key})


@patch("/api/api-keys/{api_key_id:str}", permission="api-keys.manage")
async def rename_key(
    api_key_id: FromPath[str],
    data: JSONBody[KeyName],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Rename a key. What it may cannot change: make another."""
    return envelope(msgspec.to_builtins(await keys.rename(services.pool, caller, api_key_id, data.name)))


@delete("/api/api-keys/{api_key_id:str}", status_code=200, permission="api-keys.manage")
async def revoke_key(
    api_key_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    keep_made: Annotated[bool, QueryParameter(name="keep_made")] = False,
) -> dict[str, Any]:
    """Revoke a key at once and for good, and the keys made with it, unless `keep_made=true` (when a key is replaced by one it made)."""
    return envelope({"revoked": await keys.revoke(services.pool, caller, api_key_id, keep_made)})


ROUTES = (
    list_keys,
    get_key,
    create_key,
    rename_key,
    revoke_key,
)
