"""Transactions and chargebacks, paged by marker (upstream spec 2)."""

from __future__ import annotations

from ..calls import Endpoint, Reply
from ..onlyfansapi.money import DEFAULT_WINDOW, TYPES
from . import rows
from .call import Call

_ROOT = "/ofauth/v2/access/earnings"


async def transactions(call: Call) -> Reply:
    """Newest first; the marker is the Unix second of the last row, null on the last page."""
    wanted = call.request.query.get("type", "")
    shown, more = call.world.money.page(
        call.account.id,
        call.world.settings.ofauth_earnings_page,
        since=call.moment("startDate") or call.now - DEFAULT_WINDOW,
        marker=call.number("marker", 0),
        types=TYPES[call.choice("type", tuple(TYPES), wanted)] if wanted else (),
        tips_source=call.request.query.get("tipsSource"),
    )
    marker = int(shown[-1].at.timestamp()) if more else None
    return Reply({"list": [rows.transaction(call.world, t) for t in shown], "hasMore": more, "nextMarker": marker})


async def chargebacks(call: Call) -> Reply:
    """Newest first, the same marker."""
    since, until = call.moment("startDate"), call.moment("endDate")
    marker = call.number("marker", 0)
    newest = marker if call.world.settings.marker_inclusive else marker - 1
    found = [
        c
        for c in call.world.money.chargebacks(call.account.id)
        if (since is None or c.at >= since)
        and (until is None or c.at <= until)
        and (not marker or int(c.at.timestamp()) <= newest)
    ]
    limit = call.world.settings.ofauth_earnings_page
    shown, more = found[:limit], len(found) > limit
    last = int(shown[-1].at.timestamp()) if more else None
    return Reply({"list": [rows.chargeback(call.world, c) for c in shown], "hasMore": more, "nextMarker": last})


ENDPOINTS = [
    Endpoint("GET", f"{_ROOT}/transactions", transactions, permission="earnings:read"),
    Endpoint("GET", f"{_ROOT}/chargebacks", chargebacks, permission="earnings:read"),
]
