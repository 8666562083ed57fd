"""Subscribers, notes, user lists, chats (upstream spec 2)."""

from __future__ import annotations

from typing import Any

from ..calls import Endpoint, Reply, page
from ..records import Subscription, UserList
from . import rows
from .call import Call

_ACCESS = "/ofauth/v2/access"
_FILTERS = ("promoId", "trial_id", "duration", "tips", "total_spent", "online")


def _filters(call: Call) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in call.request.query.items():
        if name.startswith("filter"):
            key = name.removeprefix("filter[").removesuffix("]")
            if name != f"filter[{key}]" or key not in _FILTERS:
                raise call.invalid(name, f"Unknown filter {name}", "bad_filter")
            found[key] = value
    return found


def _dollars(call: Call, text: str) -> int:
    try:
        return round(float(text) * 100)
    except (ValueError, OverflowError):
        raise call.invalid("filter", f"{text} is not an amount", "bad_filter") from None


def _matching(call: Call) -> list[Subscription]:
    """Subscriptions shown by now that the query asks for, newest first."""
    kind = call.choice("type", ("all", "active", "expired", "latest"), "all")
    latest = call.choice("latestType", ("total", "new", "renewals"), "total")
    since, until = call.moment("startDate"), call.moment("endDate")
    filters = _filters(call)
    found = [s for s in reversed(call.world.fans.of_account(call.account.id)) if s.listed_at <= call.now]
    if "trial_id" in filters:
        found = [s for s in found if s.link_kind == "trial" and str(s.link_id) == filters["trial_id"]]
    if kind == "latest":
        found = [
            s
            for s in found
            if (latest == "total" or s.renewal == (latest == "renewals"))
            and (since is None or s.at >= since)
            and (until is None or s.at <= until)
        ]
    elif kind != "all":
        running = {s.fan_id for s in found if s.at <= call.now < s.expires_at}
        found = [s for s in found if (s.fan_id in running) == (kind == "active")]
    for name, key in (("total_spent", "total"), ("tips", "tips")):
        if name in filters:
            least = _dollars(call, filters[name])
            found = [s for s in found if call.world.money.spending(call.account.id, s.fan_id, call.now)[key] >= least]
    query = call.request.query.get("query", "").lower()
    if query:
        people = call.world.people
        found = [s for s in found if query in people[s.fan_id].name.lower() or query in people[s.fan_id].username]
    return found


async def subscribers(call: Call) -> Reply:
    """Newest first; a trial link's subscribers are those of `filter[trial_id]`."""
    limit = call.number("limit", 10, 1, call.world.settings.ofauth_page_max)
    offset = call.number("offset", 0)
    fan_ids = list(dict.fromkeys(s.fan_id for s in _matching(call)))
    window, more, following = page(fan_ids, offset, limit)
    listed = [rows.subscriber(call.world, call.account, call.world.people[fan_id]) for fan_id in window]
    answer: dict[str, Any] = {"list": listed, "hasMore": more}
    if following is not None:
        answer["nextOffset"] = following["offset"]
    return Reply(answer)


async def note(call: Call) -> Reply:
    """Replace the note of a fan."""
    fan = call.fan("user")
    notice = call.body.get("notice")
    if not isinstance(notice, str) or len(notice) > 1000:
        raise call.invalid("notice", "notice must be a text of at most 1000 characters")
    call.account.notes[fan.id] = notice
    return Reply({})


async def lists(call: Call) -> Reply:
    """The creator's lists."""
    limit = call.number("limit", 10, 1, 50)
    offset = call.number("offset", 0)
    own = [item for item in call.world.lists.values() if item.account_id == call.account.id]
    window, more, _ = page(own, offset, limit)
    return Reply({"list": [rows.user_list(item) for item in window], "hasMore": more})


async def create_list(call: Call) -> Reply:
    """A new list."""
    item = UserList(1_224_114_000 + call.world.sequence("list"), call.account.id, call.text("name", 100))
    call.world.lists[item.id] = item
    return Reply(rows.user_list(item))


def _list_of(call: Call, list_id: object) -> UserList | None:
    item = call.world.lists.get(list_id) if isinstance(list_id, int) else None
    return item if item is not None and item.account_id == call.account.id else None


async def add_to_list(call: Call) -> Reply:
    """Put a fan on one list."""
    item, fan = _list_of(call, call.path_number("list")), call.fan("user")
    if item is None:
        raise call.not_found()
    if fan.id not in item.members:
        item.members.append(fan.id)
    return Reply(_state(item, has_user=True))


