"""User lists (upstream spec 1.6)."""

from __future__ import annotations

from typing import Any

from ..records import UserList
from . import rows
from .call import Call, Endpoint, Reply, not_found, onlyfans_error, page


def _row(item: UserList) -> dict[str, Any]:
    return {
        "id": item.id,
        "type": "custom",
        "name": item.name,
        "usersCount": len(item.members),
        "postsCount": 0,
        "canUpdate": True,
        "canDelete": True,
        "canManageUsers": True,
        "canAddUsers": True,
        "users": [],
    }


def _find(call: Call) -> UserList:
    item = call.world.lists.get(call.path_number("list"))
    if item is None or item.account_id != call.account.id:
        raise not_found()
    return item


async def lists(call: Call) -> Reply:
    """Built-in lists have text ids, own lists numeric strings."""
    limit = call.number("limit", 10, 10, 50)
    offset = call.number("offset", 0)
    running = [s for s in call.world.fans.of_account(call.account.id) if s.at <= call.now < s.expires_at]
    fans = {"id": "fans", "type": "fans", "name": "Fans", "usersCount": len({s.fan_id for s in running})}
    own = [{**_row(i), "id": str(i.id)} for i in call.world.lists.values() if i.account_id == call.account.id]
    window, _, following = page([{**fans, "canAddUsers": False}, *own], offset, limit)
    return Reply(window, following)


async def create(call: Call) -> Reply:
    """A new list; its id is a number here."""
    number = call.world.sequence("list")
    item = UserList(1_224_114_000 + number, call.account.id, call.text("name", 64))
    call.world.lists[item.id] = item
    return Reply(_row(item))


async def add(call: Call) -> Reply:
    """Add users; an unknown one fails the whole call unless `skip_invalid`."""
    item = _find(call)
    ids = call.texts("ids", required=True)
    good = [int(text) for text in ids if text.isdigit() and int(text) in call.world.people]
    bad = [text for text in ids if not text.isdigit() or int(text) not in call.world.people]
    skip = call.body.get("skip_invalid") is True
    if bad and not skip:
        raise onlyfans_error(400, "User not found")
    item.members.extend(fan_id for fan_id in dict.fromkeys(good) if fan_id not in item.members)
    if skip:
        return Reply({"added": good, "failed": dict.fromkeys(bad, "User not found")})
    return Reply({str(item.id): good})


async def remove(call: Call) -> Reply:
    """Take one user off the list."""
    item = _find(call)
    fan_id = call.path_number("user")
    if fan_id not in item.members:
        raise not_found()
    item.members.remove(fan_id)
    state = {"id": item.id, "hasUser": False, "canAddUser": True, "cannotAddUserReason": None}
    return Reply({"list": _row(item), "userState": state})


async def members(call: Call) -> Reply:
    """Users on the list."""
    item = _find(call)
    limit = call.number("limit", 10, 1, 100)
    offset = call.number("offset", 0)
    window, more, following = page(item.members, offset, limit)
    users = [rows.user(call.world, call.account, call.world.people[fan_id]) for fan_id in window]
    return Reply({"list": users, "nextOffset": offset + len(window), "hasMore": more}, following)


_ROOT = "/api/{account}/user-lists"

ENDPOINTS = [
    Endpoint("GET", _ROOT, lists),
    Endpoint("POST", _ROOT, create),
    Endpoint("GET", _ROOT + "/{list}/users", members),
    Endpoint("POST", _ROOT + "/{list}/users", add),
    Endpoint("DELETE", _ROOT + "/{list}/users/{user}", remove),
]
