"""Tracking links, trial links, their stored copies and tags (upstream spec 1.3, 1.4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from ..clock import iso, micros
from ..payloads import usd
from ..records import Link, LinkKind, Subscription
from . import rows
from .call import Call, Endpoint, Handler, Reply, invalid, not_found, onlyfans_error, page
from .statistics import statistics

DURATIONS = (1, 3, 7, 14, 30, 90, 180, 360)
OFFER_LIMITS = (*range(11), 50, 100)
NAME_LENGTH = 64


def _base(call: Call) -> str:
    return str(call.request.url.origin())


def _find(call: Call, kind: LinkKind) -> Link:
    link = call.world.links.get(kind, call.path_number("link"), call.account.id)
    if link is None:
        raise not_found()
    return link


def _claims(call: Call, link: Link, at: datetime) -> int:
    return sum(1 for s in call.world.fans.of_link(link) if s.counted_at <= at)


def _sorted(call: Call, kind: LinkKind, at: datetime) -> list[Link]:
    found = list(call.world.links.of_account(call.account.id, kind))
    since, until = call.moment("startDate"), call.moment("endDate")
    if since is not None:
        found = [link for link in found if link.created_at >= since]
    if until is not None:
        found = [link for link in found if link.created_at <= until]
    keys: dict[str, Callable[[Link], Any]] = {
        "created_date": lambda link: link.created_at,
        "create_date": lambda link: link.created_at,
        "claims": lambda link: _claims(call, link, at),
        "claims_count": lambda link: _claims(call, link, at),
        "expire_date": lambda link: link.expires_at or datetime.max.replace(tzinfo=link.created_at.tzinfo),
        "subscribe_counts": lambda link: link.offer_limit,
        "subscribe_days": lambda link: link.days,
    }
    if kind == "tracking":
        by = call.choice("sortby", ("claims", "created_date"), "created_date")
    else:
        fields = ("create_date", "expire_date", "subscribe_counts", "subscribe_days", "claims_count")
        by = call.choice("field", fields, "create_date")
    descending = call.choice("sort", ("asc", "desc"), "desc") == "desc"
    if by in ("created_date", "create_date"):
        return found[::-1] if descending else found
    return sorted(found, key=keys[by], reverse=descending)


def _list(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        limit = call.number("limit", 10, 1, 100)
        offset = call.number("offset", 0)
        keep_deleted = call.choice("with_deleted", ("0", "1"), "1") == "1"
        window, more, following = page(_sorted(call, kind, call.now), offset, limit)
        # Deleted links leave holes in the page instead of moving later rows up, so a page can be short.
        shown = [link for link in window if link.deleted_at is None or (keep_deleted and kind == "tracking")]
        listed = [rows.link(call.world, link, _base(call), call.now) for link in shown]
        return Reply({"list": listed, "hasMore": more}, following)

    return handle


def _stored(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        limit = call.number("limit", 10, 1, 1000)
        offset = call.number("offset", 0)
        at = call.now - timedelta(seconds=call.world.settings.stored_age)
        found = [link for link in reversed(call.world.links.of_account(call.account.id, kind)) if link.created_at <= at]
        tags = set(call.request.query.getall("filter[tags][]", []))
        if tags:
            found = [link for link in found if tags & set(link.tags)]
        search = call.request.query.get("filter[search]", "").lower()
        if search:
            found = [link for link in found if search in link.name.lower()]
        window, more, following = page(found, offset, limit)
        listed = [rows.link(call.world, link, _base(call), at) for link in window]
        return Reply({"list": listed, "hasMore": more}, following)

    return handle


async def create_tracking(call: Call) -> Reply:
    """An array of one, other field names than the list, no URL."""
    link = call.world.links.create_tracking(call.account, call.text("name", NAME_LENGTH), call.texts("tags"))
    row = {
        "id": link.id,
        "campaignCode": int(link.code),
        "campaignName": link.name,
        "countSubscribers": 0,
        "countTransitions": 0,
        "createdAt": iso(link.created_at),
        "endDate": None,
    }
    return Reply([row])


def _whole(call: Call, name: str, allowed: tuple[int, ...]) -> int:
    value = call.body.get(name)
    if value is None:
        raise invalid(name, f"The {name} field is required.")
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise invalid(name, f"The selected {name} is invalid.")
    return value


async def create_trial(call: Call) -> Reply:
    """An object with its URL. OnlyFans refuses trials on a free page."""
    days = _whole(call, "duration", DURATIONS)
    offer_limit = _whole(call, "offerLimit", OFFER_LIMITS)
    expires = _whole(call, "offerExpiration", tuple(range(31)))
    name = call.text("name", NAME_LENGTH, required=False)
    tags = call.texts("tags")
    if call.account.subscribe_price == 0:
        raise onlyfans_error(400, "Free trial links are not available for free profiles.")
    link = call.world.links.create_trial(call.account, name, tags, days, offer_limit, expires)
    return Reply(rows.trial_core(call.world, link, 0, call.now), None)


def _get(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        link = _find(call, kind)
        return Reply(rows.link(call.world, link, _base(call), call.now, single=True))

    return handle


def _delete(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        link = _find(call, kind)
        if link.deleted_at is not None:
            raise not_found()
        link.deleted_at = call.now
        return Reply({"success": True})

    return handle


def _subscribers(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        link = _find(call, kind)
        limit = call.number("limit", 10, 1, 100)
        offset = call.number("offset", 0)
        world = call.world
        newest: dict[int, Subscription | None] = {}
        for subscription in reversed(world.fans.of_link(link)):
            if subscription.listed_at <= call.now:
                newest.setdefault(subscription.fan_id, subscription)
        slots: list[int | None] = []
        for fan_id in newest:
            slots.append(fan_id)
            if world.chance(world.settings.hidden_row_rate, "hidden", kind, link.id, fan_id):
                slots.append(None)
        window, more, following = page(slots, offset, limit)
        listed = [
            rows.user(world, call.account, world.people[fan_id], with_data=kind == "trial")
            for fan_id in window
            if fan_id is not None
        ]
        return Reply({"list": listed, "hasMore": more, "marker": None}, following)

    return handle


def _spenders(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        link = _find(call, kind)
        limit = call.number("limit", 50, 1, 100)
        offset = call.number("offset", 0)
        least = call.number("minSpend", 1, 1)
        found = []
        for fan_id, payments in call.world.money.of_link(link):
            undone = sum(t.amount for t in payments if t.status(call.now) == "undo")
            total = sum(t.amount for t in payments) - undone
            if total >= least * 100:
                revenue = {"total": usd(total), "chargebacks": usd(undone), "calculated_at": micros(call.now)}
                name = call.world.people[fan_id].username
                found.append({"onlyfans_id": str(fan_id), "username": name, "revenue": revenue})
        window, _, following = page(found, offset, limit)
        return Reply(window, following)

    return handle


def _stats(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        return Reply(statistics(call, _find(call, kind)))

    return handle


def _tags(kind: LinkKind, change: str) -> Handler:
    async def handle(call: Call) -> Reply:
        link = _find(call, kind)
        if change == "add":
            link.tags = list(dict.fromkeys([*link.tags, *call.texts("tags", required=True)]))
        elif change == "remove":
            gone = set(call.texts("tags", required=True))
            link.tags = [tag for tag in link.tags if tag not in gone]
        return Reply({"tags": list(link.tags)})

    return handle


async def link_tags(call: Call) -> Reply:
    """All tags of the team's links of one type."""
    kinds = {"tracking_links": "tracking", "trial_links": "trial", "smart_links": ""}
    kind = kinds[call.choice("type", tuple(kinds), "tracking_links")]
    tags = {
        tag
        for account in call.world.accounts
        for link in (call.world.links.of_account(account, "trial" if kind == "trial" else "tracking") if kind else [])
        for tag in link.tags
    }
    return Reply({"tags": sorted(tags)})