async def take_off_list(call: Call) -> Reply:
    """Take a fan off one list."""
    item, fan_id = _list_of(call, call.path_number("list")), call.path_number("user")
    if item is None or fan_id not in item.members:
        raise call.not_found()
    item.members.remove(fan_id)
    return Reply(_state(item, has_user=False))


def _state(item: UserList, *, has_user: bool) -> dict[str, Any]:
    state = {"id": item.id, "type": "custom", "name": item.name, "hasUser": has_user, "canAddUser": True}
    return {"list": rows.user_list(item), "userState": state}


async def add_to_lists(call: Call) -> Reply:
    """Put a fan on up to five lists; each list succeeds or fails on its own."""
    fan = call.fan("user")
    ids = call.body.get("listIds")
    if not isinstance(ids, list) or not 1 <= len(ids) <= 5:
        raise call.invalid("listIds", "listIds must hold one to five ids")
    done, failed = [], []
    for list_id in ids:
        item = _list_of(call, list_id)
        if item is None:
            failed.append({"listId": list_id, "error": "List not found"})
            continue
        if fan.id not in item.members:
            item.members.append(fan.id)
        done.append({"listId": list_id, "success": True})
    return Reply({"success": done, **({"errors": failed} if failed else {})})


async def chats(call: Call) -> Reply:
    """Chats by their last message."""
    limit = call.number("limit", 10, 1, 20)
    offset = call.number("offset", 0)
    found = call.world.fans.chats(call.account.id)
    if call.choice("order", ("recent", "old"), "recent") == "old":
        found = found[::-1]
    window, more, _ = page(found, offset, limit)
    listed = []
    for fan_id, _at in window:
        fan = call.world.people[fan_id]
        last = call.world.fans.messages(call.account.id, fan_id)[-1]
        row = {"withUser": rows.short_user(fan), "lastMessage": rows.message(call.account, fan, last)}
        listed.append({**row, "unreadMessagesCount": 0})
    return Reply({"list": listed, "hasMore": more})


async def messages(call: Call) -> Reply:
    """A chat, newest first."""
    fan = call.fan("user")
    limit = call.number("limit", 10, 1, 20)
    offset = call.number("offset", 0)
    query = call.request.query.get("query", "").lower()
    found = [m for m in reversed(call.world.fans.messages(call.account.id, fan.id)) if query in m.text.lower()]
    window, more, _ = page(found, offset, limit)
    return Reply({"list": [rows.message(call.account, fan, m) for m in window], "hasMore": more})


async def send(call: Call) -> Reply:
    """Write to a fan."""
    fan = call.fan("user")
    text = call.text("text", 10_000)
    price = call.body.get("price", 0)
    if isinstance(price, bool) or not isinstance(price, int | float) or not (price == 0 or 3 <= price <= 200):
        raise call.invalid("price", "price must be 0 or between 3 and 200")
    sent = call.world.fans.write_to(call.account, fan, text, price=round(price * 100))
    if sent is None:
        raise call.not_found()
    return Reply(rows.message(call.account, fan, sent))


_LISTS = f"{_ACCESS}/users/lists"
_CHAT = f"{_ACCESS}/chats/{{user}}/messages"

ENDPOINTS = [
    Endpoint("GET", f"{_ACCESS}/subscribers", subscribers, latency="read", permission="subscribers:read"),
    Endpoint("PUT", f"{_ACCESS}/subscribers/{{user}}/note", note, permission="subscribers:write"),
    Endpoint("GET", _LISTS, lists, permission="users:read"),
    Endpoint("POST", _LISTS, create_list, permission="users:write"),
    Endpoint("POST", f"{_LISTS}/{{list}}/users/{{user}}", add_to_list, permission="users:write"),
    Endpoint("DELETE", f"{_LISTS}/{{list}}/users/{{user}}", take_off_list, permission="users:write"),
    Endpoint("POST", f"{_ACCESS}/users/{{user}}/lists", add_to_lists, permission="users:write"),
    Endpoint("GET", f"{_ACCESS}/chats", chats, latency="read", permission="messages:read"),
    Endpoint("GET", _CHAT, messages, latency="read", permission="messages:read"),
    Endpoint("POST", _CHAT, send, latency="read", permission="messages:write"),
]
