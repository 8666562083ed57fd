"""Tracking and trial links, in both generations of their create bodies (upstream spec 2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..calls import Endpoint, Handler, Reply, page
from ..clock import parse_moment
from ..records import Link, LinkKind
from . import rows
from .call import Call

ROOT = "/ofauth/v2/access/promotions"
DURATIONS = (1, 3, 7, 14, 30, 90, 180, 360)
_SPELLED = {"1d": 1, "3d": 3, "7d": 7, "14d": 14, "30d": 30, "90d": 90, "180d": 180, "360d": 360, "1w": 7, "2w": 14}
_SPELLED |= {"1m": 30, "3m": 90, "6m": 180, "12m": 360, "1y": 360}


def _find(call: Call, kind: LinkKind) -> Link:
    link = call.world.links.get(kind, call.path_number("link"), call.account.id)
    if link is None or link.deleted_at is not None:
        raise call.not_found()
    return link


def _row(call: Call, link: Link) -> Any:
    return rows.tracking_link(call.world, link) if link.kind == "tracking" else rows.trial_link(call.world, link)


def _list(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        limit = call.number("limit", 20, 1, 100)
        offset = call.number("offset", 0)
        deleted = call.choice("with_deleted", ("true", "false", "0", "1"), "false") in ("true", "1")
        stats = call.choice("stats", ("true", "false"), "true") == "true"
        found = list(reversed(call.world.links.of_account(call.account.id, kind)))
        window, more, following = page(found, offset, limit)
        # Deleted links leave holes, so a page can be short.
        shown = [link for link in window if link.deleted_at is None or (deleted and kind == "tracking")]
        listed = [
            rows.tracking_link(call.world, link, stats=stats) if kind == "tracking" else _row(call, link)
            for link in shown
        ]
        if kind == "trial" and call.world.settings.ofauth_list_answer == "array":
            return Reply(listed)
        answer: dict[str, Any] = {"list": listed, "hasMore": more}
        if following is not None:
            answer["nextOffset"] = following["offset"]
        return Reply(answer)

    return handle


async def create_tracking(call: Call) -> Reply:
    """No URL in the answer: an array of one, or an object."""
    link = call.world.links.create_tracking(call.account, call.text("name", 100), [])
    row = {"id": link.id, "name": link.name}
    if call.world.settings.ofauth_link_rows == "full":
        row["campaignCode"] = int(link.code)
    return Reply([row] if call.world.settings.ofauth_create_answer == "array" else row)


def _days(call: Call) -> int:
    value = call.body.get("durationDays")
    days = _SPELLED.get(value) if isinstance(value, str) else value
    if isinstance(days, bool) or days not in DURATIONS:
        raise call.invalid("durationDays", f"durationDays must be one of {DURATIONS}")
    return int(days)


def _expiry(call: Call) -> datetime | None:
    value = call.body.get("expiredAt")
    if value is None:
        return None
    try:
        moment = parse_moment(str(value), call.now)
    except (ValueError, OverflowError):
        raise call.invalid("expiredAt", "expiredAt must be an ISO 8601 time") from None
    if moment <= call.now:
        raise call.invalid("expiredAt", "expiredAt must be in the future")
    return moment


def _create_current(call: Call) -> Link:
    name, days = call.text("name", 64), _days(call)
    offer = call.body.get("offer", {})
    if not isinstance(offer, dict):
        raise call.invalid("offer", "offer must be an object")
    terms = []
    for key, highest in (("limit", 100), ("expirationDays", 30)):
        value = offer.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
            raise call.invalid(f"offer.{key}", f"offer.{key} must be a whole number from 0 to {highest}")
        terms.append(value)
    return call.world.links.create_trial(call.account, name, [], days, terms[0], terms[1])


def _create_legacy(call: Call) -> Link:
    name, days = call.text("trialLinkName", 100), call.whole("subscribeDays", 1, 365)
    limit, expires_at = call.whole("subscribeCounts", 1, default=0), _expiry(call)
    link = call.world.links.create_trial(call.account, name, [], days, limit, 0)
    link.expires_at = expires_at
    return link


async def create_trial(call: Call) -> Reply:
    """The current body or that of SDK 3.1.0, as the setting allows. OnlyFans refuses trials on a free page."""
    generation = "legacy" if "trialLinkName" in call.body or "subscribeDays" in call.body else "current"
    if call.world.settings.ofauth_trial_body not in ("both", generation):
        wanted = "durationDays" if generation == "legacy" else "subscribeDays"
        raise call.invalid(wanted, f"{wanted} is required", f"{generation}_trial_body")
    if call.account.subscribe_price == 0:
        raise call.invalid("connection", "Free trial links are not available for free profiles")
    link = _create_legacy(call) if generation == "legacy" else _create_current(call)
    return Reply(_row(call, link))


def _get(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        return Reply(_row(call, _find(call, kind)))

    return handle


def _update(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        link = _find(call, kind)
        field = "trialLinkName" if kind == "trial" and "trialLinkName" in call.body else "name"
        link.name = call.text(field, 100)
        return Reply({"id": link.id, "name": link.name} if kind == "tracking" else {"success": True})

    return handle


def _delete(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        _find(call, kind).deleted_at = call.now
        return Reply({"success": True})

    return handle


async def claimers(call: Call) -> Reply:
    """Everybody who came through a tracking link, newest first; no paging."""
    link = _find(call, "tracking")
    seen = dict.fromkeys(s.fan_id for s in reversed(call.world.fans.of_link(link)) if s.listed_at <= call.now)
    return Reply({"list": [rows.claimer(call.world.people[fan_id]) for fan_id in seen], "hasMore": False})


def _of_kind(kind: LinkKind, create: Handler) -> list[Endpoint]:
    root = f"{ROOT}/{kind}-links"
    one = f"{root}/{{link}}"
    return [
        Endpoint("GET", root, _list(kind), permission="promotions:read"),
        Endpoint("POST", root, create, latency="create", permission="promotions:write"),
        Endpoint("GET", one, _get(kind), permission="promotions:read"),
        Endpoint("PUT", one, _update(kind), permission="promotions:write"),
        Endpoint("DELETE", one, _delete(kind), permission="promotions:write"),
    ]


ENDPOINTS = [
    *_of_kind("tracking", create_tracking),
    *_of_kind("trial", create_trial),
    Endpoint("GET", f"{ROOT}/tracking-links/{{link}}/claimers", claimers, latency="read", permission="promotions:read"),
]
