"""Connections: ad platform pixels and fan actions (spec 7, 8). The token goes in and never comes out again.

The vendor's own paths for pixels are not public; these follow its postbacks (upstream 1.2).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import asyncpg
import msgspec
import ulid
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from postbacks.destinations import networks, registry
from postbacks.destinations.base import Destination
from postbacks.schema import ConfigError
from tracker.api.auth import SQL as SHARED
from tracker.api.auth import Caller
from tracker.api.envelope import envelope, page
from tracker.api.errors import Invalid, not_found
from tracker.api.postbacks import (
    DeliveryState,
    Limit,
    Offset,
    Replay,
    delivery_row,
    link_destination,
    removed,
    replayed,
)
from tracker.api.services import Services
from tracker.clicklog import WAKE_CHANNEL
from tracker.secrets import Secrets
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.api", "pixels.sql")
KINDS = tuple(kind for kind in registry.KINDS if kind != "postback")
Scope = Literal["global", "campaign_specific"]


class NewConnection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A connection. `kind`: meta, tiktok, snapchat, creatortraffic, onlyfans_list, onlyfans_note, onlyautomator,
    ofauth_message or onlymonster_message. `config`: as that kind wants it; for a pixel {pixel_id, events}."""

    kind: str
    token: str
    config: dict[str, Any] = {}
    name: str = ""
    smart_link_scope: Scope = "global"
    smart_link_ids: list[str] = []


class ConnectionChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may change. Absent fields stay; `config` is replaced whole. `state: active` resumes a paused connection."""

    name: str | None = None
    token: str | None = None
    config: dict[str, Any] | None = None
    smart_link_scope: Scope | None = None
    smart_link_ids: list[str] | None = None
    state: Literal["active", "paused"] | None = None


def unseal(secrets: Secrets, destination_id: str, sealed: bytes | None) -> dict[str, str]:
    """A destination's secrets. Raises SealError."""
    if sealed is None:
        return {}
    return msgspec.json.decode(secrets.open(sealed, f"destination:{destination_id}"), type=dict[str, str])


