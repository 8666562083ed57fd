"""Transactions and chargebacks (upstream spec 1.5)."""

from __future__ import annotations

from datetime import timedelta

from . import rows
from .call import Call, Endpoint, Reply, page

TYPES = {
    "subscribes": ("new_subscription", "recurring_subscription"),
    "tips": ("tip",),
    "post": ("post",),
    "chat_messages": ("message",),
    "stream": ("stream",),
}
DEFAULT_WINDOW = timedelta(days=30)


async def transactions(call: Call) -> Reply:
    """Newest first; the marker is the Unix second of the last row."""
    limit = call.number("limit", 10, 1, 100)
    marker = call.number("marker", 0)
    since = call.moment("startDate") or call.now - DEFAULT_WINDOW
    wanted = call.request.query.get("type", "")
    shown, more = call.world.money.page(
        call.account.id,
        limit,
        since=since,
        marker=marker,
        types=TYPES[call.choice("type", tuple(TYPES), wanted)] if wanted else (),
        tips_source=call.request.query.get("tipsSource"),
    )
    last = int(shown[-1].at.timestamp()) if shown else None
    data = {
        "list": [rows.transaction(call.world, t) for t in shown],
        "marker": last,
        "hasMore": more,
        "nextMarker": last if more else None,
    }
    return Reply(data, {"marker": last} if more else None)


async def chargebacks(call: Call) -> Reply:
    """Newest first."""
    limit = call.number("limit", 10, 1, 100)
    offset = call.number("offset", 0)
    since, until = call.moment("start_date"), call.moment("end_date")
    found = call.world.money.chargebacks(call.account.id)
    if since is not None:
        found = [c for c in found if c.at >= since]
    if until is not None:
        found = [c for c in found if c.at <= until]
    window, _, following = page(found, offset, limit)
    marker = int(window[-1].at.timestamp()) if window else None
    return Reply({"list": [rows.chargeback(call.world, c) for c in window], "marker": marker}, following)


ENDPOINTS = [
    Endpoint("GET", "/api/{account}/transactions", transactions),
    Endpoint("GET", "/api/{account}/chargebacks", chargebacks),
]