def _of_kind(kind: LinkKind, create: Handler) -> list[Endpoint]:
    root = f"/api/{{account}}/{kind}-links"
    one = f"{root}/{{link}}"
    return [
        Endpoint("GET", root, _list(kind)),
        Endpoint("POST", root, create, latency="create"),
        Endpoint("GET", one, _get(kind)),
        Endpoint("DELETE", one, _delete(kind)),
        Endpoint("GET", f"{one}/subscribers", _subscribers(kind), latency="read"),
        Endpoint("GET", f"{one}/spenders", _spenders(kind)),
        Endpoint("GET", f"{one}/stats", _stats(kind)),
        Endpoint("GET", f"{one}/tags", _tags(kind, ""), credits=0, latency="cached", live=False),
        Endpoint("POST", f"{one}/tags", _tags(kind, "add"), credits=0, latency="cached", live=False),
        Endpoint("DELETE", f"{one}/tags", _tags(kind, "remove"), credits=0, latency="cached", live=False),
        Endpoint(
            "GET", f"/api/{{account}}/stored/{kind}-links", _stored(kind), credits=0, latency="cached", live=False
        ),
    ]


ENDPOINTS = [
    *_of_kind("tracking", create_tracking),
    *_of_kind("trial", create_trial),
    Endpoint("GET", "/api/link-tags", link_tags, credits=0, latency="cached"),
]
