"""whoami, accounts and re-authentication."""

from __future__ import annotations

from typing import Any

from ..clock import iso
from ..payloads import session, usd
from ..records import Account
from .call import ApiError, Call, Endpoint, Reply


async def whoami(call: Call) -> Reply:
    """The key and its team."""
    now = iso(call.now)
    key = {"name": "Emulator key", "created_at": now, "last_used_at": now}
    return Reply({"api_key": key, "team": {"name": "Emulator", "slug": "emulator"}}, bare=True)


def row(account: Account) -> dict[str, Any]:
    """An account as the vendor lists it."""
    alive = account.session_state == "active"
    return {
        "id": account.id,
        "onlyfans_id": str(account.onlyfans_id),
        "onlyfans_username": account.username,
        "onlyfans_email": f"{account.username}@example.com",
        "display_name": account.name,
        "is_authenticated": alive,
        "authentication_progress": "signed_in" if alive else session(account)["progress"],
        "onlyfans_user_data": {
            "id": account.onlyfans_id,
            "username": account.username,
            "name": account.name,
            "subscribePrice": usd(account.subscribe_price),
            "isPerformer": True,
        },
    }


async def accounts(call: Call) -> Reply:
    """All connected accounts, a bare array, filtered by id, username or email."""
    rows = [row(account) for account in call.world.connected("onlyfansapi")]
    for name in ("onlyfans_id", "onlyfans_username", "onlyfans_email"):
        wanted = call.request.query.get(name)
        if wanted:
            rows = [told for told in rows if told[name] == wanted]
    return Reply(rows, bare=True)


async def reauthenticate(call: Call) -> Reply:
    """Start a re-login."""
    account = call.account
    attempt = call.world.sessions.reauthenticate(account)
    url = str(call.request.url.origin().with_path(f"/api/authenticate/{attempt}"))
    return Reply({"success": True, "message": "Re-authentication started.", "polling_url": url}, bare=True)


async def poll(call: Call) -> Reply:
    """The state of a re-login attempt."""
    account_id = call.world.attempts.get(call.request.match_info["attempt"])
    if account_id is None:
        raise ApiError(404, {"error": "attempt_not_found"})
    account = call.world.account(account_id)
    told = session(account)
    state = "authenticated" if account.session_state == "active" else "unauthenticated"
    answer = {
        "state": state,
        "progress": told["progress"],
        "lastAttempt": told["latestAuthAttempt"],
        "account": {"id": account.id, "onlyfans_username": account.username},
    }
    return Reply(answer, bare=True)


ENDPOINTS = [
    Endpoint("GET", "/api/whoami", whoami, credits=0, latency="cached"),
    Endpoint("GET", "/api/accounts", accounts, credits=0, latency="cached"),
    Endpoint("POST", "/api/authenticate/{account}/reauthenticate", reauthenticate, credits=0, live=False),
    Endpoint("GET", "/api/authenticate/{attempt}", poll, credits=0, latency="cached"),
]