@post("/api/connections", status_code=201)
async def create_connection(
    data: JSONBody[NewConnection], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Connect an ad platform or a fan action. The token is encrypted at once and never shown again."""
    if data.kind not in KINDS:
        raise Invalid({"kind": [f"Use one of {', '.join(KINDS)}."]})
    destination = check(services, data.kind, data.config, {"token": data.token})
    _check_scope(data.smart_link_scope, data.smart_link_ids)
    destination_id = ulid.new().str
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            SQL["insert_connection"], destination_id, caller.team_id, data.kind, data.name, data.config,
            _seal(services, destination_id, data.token), data.smart_link_scope, list(destination.event_types),
        )  # fmt: skip
        await link_destination(connection, caller, destination_id, data.smart_link_ids)
    return envelope(await _one(services, caller, destination_id))


@get("/api/connections")
async def list_connections(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    kind: Annotated[str | None, QueryParameter(name="kind")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The team's connections, newest first."""
    rows = await services.pool.fetch(SQL["connections"], caller.team_id, None, kind, limit + 1, offset)
    return page(request, [connection_row(row) for row in rows], limit, offset)


@get("/api/connections/{connection_id:str}")
async def get_connection(
    connection_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One connection, with the match keys its events of the last week carry: an honest forecast of match quality."""
    found = await _one(services, caller, connection_id.upper())
    keys = await services.pool.fetchrow(SQL["match_keys"], found["id"])
    return envelope({**found, "match_keys": dict(keys) if keys else {}})


@patch("/api/connections/{connection_id:str}")
async def change_connection(
    connection_id: FromPath[str],
    data: JSONBody[ConnectionChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Change a connection, or resume it: what waited for it is sent, under its own event ids."""
    row = await _row(services, caller, connection_id.upper())
    destination_id = row["destination_id"]
    config = data.config if data.config is not None else row["config"]
    secrets = {"token": data.token} if data.token is not None else await _secrets(services, caller, destination_id)
    destination = check(services, row["kind"], config, secrets)
    scope = data.smart_link_scope or row["scope"]
    links = data.smart_link_ids if data.smart_link_ids is not None else list(row["links"] or [])
    _check_scope(scope, links)
    sealed = _seal(services, destination_id, data.token) if data.token is not None else None
    name = data.name if data.name is not None else row["name"]
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            SQL["update_connection"], caller.team_id, destination_id, name, config, sealed, scope,
            list(destination.event_types), data.state,
        )  # fmt: skip
        await connection.execute(SHARED["unlink_destination"], destination_id)
        await link_destination(connection, caller, destination_id, links)
        if data.state == "active" and row["state"] != "active":
            await connection.execute(SQL["resume_now"], destination_id)
    await services.redis.publish(WAKE_CHANNEL, b"deliveries")
    return envelope(await _one(services, caller, destination_id))


@delete("/api/connections/{connection_id:str}", status_code=200)
async def delete_connection(
    connection_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Delete a connection; what it was told stays in the log."""
    row = await _row(services, caller, connection_id.upper())
    return await removed(services, caller, row["destination_id"])


@get("/api/connections/{connection_id:str}/deliveries")
async def list_connection_deliveries(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    delivery_state: Annotated[DeliveryState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """A connection's deliveries, newest first, with the platform's answers."""
    row = await _row(services, caller, connection_id.upper())
    rows = await services.pool.fetch(
        SHARED["deliveries"], caller.team_id, row["destination_id"], delivery_state, limit + 1, offset
    )
    return page(request, [delivery_row(delivery) for delivery in rows], limit, offset)


@post("/api/connections/{connection_id:str}/replay", status_code=200)
async def replay_connection(
    connection_id: FromPath[str],
    data: JSONBody[Replay],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Send dead deliveries again, under their own event ids: one, a range, or all."""
    row = await _row(services, caller, connection_id.upper())
    return await replayed(services, row["destination_id"], data)


@get("/api/postback-networks")
async def list_networks(caller: NamedDependency[Caller]) -> dict[str, Any]:
    """Presets of ad networks: the postback URL to fill in, and the macro for `ecid` in the ad's URL."""
    rows = [
        {"name": each.name, "title": each.title, "macro": each.macro, "url": each.url, "fields": each.fields}
        for each in networks.PRESETS.values()
    ]
    return envelope(rows)


def check(services: Services, kind: str, config: dict[str, Any], secrets: dict[str, str]) -> Destination:
    """The destination a configuration makes. Raises Invalid naming the field."""
    try:
        return registry.load(kind, config, secrets, services.settings.service_urls)
    except ConfigError as error:
        field = error.field if error.field == "token" else f"config.{error.field}" if error.field else "config"
        where = "" if error.position is None else f" (at position {error.position})"
        raise Invalid({field: [error.message + where]}) from error


def _check_scope(scope: str, links: list[str]) -> None:
    if scope == "campaign_specific" and not links:
        raise Invalid({"smart_link_ids": ["Name at least one smart link, or use the scope global."]})


def _seal(services: Services, destination_id: str, token: str) -> bytes:
    return services.secrets.seal(msgspec.json.encode({"token": token}), f"destination:{destination_id}")


async def _secrets(services: Services, caller: Caller, destination_id: str) -> dict[str, str]:
    row = await services.pool.fetchrow(SQL["destination"], caller.team_id, destination_id)
    return unseal(services.secrets, destination_id, row["secrets_sealed"] if row else None)


async def _row(services: Services, caller: Caller, destination_id: str) -> asyncpg.Record:
    row = await services.pool.fetchrow(SQL["connections"], caller.team_id, destination_id, None, 1, 0)
    if row is None:
        raise not_found("This connection")
    return row


async def _one(services: Services, caller: Caller, destination_id: str) -> dict[str, Any]:
    return connection_row(await _row(services, caller, destination_id))


def connection_row(row: asyncpg.Record) -> dict[str, Any]:
    """A connection as it is shown: everything but its token."""
    latest = row["latest"]
    return {
        "id": row["destination_id"],
        "kind": row["kind"],
        "name": row["name"],
        "config": row["config"],
        "has_token": row["has_token"],
        "smart_link_scope": row["scope"],
        "smart_link_ids": list(row["links"] or []),
        "conversion_types": list(row["event_types"]),
        "state": row["state"],
        "state_reason": row["state_reason"],
        "waiting": row["waiting"],
        "latest_response": latest and {"succeeded": latest["outcome"] == "delivered", **latest},
        "created_at": row["created_at"].isoformat(),
        "updated_at": row["updated_at"].isoformat(),
    }
