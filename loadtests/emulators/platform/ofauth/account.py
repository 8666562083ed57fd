"""whoami and connections (upstream spec 2)."""

from __future__ import annotations

from ..calls import Endpoint, Reply, page
from . import rows
from .call import Call

_ROOT = "/ofauth/v2/account"


async def whoami(call: Call) -> Reply:
    """The organisation of the key."""
    permissions = list(call.world.settings.ofauth_permissions)
    return Reply({"id": "org_emulator", "name": "Emulator", "permissions": permissions})


async def connections(call: Call) -> Reply:
    """All connections, by status."""
    limit = call.number("limit", 20, 1, 100)
    offset = call.number("offset", 0)
    status = call.choice("status", ("active", "expired", "awaiting_2fa", "any"), "any")
    found = [
        rows.connection(account, call.world.settings.ofauth_permissions) for account in call.world.connected("ofauth")
    ]
    if status != "any":
        found = [row for row in found if row["status"] == status]
    if call.choice("imported", ("true", "false"), "false") == "true":
        found = []
    window, more, _ = page(found, offset, limit)
    return Reply({"list": window, "hasMore": more})


async def invalidate(call: Call) -> Reply:
    """Log the creator out."""
    call.world.sessions.move(call.account, "expired")
    return Reply({"success": True})


async def disconnect(call: Call) -> Reply:
    """Remove the connection; other vendors keep theirs."""
    call.account.vendors = tuple(vendor for vendor in call.account.vendors if vendor != "ofauth")
    return Reply({"success": True})


ENDPOINTS = [
    Endpoint("GET", f"{_ROOT}/whoami", whoami, latency="cached", live=False),
    Endpoint("GET", f"{_ROOT}/connections", connections, latency="cached", live=False),
    Endpoint("POST", f"{_ROOT}/connections/{{connection}}/invalidate", invalidate, live=False),
    Endpoint("DELETE", f"{_ROOT}/connections/{{connection}}", disconnect, live=False),
]
