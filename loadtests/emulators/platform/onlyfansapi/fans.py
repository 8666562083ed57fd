"""Fan lists, user lookup and notes (upstream spec 1.5, 1.6)."""

from __future__ import annotations

from ..records import Subscription
from . import rows
from .call import Call, Endpoint, Reply, not_found, page


def _listed(call: Call) -> list[Subscription]:
    return [s for s in reversed(call.world.fans.of_account(call.account.id)) if s.listed_at <= call.now]


async def latest(call: Call) -> Reply:
    """Newest subscriptions first; the poll fallback for `subscriptions.new` and `.renewed`."""
    limit = call.number("limit", 10, 1, 50)
    offset = call.number("offset", 0)
    kind = call.choice("type", ("total", "new", "renew"), "total")
    since, until = call.moment("start_date"), call.moment("end_date")
    found = _listed(call)
    if kind != "total":
        found = [s for s in found if s.renewal == (kind == "renew")]
    if since is not None:
        found = [s for s in found if s.at >= since]
    if until is not None:
        found = [s for s in found if s.at <= until]
    fan_ids = list(dict.fromkeys(s.fan_id for s in found))
    window, more, following = page(fan_ids, offset, limit)
    users = [rows.user(call.world, call.account, call.world.people[fan_id]) for fan_id in window]
    return Reply({"users": users, "hasMore": more, "offset": offset + len(window)}, following)


async def active(call: Call) -> Reply:
    """Fans whose subscription runs now."""
    limit = call.number("limit", 10, 1, 20)
    offset = call.number("offset", 0)
    fan_ids = list(dict.fromkeys(s.fan_id for s in _listed(call) if s.at <= call.now < s.expires_at))
    window, more, following = page(fan_ids, offset, limit)
    users = [rows.user(call.world, call.account, call.world.people[fan_id]) for fan_id in window]
    return Reply({"list": users, "hasMore": more}, following)


async def user(call: Call) -> Reply:
    """A profile by id or username."""
    return Reply(rows.user(call.world, call.account, call.fan("user")))


async def get_notes(call: Call) -> Reply:
    """The single note of a fan."""
    return Reply({"notes": call.account.notes.get(call.fan("fan").id, "")})


async def put_notes(call: Call) -> Reply:
    """Replace the note."""
    fan = call.fan("fan")
    call.account.notes[fan.id] = call.text("notes")
    return Reply(rows.user(call.world, call.account, fan))


async def delete_notes(call: Call) -> Reply:
    """Remove the note."""
    fan = call.fan("fan")
    call.account.notes.pop(fan.id, None)
    return Reply(rows.user(call.world, call.account, fan))


async def custom_name(call: Call) -> Reply:
    """Set the creator's own name for the fan."""
    fan = call.fan("fan")
    call.account.custom_names[fan.id] = call.text("custom_name")
    return Reply(rows.user(call.world, call.account, fan))


async def history(call: Call) -> Reply:
    """When the fan was subscribed, newest first."""
    fan = call.fan("fan")
    known = [s for s in call.world.fans.of_fan(call.account.id, fan.id) if s.listed_at <= call.now]
    if not known:
        raise not_found()
    data = rows.subscribed_on(call.world, call.account, fan, known)["subscribes"]
    listed = [{"subscribeDate": s["date"], "expireDate": s["expireDate"], "price": s["price"]} for s in data]
    return Reply({"list": listed, "hasMore": False})


_NOTES = "/api/{account}/fans/{fan}/notes"

ENDPOINTS = [
    Endpoint("GET", "/api/{account}/fans/latest", latest),
    Endpoint("GET", "/api/{account}/fans/active", active),
    Endpoint("GET", "/api/{account}/users/{user}", user),
    Endpoint("GET", "/api/{account}/fans/{fan}/subscriptions-history", history),
    Endpoint("GET", _NOTES, get_notes),
    Endpoint("PUT", _NOTES, put_notes),
    Endpoint("DELETE", _NOTES, delete_notes),
    Endpoint("PUT", "/api/{account}/fans/{fan}/custom-name", custom_name),
]
