"""Connections: ad platform pixels and fan actions (spec 7, 8). The token goes in and never comes out again.

The vendor's own paths for pixels are not public; these follow its postbacks (upstream 1.2).
"""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from postbacks.destinations import networks
from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, envelope, page
from tracker.management import connections
from tracker.management.connections import ConnectionChange, NewConnection
from tracker.management.destinations import Destination
from tracker.management.services import Services


@post("/api/connections", status_code=201, permission="connections.manage")
async def create_connection(
    data: JSONBody[NewConnection], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Connect an ad platform or a fan action. The token is encrypted at once and never shown again."""
    return envelope(connection_row(await connections.create(services, caller, data)))


@get("/api/connections", permission="connections.view")
async def list_connections(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    kind: Annotated[str | None, QueryParameter(name="kind")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The team's connections, newest first."""
    rows = await connections.page(services, caller, limit + 1, offset, kind)
    return page(request, [connection_row(row) for row in rows], limit, offset)


@get("/api/connections/{connection_id:str}", permission="connections.view")
async def get_connection(
    connection_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One connection, with the match keys its events of the last week carry: an honest forecast of match quality."""
    found = await connections.get(services, caller, connection_id)
    return envelope({**connection_row(found), "match_keys": await connections.match_keys(services, found)})


@patch("/api/connections/{connection_id:str}", permission="connections.manage")
async def change_connection(
    connection_id: FromPath[str],
    data: JSONBody[ConnectionChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Change a connection, or resume it: what waited for it is sent, under its own event ids."""
    return envelope(connection_row(await connections.change(services, caller, connection_id, data)))


@delete("/api/connections/{connection_id:str}", status_code=200, permission="connections.manage")
async def delete_connection(
    connection_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Delete a connection; what it was told stays in the log."""
    await connections.delete(services, caller, connection_id)
    return envelope({"success": True})


@get("/api/postback-networks", permission="postbacks.view")
async def list_networks(caller: NamedDependency[Caller]) -> dict[str, Any]:
    """Presets of ad networks: the postback URL to fill in, and the macro for `ecid` in the ad's URL."""
    rows = [
        {"name": each.name, "title": each.title, "macro": each.macro, "url": each.url, "fields": each.fields}
        for each in networks.PRESETS.values()
    ]
    return envelope(rows)


def connection_row(row: Destination) -> dict[str, Any]:
    """A connection as it is shown: everything but its token."""
    latest = row.latest
    return {
        "id": row.destination_id,
        "number": row.number,
        "kind": row.kind,
        "name": row.name,
        "config": row.config,
        "has_token": row.has_token,
        "smart_link_scope": row.scope,
        "smart_link_ids": row.smart_link_ids,
        "conversion_types": row.event_types,
        "state": row.state,
        "state_reason": row.state_reason,
        "waiting": row.waiting,
        "latest_response": latest
        and {
            "succeeded": latest.succeeded,
            "outcome": latest.outcome,
            "status_code": latest.status_code,
            "verdict": latest.verdict,
            "started_at": latest.started_at.isoformat(),
        },
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }
